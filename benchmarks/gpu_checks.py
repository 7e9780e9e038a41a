"""Checks on a device: packed attention, its kernels and their dropout."""

import re
from copy import deepcopy

import torch
from gpu_steps import SHAPES, kernels_of, network_of, synchronize, windows_of

from crosstune.machine.hardware import device
from crosstune.modeling.batching import collate
from crosstune.modeling.features import Batch
from crosstune.modeling.network import MultiHeadEncoder
from crosstune.modeling.packed_attention import PackedSequences, packed_attention

ATTENTION = r"flash|fmha|sdp|attention|varlen|softmax|bmm"
DRAWS = 300


def distance(found: torch.Tensor, reference: torch.Tensor) -> float:
    found, reference = found.detach().float().cpu(), reference.detach().float().cpu()
    return ((found - reference).norm() / reference.norm()).item()


def short(kernel: str) -> str:
    """A kernel's name without return type and namespaces, cut."""
    return re.sub(r"^void |\(anonymous namespace\)::|at::native::|\|", "", kernel)[:110]


def check_packing(precision: torch.dtype) -> list[str]:
    """Errors of hidden states and of gradients relative to their size; padded rows on the CPU in fp32 are exact.

    Raises RuntimeError unless packed rows are about as exact as padded ones on this device. Weights are large, so that
    attention matters; if the rows' bounds are deliberately wrong, the check must see it.
    """
    packed, padded = (network_of("tiny", 0.0, packing).eval() for packing in (True, False))
    with torch.no_grad():
        for parameter in packed.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    padded.load_state_dict(packed.state_dict())
    on_cpu = deepcopy(padded)
    windows = windows_of(SHAPES["tiny"][3], 10)
    batch = collate([windows] * 10, sorted(range(10), key=windows.lengths.__getitem__))
    lengths = (sum(batch.lengths[:2]), *batch.lengths[2:])
    joined = Batch(batch.ids, batch.types, batch.positions, lengths, batch.sequence_counts[1:], {})
    weights = torch.randn(len(batch.ids), SHAPES["tiny"][1], generator=torch.Generator().manual_seed(1))

    def run(network: MultiHeadEncoder, rows: Batch, place: str, precision: torch.dtype) -> tuple[torch.Tensor, ...]:
        """Hidden states, and the gradient of the first layer's query weights."""
        network.to(place)
        with torch.autocast(place, precision, enabled=precision != torch.float32):
            hidden = network.hidden(rows.to(place)).float()
        network.zero_grad()
        (hidden * weights.to(place)).sum().backward()
        return hidden, network.encoder.encoder.layer[0].attention.self.query.weight.grad

    exact = run(on_cpu, batch, "cpu", torch.float32)
    errors = {}
    for name, network, rows in [("packed", packed, batch), ("padded", padded, batch), ("wrong", packed, joined)]:
        found = run(network, rows, device(), precision)
        errors[name] = max(distance(*pair) for pair in zip(found, exact, strict=True))
    limit = max(1e-3, 1.5 * errors["padded"])
    name = str(precision).removeprefix("torch.")
    line = f"- {name}: error of packed rows {errors['packed']:.1e}, of padded ones {errors['padded']:.1e}, with wrong"
    line += f" bounds, as a control, {errors['wrong']:.1e} of the size"
    if not errors["packed"] < limit or not errors["wrong"] > 2 * limit:
        raise RuntimeError(f"packed attention is wrong: {line}")
    return [line]


def attention_inputs(precision: torch.dtype) -> tuple[list[torch.Tensor], PackedSequences]:
    """Queries, keys and values of four rows, as a layer of XLM-R base gives them."""
    generator = torch.Generator(device()).manual_seed(2)
    shape, options = (1, 12, 600, 64), {"device": device(), "dtype": precision, "generator": generator}
    tensors = [torch.randn(shape, **options).requires_grad_() for _ in range(3)]
    return tensors, PackedSequences.from_lengths((100, 100, 150, 250), torch.device(device()))


def check_kernels() -> list[str]:
    """Which kernels compute packed attention, forwards and backwards.

    Raises RuntimeError if a GPU from Ampere on computes it in bf16 by others than the variable-length flash kernel.
    """
    lines, missing = [], []
    flash = device() == "cuda" and torch.cuda.get_device_capability() >= (8, 0)
    kind = torch.profiler.ProfilerActivity
    for precision, dropout in [(torch.bfloat16, 0.0), (torch.bfloat16, 0.1), (torch.float32, 0.1)]:
        tensors, rows = attention_inputs(precision)
        packed_attention(None, *tensors, None, rows, dropout=dropout)[0].sum().backward()
        with torch.profiler.profile(activities=[kind.CUDA if device() == "cuda" else kind.CPU]) as profile:
            packed_attention(None, *tensors, None, rows, dropout=dropout)[0].sum().backward()
            synchronize()
        found = kernels_of(profile, 1)
        names = [short(name)[:60] for name in found if re.search(ATTENTION, name)][:3]
        launches = sum(count for _, count in found.values())
        what = f"{str(precision).removeprefix('torch.')}, dropout {dropout}"
        lines.append(f"- attention of four rows, {what}: {launches:.0f} kernels, among them {'; '.join(names)}")
        directions = ("flash_fwd", "flash_bwd") if flash and precision == torch.bfloat16 else ()
        missing += [f"{name} in {what}" for name in directions if not any(name in kernel for kernel in found)]
    if missing:
        raise RuntimeError(f"no variable-length kernel: {', '.join(missing)}; {' '.join(lines)}")
    return lines


@torch.no_grad()
def check_windows() -> list[str]:
    """Local attention in bf16 equals that in fp32; raises RuntimeError if not."""
    errors = {}
    for window in (None, 40):
        tensors, rows = attention_inputs(torch.bfloat16)
        found, exact = (
            packed_attention(None, *(tensor.to(kind) for tensor in tensors), None, rows, sliding_window=window)[0]
            for kind in (torch.bfloat16, torch.float32)
        )
        errors[window] = distance(found, exact)
    line = f"- attention in bf16 against fp32: error {errors[None]:.1e}, within 39 tokens {errors[40]:.1e}"
    if not max(errors.values()) < 0.02:
        raise RuntimeError(line)
    return [line]


def check_dropout() -> list[str]:
    """Whether attention's dropout is right on average, the same in both directions, and repeats with a seed."""
    (query, key, value), rows = attention_inputs(torch.bfloat16)

    def draw() -> torch.Tensor:
        return packed_attention(None, query, key, value, None, rows, dropout=0.1)[0]

    with torch.no_grad():
        exact, _ = packed_attention(None, query, key, value, None, rows)
        once = distance(draw(), exact)
        mean = distance(sum(draw().float() for _ in range(DRAWS)) / DRAWS, exact)
    torch.manual_seed(3)
    found = draw()
    weights = torch.randn_like(found)
    (found * weights).sum().backward()
    torch.manual_seed(3)
    repeats = torch.equal(found, draw())
    # The output is linear in the values, so that both products are one number if the masks are the same.
    products = found.float() * weights.float()
    gap = (products.sum() - (value.grad.float() * value.float()).sum()).abs().item() / products.norm().item()
    line = f"- attention with dropout 0.1: one pass is {once:.3f} away, the mean of {DRAWS} {mean:.3f} (noise alone:"
    line += f" {once / DRAWS**0.5:.3f}); both directions differ by {gap:.4f} of the noise; a seed repeats it: {repeats}"
    if not (0.1 < once < 1 and mean < 2 * once / DRAWS**0.5 and gap < 0.02 and repeats):
        raise RuntimeError(line)
    return [line]
