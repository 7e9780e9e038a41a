"""Predictions of one checkpoint on all languages of a data set.

Owns: inference and the prediction files. Must never know: metrics, schedules.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from crosstune.batches import collate, micro_batches
from crosstune.encoding import TextEncoder
from crosstune.files import read_jsonl, sha256_file, write_json, write_jsonl
from crosstune.network import Network, load_network
from crosstune.progress import Progress
from crosstune.stage import rows_by_source


def predict_dataset(spec: dict, model: Path, data: Sequence[Path], out: Path, tokens: int, log: Path | None) -> None:
    """Write `out`/<language>.jsonl for every prepared manifest of `data`, and `out`.json last."""
    network = load_network(model).eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device)
    encoder = TextEncoder(model)
    files = {}
    progress = Progress(f"predict {spec['dataset']}", len(data), log=log)
    for source, split in rows_by_source(data).items():
        language = source.rpartition(".")[2]
        answers, seen = predict_rows(
            network, encoder, spec["head"], read_jsonl(split.rows), spec["encoding"], tokens, device
        )
        write_jsonl(out / f"{language}.jsonl", answers)
        files[language] = {
            "rows": len(answers),
            "sha256": sha256_file(out / f"{language}.jsonl"),
            "data": split.sha256,
        }
        progress.advance(seen, language=language)
    progress.close()
    write_json(out.with_suffix(".json"), {"spec": spec, "languages": files})


@torch.no_grad()
def predict_rows(
    network: Network, encoder: TextEncoder, head: str, rows: Sequence[dict], options: dict, tokens: int, device: str
) -> tuple[list[dict], int]:
    """One prediction record a row, and how many tokens were read. Windows are batched by length, `tokens` at a time."""
    task = network.tasks[head]
    windows = task.encode(rows, encoder, options)
    lengths = windows.lengths.tolist()
    outputs: list = [None] * len(lengths)
    for part in micro_batches(lengths, tokens):
        batch = collate([windows] * len(part), part, encoder.pad_id)
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        details = [windows.details[i] for i in part]
        for index, output in zip(
            part, task.outputs(network.head(head), network.hidden(batch), batch, details), strict=True
        ):
            outputs[index] = output
    return task.answers(rows, windows, outputs), sum(lengths)
