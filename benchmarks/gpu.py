"""Checks and timings on a GPU, in one command; with random weights, so nothing is downloaded.

    python benchmarks/gpu.py --out benchmarks/results/gpu.md
    python benchmarks/gpu.py --shapes tiny --device cpu        # only to see that it runs

Checks first: hidden states of packed rows equal those of padded rows on the GPU, and those on the CPU. Then, for every
shape: tokens a second of training and of prediction, packed, and padded as run_qa.py pads, with the share of the
device's matrix peak (MFU, 6 operations a parameter and token, 2 in prediction) and the peak of its memory.
"""

import argparse
import statistics
import sys
import time
from copy import deepcopy
from datetime import date
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import torch  # noqa: E402
from transformers import XLMRobertaConfig, XLMRobertaModel  # noqa: E402

from crosstune.modeling.features import Batch  # noqa: E402
from crosstune.modeling.network import MultiHeadEncoder  # noqa: E402

# Layers, width, heads, vocabulary of XLM-R; tiny only shows that the program runs.
SHAPES = {"tiny": (2, 64, 2, 1000), "base": (12, 768, 12, 250_002), "large": (24, 1024, 16, 250_002)}
# Matrix peaks in bf16 without sparsity, as the vendor gives them, in operations a second.
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12, "V100": 125e12}
PADDED_LENGTH = 384


def network_of(shape: str, dropout: float, packing: bool, device: str) -> MultiHeadEncoder:
    layers, width, heads, vocabulary = SHAPES[shape]
    config = XLMRobertaConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=4 * width, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1,
        hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    torch.manual_seed(0)
    return MultiHeadEncoder(XLMRobertaModel(config, add_pooling_layer=False), packing).to(device)


def batch_of(tokens: int, vocabulary: int, device: str, longest: int = PADDED_LENGTH) -> Batch:
    """Rows with the lengths of questions with paragraphs: 60 to `longest` tokens, most of them short."""
    generator = np.random.default_rng(0)
    lengths: list[int] = []
    while sum(lengths) < tokens:
        lengths.append(int(min(longest, generator.gamma(6, 30) + 60)))
    lengths.sort()
    ids = torch.from_numpy(generator.integers(5, vocabulary, sum(lengths)))
    positions = torch.cat([torch.arange(length) for length in lengths])
    return Batch(ids, torch.zeros_like(ids), positions, tuple(lengths), (1,) * len(lengths), {}).to(device)


