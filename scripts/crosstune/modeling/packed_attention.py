"""Attention within each of several sequences that lie end to end, so that no computation is spent on padding.

transformers looks up the attention function of nearly all models by name (since version 4.48). This module registers
one that takes the keyword `packed_sequences`; the positions given to the model restart in every sequence. A trial finds
models that do otherwise, and these compute padded sequences.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from crosstune.modeling.fast_dropout import dropout as fast_dropout
from crosstune.modeling.features import copy_to

PACKED = "crosstune_packed"

# Hidden states are of the order of 1; rounding in fp32 stays well below this.
TOLERANCE = 1e-3

# From this length on, the memory of plain products matters more than their speed on a CPU.
LONG_SEQUENCE = 1024

TRIAL_SEQUENCES = ((5, 6, 7, 8, 9), (9, 5, 7), (6, 6, 8))


@dataclass(frozen=True)
class PackedSequences:
    """The lengths of sequences that lie end to end, and their `offsets` (sequences + 1,), int32 on the device."""

    lengths: tuple[int, ...]
    offsets: torch.Tensor

    @classmethod
    def from_lengths(cls, lengths: tuple[int, ...], device: torch.device) -> "PackedSequences":
        offsets = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
        return cls(lengths, copy_to(device, offsets))


def packed_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    packed_sequences: PackedSequences,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Attention of each sequence to itself, with the signature of transformers' attention functions.

    `query`, `key`, `value`: (1, heads, tokens, width); the result is (1, tokens, heads, width). `sliding_window`:
    tokens attend to tokens fewer positions away.
    """
    if _has_varlen_kernel(query, key, value):
        return _varlen_attention(query, key, value, packed_sequences, scaling, dropout, sliding_window), None
    if _prefers_plain_products(query, packed_sequences, dropout):
        lengths = packed_sequences.lengths
        return _plain_attention(query, key, value, lengths, scaling, dropout, sliding_window), None
    runs = [(length, len(list(run))) for length, run in itertools.groupby(packed_sequences.lengths)]
    cuts = (
        tensor.squeeze(0).split([length * count for length, count in runs], dim=1) for tensor in (query, key, value)
    )
    outputs = []
    for (length, count), *tensors in zip(runs, *cuts, strict=True):
        sequences = (tensor.unflatten(1, (count, length)).transpose(0, 1) for tensor in tensors)
        mask = _local_mask(length, sliding_window, query.device)
        output = scaled_dot_product_attention(*sequences, attn_mask=mask, dropout_p=dropout, scale=scaling)
        outputs.append(output.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs)[None], None


def _plain_attention(query, key, value, lengths, scaling, rate, window) -> torch.Tensor:
    """(1, tokens, heads, width), by plain products and a softmax for each sequence; `rate` of dropout."""
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    # One split, not many slices: the gradient of a slice, as of an index, is a copy as large as the whole tensor.
    cuts = (tensor.squeeze(0).split(lengths, dim=1) for tensor in (query * scaling, key, value))
    outputs = []
    for length, *(q, k, v) in zip(lengths, *cuts, strict=True):
        scores = torch.bmm(q, k.transpose(1, 2))
        if (mask := _local_mask(length, window, scores.device)) is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weights = scores.softmax(-1)
        outputs.append(torch.bmm(fast_dropout(weights, rate) if rate else weights, v).transpose(0, 1))
    return torch.cat(outputs)[None]


def _local_mask(length: int, window: int | None, device: torch.device) -> torch.Tensor | None:
    """True for tokens fewer than `window` positions apart: (length, length); None if all are."""
    if window is None or length <= window:
        return None
    place = torch.arange(length, device=device)
    return (place[:, None] - place).abs() < window


def _prefers_plain_products(query: torch.Tensor, sequences: PackedSequences, dropout: float) -> bool:
    """Whether plain products are faster: on a CPU, whose kernel lacks dropout and has slow gradients and bf16."""
    if query.device.type != "cpu" or not (torch.is_grad_enabled() or query.dtype == torch.bfloat16):
        return False
    return bool(dropout) or max(sequences.lengths) <= LONG_SEQUENCE


def _has_varlen_kernel(*tensors: torch.Tensor) -> bool:
    """Whether torch's variable-length kernel takes these: half precision, from Ampere on, some widths of heads.

    It also takes widths of up to 256, but not every GPU computes their gradients.
    """
    first = tensors[0]
    if not first.is_cuda or any(tensor.dtype not in (torch.bfloat16, torch.float16) for tensor in tensors):
        return False
    width = first.shape[-1]
    return width % 8 == 0 and width <= 192 and torch.cuda.get_device_properties(first.device).major >= 8


def _varlen_attention(query, key, value, sequences: PackedSequences, scaling, rate, window) -> torch.Tensor:
    """(1, tokens, heads, width), by the kernel below torch.nn.attention.varlen, which offers no `rate` of dropout."""
    query, key, value = (tensor.squeeze(0).transpose(0, 1).contiguous() for tensor in (query, key, value))
    offsets, longest = sequences.offsets, max(sequences.lengths)
    side = None if window is None else window - 1
    output, *_ = torch.ops.aten._flash_attention_forward(
        query, key, value, offsets, offsets, longest, longest, rate, False, False,
        scale=scaling, window_size_left=side, window_size_right=side,
    )  # fmt: skip
    return output[None]


@contextmanager
def attention_implementation(encoder: nn.Module, name: str) -> Iterator[None]:
    """While open, the encoder computes attention by the implementation of this name in transformers."""
    before = encoder.config._attn_implementation
    encoder.set_attn_implementation(name)
    try:
        yield
    finally:
        encoder.set_attn_implementation(before)


def first_position(encoder: nn.Module) -> int:
    """The number of a sequence's first position: in RoBERTa's family it follows the padding's."""
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return module.padding_idx + 1
    return 0


@torch.no_grad()
def try_packing(encoder: nn.Module) -> bool:
    """Switch the encoder to packed attention if its hidden states stay the same; whether it did.

    An encoder whose hidden states differ stays as it was.
    """
    if not getattr(encoder, "_supports_attention_backend", False):
        return False
    ALL_ATTENTION_FUNCTIONS.register(PACKED, packed_attention)
    before, training = encoder.config._attn_implementation, encoder.training
    encoder.eval()
    vocabulary = encoder.get_input_embeddings().num_embeddings
    sequences = [torch.tensor(sequence) % vocabulary for sequence in TRIAL_SEQUENCES]
    expected = torch.cat([encoder(input_ids=sequence[None]).last_hidden_state[0] for sequence in sequences])
    try:
        encoder.set_attn_implementation(PACKED)
        positions = torch.cat([torch.arange(len(sequence)) for sequence in sequences]) + first_position(encoder)
        packed = PackedSequences.from_lengths(tuple(map(len, sequences)), expected.device)
        output = encoder(input_ids=torch.cat(sequences)[None], position_ids=positions[None], packed_sequences=packed)
        fits = torch.allclose(output.last_hidden_state[0], expected, atol=TOLERANCE)
    except (TypeError, ValueError, RuntimeError):
        fits = False
    if not fits:
        encoder.set_attn_implementation(before)
    encoder.train(training)
    return fits
