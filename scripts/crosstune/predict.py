"""Predictions of one checkpoint on all languages of a data set.

Owns: inference and the prediction files. Must never know: metrics, schedules.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from crosstune.batches import collate, packs
from crosstune.compute import device, resolve_precision
from crosstune.encoded import EncodedData
from crosstune.files import read_jsonl, sha256_file, write_json, write_jsonl
from crosstune.network import Network
from crosstune.prepared import rows_by_source
from crosstune.progress import Progress
from crosstune.tasks import Task
from crosstune.windows import Windows

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
    """Write `out`/<language>.jsonl for every prepared manifest of `data`, and `out`.json last.

    `weights` is the hash of the network's weights; with the spec and the data it identifies the predictions.
    """
    network.eval()
    network.to(device())
    precision = resolve_precision(spec["precision"])
    task, head = network.task(spec["head"]), network.bound_head(spec["head"])
    splits = {source.rpartition(".")[2]: split for source, split in rows_by_source(data).items()}
    progress = Progress(f"predict {spec['dataset']}", len(data), log=log)

    def parts() -> Iterator[tuple]:
        for language, split in splits.items():
            windows = encoded.windows(task, split, spec["encoding"])
            outputs = compute_outputs(network, task, head, windows, precision, task.layer(spec["encoding"]))
            progress.advance(len(windows.ids), language=language)
            yield read_jsonl(split.rows), windows, outputs

    files = {}
    for (language, split), answers in zip(splits.items(), task.predictions(parts()), strict=True):
        write_jsonl(out / f"{language}.jsonl", answers)
        digest = sha256_file(out / f"{language}.jsonl")
        files[language] = {"rows": len(answers), "sha256": digest, "data": split.sha256}
    progress.close()
    manifest = {"spec": spec, "weights": weights, "languages": files, "precision": precision, "packed": network.packed}
    write_json(out.with_suffix(".json"), manifest)


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
