"""Predictions of one checkpoint on all languages of a data set.

Owns: inference and the prediction files. Must never know: metrics, schedules.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from crosstune.batches import collate, micro_batches
from crosstune.encoding import TextEncoder
from crosstune.files import read_jsonl, sha256_file, write_json, write_jsonl
from crosstune.network import Network
from crosstune.prepared import rows_by_source
from crosstune.progress import Progress

# Tokens of one forward pass.
TOKENS = 8192


def predict_dataset(
    spec: dict,
    network: Network,
    encoder: TextEncoder,
    weights: str,
    data: Sequence[Path],
    out: Path,
    log: Path | None,
) -> None:
    """Write `out`/<language>.jsonl for every prepared manifest of `data`, and `out`.json last.

    `weights` is the hash of the network's weights; with the spec and the data it identifies the predictions.
    """
    network.eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device)
    files = {}
    progress = Progress(f"predict {spec['dataset']}", len(data), log=log)
    for source, split in rows_by_source(data).items():
        language = source.rpartition(".")[2]
        answers, seen = predict_rows(network, encoder, spec, read_jsonl(split.rows), device)
        write_jsonl(out / f"{language}.jsonl", answers)
        digest = sha256_file(out / f"{language}.jsonl")
        files[language] = {"rows": len(answers), "sha256": digest, "data": split.sha256}
        progress.advance(seen, language=language)
    progress.close()
    write_json(out.with_suffix(".json"), {"spec": spec, "weights": weights, "languages": files})


@torch.no_grad()
def predict_rows(
    network: Network, encoder: TextEncoder, spec: dict, rows: Sequence[dict], device: str
) -> tuple[list[dict], int]:
    """One prediction record a row, and how many tokens were read. Windows are batched by length, TOKENS at a time."""
    task, head = network.tasks[spec["head"]], network.head(spec["head"])
    windows = task.encode(rows, encoder, spec["encoding"])
    lengths = windows.lengths.tolist()
    outputs: list = [None] * len(lengths)
    for part in micro_batches(lengths, TOKENS):
        batch = collate([windows] * len(part), part, encoder.pad_id)
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        found = task.outputs(head, network.hidden(batch), batch, [windows.details[i] for i in part])
        for index, output in zip(part, found, strict=True):
            outputs[index] = output
    return task.answers(rows, windows, outputs), sum(lengths)
