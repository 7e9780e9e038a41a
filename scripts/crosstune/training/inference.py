"""Predictions of one checkpoint on all languages of a data set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from crosstune.artifacts.split import PreparedSplit, prepared_splits
from crosstune.core.files import read_jsonl, sha256_file, write_json, write_jsonl
from crosstune.core.packing import pack
from crosstune.core.progress import Progress
from crosstune.machine.cost_meter import Meter
from crosstune.machine.environment import write_cost
from crosstune.machine.gpu_lease import log_line
from crosstune.machine.hardware import device, resolve_precision
from crosstune.modeling.batching import collate, prefetch
from crosstune.modeling.encoding_facts import unknown_share, unknown_warnings
from crosstune.modeling.feature_cache import FeatureCache
from crosstune.modeling.features import Windows
from crosstune.modeling.network import MultiHeadEncoder
from crosstune.modeling.tasks import Task
from crosstune.training.pass_size import prediction_pass


def predict_dataset(
    spec: dict,
    network: MultiHeadEncoder,
    cache: FeatureCache,
    weights: str,
    data: Sequence[Path],
    out: Path,
    log: Path | None,
) -> None:
    """Write `out`/<language>.jsonl for every prepared manifest of `data`, the cost, and `out`.json last.

    `weights` is the hash of the network's weights. The spec, the weights and the data identify the predictions.
    """
    meter = Meter(spec.get("threads", 1))
    network.eval()
    network.to(device())
    precision = resolve_precision(spec["precision"])
    splits = {source.rpartition(".")[2]: split for source, split in prepared_splits(data).items()}
    progress = Progress(f"predict {spec['dataset']}", len(data), log=log)

    def on_language_done(language: str, windows: Windows) -> None:
        progress.advance(len(windows.ids), language=language)
        for line in unknown_warnings({f"{spec['dataset']}.{language}": unknown_share(windows, cache.tokenizer)}):
            log_line(line, log)

    files = {}
    predictions = predict_splits(network, cache, splits, spec["head"], spec["encoding"], precision, on_language_done)
    for language, answers in predictions:
        write_jsonl(out / f"{language}.jsonl", answers)
        digest = sha256_file(out / f"{language}.jsonl")
        split = splits[language]
        entry = {"rows": len(answers), "sha256": digest, "data": split.sha256, "content_key": split.content_key}
        files[language] = entry
    progress.close()
    write_cost(out, meter.record())
    manifest = {"spec": spec, "weights": weights, "languages": files, "precision": precision, "packed": network.packed}
    write_json(out.with_suffix(".json"), manifest)


def predict_splits(
    network: MultiHeadEncoder,
    cache: FeatureCache,
    splits: Mapping[str, PreparedSplit],
    head: str,
    options: dict,
    precision: str,
    on_language_done: Callable[[str, Windows], None] = lambda language, windows: None,
) -> Iterator[tuple[str, list[dict]]]:
    """(language, answers) of each prepared split under a head; the network must be in eval mode."""
    task, bound = network.task(head), network.bound_head(head)

    def outputs_by_language() -> Iterator[tuple]:
        for language, split in splits.items():
            windows = cache.windows(task, split, options)
            outputs = compute_outputs(network, task, bound, windows, precision, task.layer(options))
            on_language_done(language, windows)
            yield read_jsonl(split.rows), windows, outputs

    yield from zip(splits, task.predictions(outputs_by_language()), strict=True)


@torch.inference_mode()
def compute_outputs(
    network: MultiHeadEncoder, task: Task, head: Callable, windows: Windows, precision: str, layer: int | None = None
) -> list:
    """The task's output for each window; forward passes pack windows sorted by length."""
    outputs: list = [None] * len(windows)
    passes = pack(windows.lengths.tolist(), prediction_pass(network), padded=not network.packed)
    batches = prefetch(lambda indices: collate([windows] * len(indices), indices), passes)
    # Autocast keeps the weights in bf16 until its end: so it converts them once, not once per pass.
    with torch.autocast(device(), torch.bfloat16, enabled=precision == "bf16"):
        for indices, batch in zip(passes, batches, strict=True):
            batch = batch.to(device())
            batch_outputs = task.outputs(head, network.hidden(batch, layer), batch)
            for index, output in zip(indices, batch_outputs, strict=True):
                outputs[index] = output
    return outputs