def check(device: str, precision: torch.dtype) -> list[str]:
    """Differences of hidden states and of gradients, relative to their size. Exits where they are not rounding.

    Weights are large, so that attention matters; with the rows' bounds deliberately wrong, the check must see it.
    """
    limit = 1e-3 if precision == torch.float32 else 0.05
    packed, padded = (network_of("tiny", 0.0, packing, device).eval() for packing in (True, False))
    with torch.no_grad():
        for parameter in packed.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    padded.load_state_dict(packed.state_dict())
    on_cpu = deepcopy(padded).to("cpu")
    batch = batch_of(2000, 1000, device)
    lengths = (sum(batch.lengths[:2]), *batch.lengths[2:])
    joined = Batch(batch.ids, batch.types, batch.positions, lengths, batch.sequence_counts[1:], {})
    weights = torch.randn(sum(batch.lengths), SHAPES["tiny"][1], generator=torch.Generator().manual_seed(1))

    def run(network: MultiHeadEncoder, rows: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states, and the gradient of the first layer's query weights."""
        place = rows.ids.device
        with torch.autocast(place.type, precision, enabled=precision != torch.float32 and place.type == device):
            hidden = network.hidden(rows).float()
        network.zero_grad()
        (hidden * weights.to(place)).sum().backward()
        gradient = network.encoder.encoder.layer[0].attention.self.query.weight.grad
        return hidden.detach().cpu(), gradient.cpu()

    def difference(one: tuple, two: tuple) -> float:
        return max(((a - b).norm() / b.norm()).item() for a, b in zip(one, two, strict=True))

    ours = run(packed, batch)
    found = {"padded": difference(ours, run(padded, batch)), "the CPU": difference(ours, run(on_cpu, batch.to("cpu")))}
    wrong = difference(run(packed, joined), ours)
    if not packed.packed or max(found.values()) > limit or wrong < 2 * limit:
        sys.exit(f"packed attention is wrong on this device: {found}; with wrong bounds {wrong} (limit {limit})")
    name = str(precision).removeprefix("torch.")
    lines = [f"- {name}: packed against {other}: {value:.1e} of the size" for other, value in found.items()]
    return [*lines, f"- {name}: with wrong bounds, as a control: {wrong:.1e}"]


def timed(step, device: str, repeats: int) -> float:
    """Median seconds of a step, after two to warm up."""
    seconds = []
    for number in range(repeats + 2):
        begin = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        if number >= 2:
            seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def measure(shape: str, device: str, tokens: int, repeats: int, precision: torch.dtype, dropouts: list) -> list[str]:
    """Rows of the table of one shape: packed and padded to PADDED_LENGTH, training and prediction."""
    layers, width, _, vocabulary = SHAPES[shape]
    batch = batch_of(tokens, vocabulary, device)
    real = sum(batch.lengths)
    parameters = layers * 12 * width * width
    peak = next((value for name, value in PEAKS.items() if name in device_name(device)), None)
    lines = []
    for dropout in [*dropouts, None]:
        training, first = dropout is not None, None
        for packing in (False, True):
            network = network_of(shape, dropout or 0.0, packing, device).train(training)
            optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)

            def step(network=network, optimizer=optimizer, training=training, packing=packing) -> None:
                cast = torch.autocast(torch.device(device).type, precision, enabled=precision != torch.float32)
                with cast, torch.set_grad_enabled(training):
                    hidden = network.hidden(batch) if packing else padded_to_fixed(network, batch)
                if training:
                    hidden.float().square().mean().backward()
                    optimizer.step()
                    optimizer.zero_grad()

            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            seconds = timed(step, device, repeats)
            first = first or seconds
            memory = f"{torch.cuda.max_memory_allocated() / 2**30:.1f}" if device == "cuda" else ""
            share = f"{(6 if training else 2) * parameters * real / seconds / peak:.0%}" if peak else ""
            kind = (
                f"{'training' if training else 'prediction'}, {'packed' if packing else f'padded to {PADDED_LENGTH}'}"
            )
            speed = f"{real / seconds:,.0f}"
            lines.append(f"| {shape} | {kind} | {speed} | {first / seconds:.2f} | {share} | {memory} |")
            del network, optimizer
    return lines


def padded_to_fixed(network: MultiHeadEncoder, batch: Batch) -> torch.Tensor:
    """As the rival pads: every row to PADDED_LENGTH."""
    ids = torch.ones(len(batch.lengths), PADDED_LENGTH, dtype=torch.long, device=batch.ids.device)
    lengths = torch.tensor(batch.lengths, device=ids.device)
    real = torch.arange(PADDED_LENGTH, device=ids.device) < lengths[:, None]
    ids[real] = batch.ids
    return network.encoder(input_ids=ids, attention_mask=real.long()).last_hidden_state[real]


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--shapes", nargs="+", default=["base", "large"], choices=SHAPES)
    parser.add_argument("--tokens", type=int, default=16_384, help="real tokens of a step (%(default)s)")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--dropouts", type=float, nargs="+", default=[0.0, 0.1], help="in training (%(default)s)")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no GPU here; --device cpu --shapes tiny shows only that the program runs")
    half = args.device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    precisions = [torch.float32, *([torch.bfloat16] if half else [])]
    lines = [f"# {device_name(args.device)}, {date.today()}, torch {torch.__version__}", ""]
    for precision in precisions:
        lines += check(args.device, precision)
    name = str(precisions[-1]).removeprefix("torch.")
    lines += ["", f"{args.tokens:,} tokens a step, {name}.", ""]
    lines += ["| shape | work | real tokens/s | ratio | MFU | peak GiB |", "|:--|:--|--:|--:|--:|--:|"]
    for shape in args.shapes:
        lines += measure(shape, args.device, args.tokens, args.repeats, precisions[-1], args.dropouts)
    print("\n".join(lines))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
