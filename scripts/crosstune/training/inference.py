"""Predictions of one checkpoint on all languages of a data set.

Owns: inference and the prediction files. Must never know: metrics, schedules.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from crosstune.artifacts.split import PreparedSplit, prepared_splits
from crosstune.core.files import read_jsonl, sha256_file, write_json, write_jsonl
from crosstune.core.packing import packs
from crosstune.core.progress import Progress
from crosstune.machine.cost_meter import Meter
from crosstune.machine.environment import write_cost
from crosstune.machine.hardware import device, resolve_precision
from crosstune.modeling.batching import collate
from crosstune.modeling.feature_cache import EncodedData
from crosstune.modeling.features import Windows
from crosstune.modeling.network import Network
from crosstune.modeling.tasks import Task

# Tokens of one forward pass.
TOKENS = 8192


def predict_dataset(
    spec: dict,
    network: Network,
    encoded: EncodedData,
    weights: str,
    data: Sequence[Path],
    out: Path,
    log: Path | None,
) -> None:
    """Write `out`/<language>.jsonl for every prepared manifest of `data`, what that took, and `out`.json last.

    `weights` is the hash of the network's weights; with the spec and the data it identifies the predictions.
    """
    meter = Meter(spec.get("threads", 1))
    network.eval()
    network.to(device())
    precision = resolve_precision(spec["precision"])
    splits = {source.rpartition(".")[2]: split for source, split in prepared_splits(data).items()}
    progress = Progress(f"predict {spec['dataset']}", len(data), log=log)

    def told(language: str, windows: Windows) -> None:
        progress.advance(len(windows.ids), language=language)

    files = {}
    for language, answers in predicted(network, encoded, splits, spec["head"], spec["encoding"], precision, told):
        write_jsonl(out / f"{language}.jsonl", answers)
        digest = sha256_file(out / f"{language}.jsonl")
        files[language] = {"rows": len(answers), "sha256": digest, "data": splits[language].sha256}
    progress.close()
    write_cost(out, meter.cost())
    manifest = {"spec": spec, "weights": weights, "languages": files, "precision": precision, "packed": network.packed}
    write_json(out.with_suffix(".json"), manifest)


def predicted(
    network: Network,
    encoded: EncodedData,
    splits: Mapping[str, PreparedSplit],
    head: str,
    options: dict,
    precision: str,
    told: Callable[[str, Windows], None] = lambda language, windows: None,
) -> Iterator[tuple[str, list[dict]]]:
    """(language, answers) of each prepared split, under a head of a network in eval mode."""
    task, bound = network.task(head), network.bound_head(head)

    def parts() -> Iterator[tuple]:
        for language, split in splits.items():
            windows = encoded.windows(task, split, options)
            outputs = compute_outputs(network, task, bound, windows, precision, task.layer(options))
            told(language, windows)
            yield read_jsonl(split.rows), windows, outputs

    yield from zip(splits, task.predictions(parts()), strict=True)


@torch.inference_mode()
def compute_outputs(
    network: Network, task: Task, head: Callable, windows: Windows, precision: str, layer: int | None = None
) -> list:
    """What the task keeps of each window; windows are sorted by length and packed."""
    outputs: list = [None] * len(windows)
    cast = torch.autocast(device(), torch.bfloat16, enabled=precision == "bf16")
    for pack in packs(windows.lengths.tolist(), TOKENS, padded=not network.packed):
        batch = collate([windows] * len(pack), pack).to(device())
        with cast:
            found = task.outputs(head, network.hidden(batch, layer), batch)
        for index, output in zip(pack, found, strict=True):
            outputs[index] = output
    return outputs
