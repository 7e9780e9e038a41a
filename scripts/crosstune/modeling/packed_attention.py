"""Attention within each of several windows that are laid end to end, so that no computation is spent on padding.

Owns: the attention function that `transformers` calls in place of its own, and the check that a model bears it.
Must never know: tasks, training.

Models are used as `transformers` builds them: those that look their attention function up by name (nearly all since
version 4.48) take this one, hand it the keyword `rows`, and are given positions that start again in every window. A
model that does otherwise is found out by a trial and is given padded rows instead.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from crosstune.modeling.fast_dropout import drop

PACKED = "crosstune_packed"

# Hidden states are of the order of 1; rounding in fp32 stays well below this.
TOLERANCE = 1e-3

# Windows from which on a CPU's memory matters more than its speed.
LONG = 1024

TRIAL = ((5, 6, 7, 8, 9), (9, 5, 7), (6, 6, 8))


@dataclass(frozen=True)
class Rows:
    """Where the windows of a pack lie: `lengths` in tokens, and `bounds` (windows + 1,) int32 on the device."""

    lengths: tuple[int, ...]
    bounds: torch.Tensor

    @classmethod
    def of(cls, lengths: tuple[int, ...], device: torch.device) -> "Rows":
        ends = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
        return cls(lengths, ends.to(device, non_blocking=True))


def packed_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    rows: Rows,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Attention of each window to itself: three times (1, heads, tokens, width) -> (1, tokens, heads, width).

    `sliding_window`: tokens see those that are fewer positions away.
    """
    if not dropout and _kernel_serves(query, key, value):
        return _variable_length(query, key, value, rows, scaling, sliding_window), None
    if _products_serve(query, rows, dropout):
        return _window_by_window(query, key, value, rows.lengths, scaling, dropout, sliding_window), None
    runs = [(length, len(list(run))) for length, run in itertools.groupby(rows.lengths)]
    cuts = (tensor[0].split([length * count for length, count in runs], dim=1) for tensor in (query, key, value))
    parts = []
    for (length, count), *tensors in zip(runs, *cuts, strict=True):
        windows = (tensor.unflatten(1, (count, length)).transpose(0, 1) for tensor in tensors)
        mask = _near(length, sliding_window, query.device)
        found = scaled_dot_product_attention(*windows, attn_mask=mask, dropout_p=dropout, scale=scaling)
        parts.append(found.transpose(1, 2).flatten(0, 1))
    return torch.cat(parts)[None], None


def _window_by_window(query, key, value, lengths, scaling, dropout, reach) -> torch.Tensor:
    """(1, tokens, heads, width), by plain products and a softmax."""
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    # One split, not many slices: the gradient of a slice is as large as the whole.
    cuts = (tensor[0].split(lengths, dim=1) for tensor in (query * scaling, key, value))
    parts = []
    for length, *(q, k, v) in zip(lengths, *cuts, strict=True):
        scores = torch.bmm(q, k.transpose(1, 2))
        if (near := _near(length, reach, scores.device)) is not None:
            scores = scores.masked_fill(~near, -torch.inf)
        weights = scores.softmax(-1)
        parts.append(torch.bmm(drop(weights, dropout) if dropout else weights, v).transpose(0, 1))
    return torch.cat(parts)[None]


def _near(length: int, reach: int | None, device: torch.device) -> torch.Tensor | None:
    """Which tokens are fewer than `reach` positions from each: (length, length); None where all are."""
    if reach is None or length <= reach:
        return None
    place = torch.arange(length, device=device)
    return (place[:, None] - place).abs() < reach


def _products_serve(query: torch.Tensor, rows: Rows, dropout: float) -> bool:
    """Whether plain products are faster: on a CPU, whose kernel has no dropout, and slow gradients and bf16."""
    if query.device.type != "cpu" or not (torch.is_grad_enabled() or query.dtype == torch.bfloat16):
        return False
    return bool(dropout) or max(rows.lengths) <= LONG


def _kernel_serves(*tensors: torch.Tensor) -> bool:
    """Whether torch's variable-length kernel takes these: half precision, from Ampere on, widths it was built for."""
    first = tensors[0]
    if not first.is_cuda or any(tensor.dtype not in (torch.bfloat16, torch.float16) for tensor in tensors):
        return False
    width = first.shape[-1]
    return width % 8 == 0 and width <= 256 and torch.cuda.get_device_capability(first.device) >= (8, 0)


def _variable_length(query, key, value, rows: Rows, scaling, window) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = (tensor[0].transpose(0, 1).contiguous() for tensor in (query, key, value))
    longest = max(rows.lengths)
    sides = (-1, -1) if window is None else (window - 1, window - 1)
    return varlen_attn(
        query, key, value, rows.bounds, rows.bounds, longest, longest, scale=scaling, window_size=sides
    )[None]  # fmt: skip


@contextmanager
def attention_of(encoder: nn.Module, implementation: str) -> Iterator[None]:
    """Let the encoder attend by another implementation for a while."""
    before = encoder.config._attn_implementation
    encoder.set_attn_implementation(implementation)
    try:
        yield
    finally:
        encoder.set_attn_implementation(before)


def first_position(encoder: nn.Module) -> int:
    """The number of a window's first position: RoBERTa and its kin begin after the padding's."""
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return module.padding_idx + 1
    return 0


@torch.no_grad()
def try_packing(encoder: nn.Module) -> bool:
    """Switch the encoder to packed attention, if it then computes for several windows what it computes for each.

    Leaves an encoder that does not as it was.
    """
    if not getattr(encoder, "_supports_attention_backend", False):
        return False
    ALL_ATTENTION_FUNCTIONS.register(PACKED, packed_attention)
    before, training = encoder.config._attn_implementation, encoder.training
    encoder.eval()
    vocabulary = encoder.get_input_embeddings().num_embeddings
    windows = [torch.tensor(window) % vocabulary for window in TRIAL]
    apart = torch.cat([encoder(input_ids=window[None]).last_hidden_state[0] for window in windows])
    try:
        encoder.set_attn_implementation(PACKED)
        positions = torch.cat([torch.arange(len(window)) for window in windows]) + first_position(encoder)
        rows = Rows.of(tuple(len(window) for window in windows), apart.device)
        together = encoder(input_ids=torch.cat(windows)[None], position_ids=positions[None], rows=rows)
        fits = torch.allclose(together.last_hidden_state[0], apart, atol=TOLERANCE)
    except (TypeError, ValueError, RuntimeError):
        fits = False
    if not fits:
        encoder.set_attn_implementation(before)
    encoder.train(training)
    return fits
