"""Making one checkpoint: train a stage from its parent, average several checkpoints, or pretrain a base model.

A job prepares its data, fits, and writes the staged folder with the manifest last.
"""

import io
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save

from crosstune.artifacts.adapter import BaseModel, hash_weights, whole_model
from crosstune.artifacts.checkpoint import (
    CURVE,
    MANIFEST,
    MODEL,
    OPTIMIZER,
    CheckpointJob,
    content_keys,
    data_hashes,
    link_or_copy,
    link_tree,
    staged_predictions_dir,
)
from crosstune.artifacts.split import PreparedSplit, prepared_splits, row_origin
from crosstune.core.errors import UserError
from crosstune.core.files import (
    atomic_open,
    read_json,
    read_jsonl,
    sha256_json,
    write_json,
    write_jsonl,
)
from crosstune.core.progress import Progress
from crosstune.evaluation.metrics import metric_named
from crosstune.machine.cost_meter import Meter
from crosstune.machine.environment import write_cost
from crosstune.machine.gpu_lease import log_line
from crosstune.machine.hardware import resolve_precision
from crosstune.modeling.adapters import prepare_adapter
from crosstune.modeling.batching import Mixture, plan_batches
from crosstune.modeling.contrastive import ContrastiveConfig, contrastive_config
from crosstune.modeling.encoding_facts import unknown_share, unknown_warnings
from crosstune.modeling.feature_cache import FeatureCache
from crosstune.modeling.folder import average_models, load_network, save_network
from crosstune.modeling.freezing import freeze
from crosstune.modeling.network import MultiHeadEncoder
from crosstune.modeling.tokenization import Tokenizer
from crosstune.modeling.used_embeddings import SparseEmbedding
from crosstune.training.distributed import Ranks
from crosstune.training.inference import predict_dataset, predict_splits
from crosstune.training.interruption import InterruptGuard
from crosstune.training.micro_batches import MicroBatcher, TrainingData, TrainingSettings
from crosstune.training.model_selection import BestCheckpoint, Scores
from crosstune.training.optimizer import LrSpan, decay_factor
from crosstune.training.pass_size import training_pass
from crosstune.training.profiler import Profiler
from crosstune.training.resume import ResumeFolder
from crosstune.training.trackers import TrackedRun, TrackerOptions, Trackers, link_curves
from crosstune.training.trainer import Trainer


@dataclass(frozen=True)
class RuntimeOptions:
    """Options that change how a job runs and never its result.

    Seconds between saved states, the folder of cached features, the folder for a profile of the training, the processes
    that share it, the experiment trackers that show it.
    """

    save_interval: float = 20.0
    cache: Path | None = None
    profile: Path | None = None
    ranks: Ranks = field(default_factory=Ranks)
    trackers: TrackerOptions = field(default_factory=TrackerOptions)


@dataclass(frozen=True)
class Start:
    """Everything that a training begins with: the network, its tokenizer's folder, the parent's manifest.

    `key` identifies the training for random streams. `main_head` gets the names that transformers uses. `moments`:
    the optimizer's state that the stage carries on.
    """

    network: MultiHeadEncoder
    tokenizer: Path
    mixture: Mixture
    key: tuple
    main_head: str
    parent: dict = field(default_factory=dict)
    moments: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """The encoded data of a training and its plan: for each update the windows that it trains on."""

    tokenizer: Tokenizer
    cache: FeatureCache
    data: TrainingData
    plan: list
    options: dict

    @property
    def lengths(self) -> dict[str, np.ndarray]:
        """Tokens of every window, by source."""
        return {source: windows.lengths for source, windows in self.data.windows.items()}


@dataclass(frozen=True)
class Fit:
    """The outcome of a training: its updates, learning curve, optimizer's moments, evaluations on held-out rows."""

    updates: int
    curve: list[dict]
    moments: dict[str, torch.Tensor]
    best: BestCheckpoint | None


def make_checkpoint(
    job: CheckpointJob, parents: Sequence[Path], options: RuntimeOptions, guard: InterruptGuard
) -> None:
    """Make the staged checkpoint of a job and its predictions, as far as they are not staged yet.

    `parents`: the folders with the weights of its parents. Raises UserError if an input is missing, and
    TrainingInterrupted.
    """
    if missing := job.missing_input():
        raise UserError("no such file, and the training needs it", str(missing))
    if options.ranks.broadcast_from_main(job.is_staged):
        if options.ranks.is_main:
            predict_after_training(job, options)
        return
    if options.ranks.is_main:
        shutil.rmtree(job.staging_dir, ignore_errors=True)
    if options.ranks.broadcast_from_main(partial(take_candidate, job)):
        if options.ranks.is_main:
            predict_after_training(job, options)
    elif "average" in job.spec:
        average_checkpoints(job, parents)
    elif parents:
        train_stage(job, parents[0], options, guard)
    else:
        pretrain_base(job, options, guard)


def train_stage(job: CheckpointJob, parent: Path, options: RuntimeOptions, guard: InterruptGuard) -> None:
    """Train one stage of a schedule from the checkpoint folder `parent`.

    The seed draws heads that the parent lacks, and a new adapter.
    """
    spec = job.settings
    manifest = read_json(parent / MANIFEST)
    network = load_network(parent / MODEL, spec["recipe"].get("dropout"), spec["packing"])
    if "lora" in spec:
        # Not the folder of a parent that was retrained for this job alone.
        base = BaseModel(str(job.parents[0] / MODEL), manifest["weights"])
        prepare_adapter(network, spec["lora"], spec["seed"], parent / MODEL, base)
    for head in spec["heads"]:
        if head["name"] not in network.tasks:
            network.add_head(head["name"], head["labels"], seed=spec["seed"])
        network.head(head["name"]).requires_grad_(True)
    if spec["sources"]:
        freeze(network, spec["recipe"].get("freeze", {}))
    # Two stages of one lineage must not share an order of rows. Neither encoding, model nor recipe may change the
    # order: they are compared on the same rows.
    key = (spec["seed"], spec["after"], spec["sources"])
    mixture = Mixture(tuple(spec["sources"]), tuple(spec["replayed"]), spec["recipe"]["sampling_alpha"], spec["replay"])
    heads = [spec["source_heads"][source] for source in spec["sources"]] or [head["name"] for head in spec["heads"]]
    main_head = heads[0] if heads else ""  # a task without head is evaluated on the bare encoder
    moments = _carried_moments(job, parent, manifest)
    start = Start(network, whole_model(parent / MODEL), mixture, key, main_head, manifest, moments)
    _fit_checkpoint(job, start, options, guard)


def take_candidate(job: CheckpointJob) -> bool:
    """Stage the chosen candidate of a sweep as this checkpoint, by links; False if it must be trained."""
    if not (candidate := job.chosen_candidate()):
        return False
    out = job.staging_dir
    link_tree(candidate / MODEL, out / MODEL)
    for part in (CURVE, *([OPTIMIZER] if job.keep_optimizer else [])):
        link_or_copy(candidate / part, out / part)
    # The work was the candidate's: sums over checkpoints count it there.
    write_json(out / "cost.json", read_json(candidate / "cost.json") | {"taken_from": str(candidate)})
    write_json(out / MANIFEST, read_json(candidate / MANIFEST) | {"spec": job.spec, "chosen": job.chosen})
    link_curves(candidate, job.out)
    shutil.rmtree(job.resume_dir, ignore_errors=True)
    return True


def pretrain_base(job: CheckpointJob, options: RuntimeOptions, guard: InterruptGuard) -> None:
    """Train a sentencepiece tokenizer and a small BERT with masked language modelling, from registry text."""
    from crosstune.modeling.tokenizer_training import train_tokenizer

    spec = job.spec
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = Path(folder)
        train_tokenizer([split.rows for split in prepared_splits(job.data).values()], spec["vocabulary"], tokenizer)
        network = new_encoder(spec, Tokenizer(tokenizer))
        network.add_head("mlm", [], seed=spec["seed"])
        mixture = Mixture(tuple(spec["sources"]), alpha=spec["recipe"]["sampling_alpha"])
        _fit_checkpoint(job, Start(network, tokenizer, mixture, (spec["seed"], "pretrain"), "mlm"), options, guard)


def average_checkpoints(job: CheckpointJob, parents: Sequence[Path]) -> None:
    """Average the final weights of several schedules."""
    meter = Meter(threads=1)
    model = job.staging_dir / MODEL
    average_models([parent / MODEL for parent in parents], model)
    write_jsonl(job.staging_dir / CURVE, [])
    members = [read_json(parent / MANIFEST) for parent in parents]
    lineage: dict = {}
    for member in members:
        lineage = add_exposure(lineage, member["lineage"])
    write_cost(job.staging_dir, {**meter.record(), "tokens": 0, "processes": 1})
    manifest = {"updates": 0, "exposure": {}, "lineage": lineage, "data": {}}
    _write_manifest(job, manifest, hash_weights(model), [member["weights"] for member in members])


def new_encoder(spec: dict, tokenizer: Tokenizer) -> MultiHeadEncoder:
    """A BERT of the spec's size, its weights drawn from the spec's seed."""
    from transformers import BertConfig, BertModel

    from crosstune.core.random_streams import derive

    config = BertConfig(
        vocab_size=tokenizer.vocabulary,
        hidden_size=spec["hidden"],
        num_hidden_layers=spec["layers"],
        num_attention_heads=spec["heads"],
        intermediate_size=4 * spec["hidden"],
        max_position_embeddings=spec["max_length"],
        pad_token_id=tokenizer.pad_id,
    )
    dropout = spec["recipe"].get("dropout")
    if dropout is not None:
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
    torch.manual_seed(derive(spec["seed"], "encoder"))
    return MultiHeadEncoder(BertModel(config, add_pooling_layer=False), spec["packing"])


# --- prepare data, fit, write ----------------------------------------------------------------------------------------


def _fit_checkpoint(job: CheckpointJob, start: Start, options: RuntimeOptions, guard: InterruptGuard) -> None:
    """Prepare the data, fit, write the staged folder, and predict with the trained network."""
    meter = Meter(job.spec.get("threads", 1), options.ranks.size)
    inputs = _prepare_data(job, start, options)
    fit = _fit(job, start, inputs, options, meter, guard)
    options.ranks.shutdown()
    if not options.ranks.is_main:
        return
    _write_checkpoint(job, start, inputs, fit, meter, options.ranks.size)
    shutil.rmtree(job.resume_dir)
    predict_after_training(job, options, start.network, inputs.cache)


def _prepare_data(job: CheckpointJob, start: Start, options: RuntimeOptions) -> Inputs:
    """Encode the sources and plan the updates."""
    spec, network = job.settings, start.network
    tokenizer = Tokenizer(start.tokenizer)
    cache = FeatureCache(options.cache, tokenizer)
    encoding = spec.get("encoding") or {"max_length": spec["max_length"]}
    contrastive = contrastive_config(spec["recipe"], encoding["max_length"])
    splits, heads = prepared_splits(job.data), spec.get("source_heads", {})
    data = options.ranks.main_process_first(
        partial(encode_sources, network, cache, splits, heads, encoding, contrastive)
    )
    if options.ranks.is_main:
        for line in unknown_warnings({name: unknown_share(own, tokenizer) for name, own in data.windows.items()}):
            log_line(line, job.log)
    if data.pairs and contrastive.learned_scale:
        network.learn_temperature(contrastive.logit_scale)
    budget, plan = spec.get("budget", spec), []
    if start.mixture.fresh:
        lengths = {source: windows.lengths for source, windows in data.windows.items()}
        plan = plan_batches(
            lengths, start.mixture, budget["tokens"], start.key, budget.get("updates"), budget.get("epochs")
        )
    return Inputs(tokenizer, cache, data, plan, encoding)


def _fit(
    job: CheckpointJob, start: Start, inputs: Inputs, options: RuntimeOptions, meter: Meter, guard: InterruptGuard
) -> Fit:
    """Train through the plan."""
    spec, ranks, network, data = job.settings, options.ranks, start.network, inputs.data
    precision = resolve_precision(spec["precision"])
    hashes = {**data_hashes(job.data), **data_hashes(job.held_out)}
    state = ResumeFolder(job.resume_dir, sha256_json([spec, precision, hashes, start.parent.get("weights")]), meter)
    ranks.broadcast_from_main(lambda: write_json(job.resume_dir / "spec.json", job.spec))
    pass_tokens = ranks.broadcast_from_main(partial(training_pass, network, precision))
    span = LrSpan(**spec["lr_span"]) if "lr_span" in spec else LrSpan(len(inputs.plan))
    settings = TrainingSettings(spec["recipe"], start.key, precision, pass_tokens, options.save_interval, span)

    def progress(total: int, done: int) -> Progress:
        if not ranks.is_main:
            return Progress(job.out.name, total, done, terminal=io.StringIO())
        return Progress(job.out.name, total, done, job.log)

    profiler = Profiler(options.profile) if options.profile and ranks.is_main else None
    windows = (windows.ids for windows in data.windows.values())
    used = SparseEmbedding(network, data.heads.values(), windows, start.moments)
    decayed = partial(decay_factor, spec["recipe"], span=span)
    best = None
    if "select" in spec:
        able = partial(_with_all_embeddings, used, decayed)
        best = selection_of(spec["select"], inputs.options, network, inputs.cache, job.held_out, able)
    used.shrink()
    batcher = MicroBatcher(network, inputs.tokenizer, data, inputs.plan, settings)
    trackers = Trackers(TrackedRun(options.trackers, job.out, shown_settings(spec)), job.resume_dir, job.log)
    trainer = Trainer(batcher, state, best, profiler, ranks, trackers)
    with closing(trackers):
        curve, moments = trainer.fit(guard, progress, used.select_rows(start.moments))
    if ranks.is_main:
        used.restore(decayed(trainer.updates))
        moments = used.expand_rows(moments)
        if trainer.updates < len(inputs.plan):
            log_line(f"stopped after {trainer.updates} of {len(inputs.plan)} updates: no higher score", job.log)
    return Fit(trainer.updates, curve, moments, best)


def shown_settings(spec: dict) -> dict[str, str | float]:
    """What a tracker shows of a training: its seed, its sources and the numbers and words of its recipe."""
    recipe = {key: value for key, value in spec["recipe"].items() if isinstance(value, str | int | float)}
    return {"seed": spec["seed"], "sources": " + ".join(spec["sources"]), **recipe}


def _with_all_embeddings(used: SparseEmbedding, decayed: Callable[[int], float], done: int) -> AbstractContextManager:
    """While it is open, the network has all rows of its embeddings, as they are after `done` updates."""
    return used.full_matrix(decayed(done))


def _write_checkpoint(job: CheckpointJob, start: Start, inputs: Inputs, fit: Fit, meter: Meter, processes: int) -> None:
    """Write model, curve, optimizer, cost and, last, the manifest."""
    out, plan, lengths = job.staging_dir, inputs.plan[: fit.updates], inputs.lengths
    save_network(start.network, out / MODEL, start.tokenizer, start.main_head)
    write_jsonl(out / CURVE, fit.curve)
    if job.keep_optimizer:
        with atomic_open(out / OPTIMIZER) as file:
            file.write(save({name: tensor.contiguous() for name, tensor in fit.moments.items()}))
    exposure = count_exposure(plan, lengths)
    weights = hash_weights(out / MODEL)
    # All that a stage has seen of each source since the base model; the base's own text does not count.
    lineage = add_exposure(start.parent["lineage"], exposure) if start.parent else {}
    tokens = sum(seen["tokens"] for seen in exposure.values())
    write_cost(out, {**meter.record(), "tokens": tokens, "processes": processes})
    manifest = {"updates": len(plan), "exposure": exposure, "lineage": lineage, "data": data_hashes(job.data)}
    manifest["content_keys"] = content_keys([*job.data, *job.held_out])
    manifest |= {"precision": resolve_precision(job.spec["precision"]), "packed": start.network.packed}
    if adapter := start.network.adapter:
        trained = sum(weight.numel() for weight in start.network.parameters() if weight.requires_grad)
        manifest["adapter"] = {"base": adapter.base.entry, "merged": len(adapter.base.merged), "parameters": trained}
    if fit.best:
        chosen = {"update": fit.best.update, "looks": fit.best.evaluations}
        manifest |= {"held_out": data_hashes(job.held_out), "selection": chosen}
    if pairs := inputs.data.pairs:
        # Windows that were computed as partners alone are outside the budget.
        planned = len(inputs.plan)
        partners = [pairs.draw_partners(update, n, planned, start.key).values() for n, update in enumerate(plan)]
        manifest["partners"] = count_exposure(partners, lengths)
    _write_manifest(job, manifest, weights, [start.parent["weights"]] if start.parent else [])


def predict_after_training(
    job: CheckpointJob,
    options: RuntimeOptions,
    network: MultiHeadEncoder | None = None,
    cache: FeatureCache | None = None,
) -> None:
    """Stage the missing predictions of a staged checkpoint whose rows are prepared."""
    missing = job.missing_predictions
    if missing and network is None:  # an earlier process staged the checkpoint
        model = job.staging_dir / MODEL
        network = load_network(model, packing=missing[0]["spec"]["packing"])
        cache = FeatureCache(options.cache, Tokenizer(whole_model(model)))
    weights = read_json(job.staging_dir / MANIFEST)["weights"]
    for request in missing:
        out = staged_predictions_dir(job.out, request["spec"]["dataset"])
        predict_dataset(request["spec"], network, cache, weights, list(map(Path, request["data"])), out, job.log)


def selection_of(
    select: dict,
    options: dict,
    network: MultiHeadEncoder,
    cache: FeatureCache,
    held_out: Sequence[Path],
    able: Callable[[int], AbstractContextManager],
) -> BestCheckpoint:
    """Evaluations on prepared rows of the splits `held_out`, by the `select` of a stage's spec.

    `able`, of the updates that are done: while it is open, the network can compute on any text.
    """
    metric = metric_named(select["metric"])
    precision = resolve_precision(select["precision"])
    manifests: dict[str, list[Path]] = {}
    for path in held_out:
        manifests.setdefault(read_json(path)["split"], []).append(path)
    splits = {
        name: {source.rpartition(".")[2]: split for source, split in prepared_splits(paths).items()}
        for name, paths in manifests.items()
    }

    def scores(update: int) -> Scores:
        with able(update):
            return {
                name: {
                    language: metric.summarise(metric.measure(answers, language))
                    for language, answers in predict_splits(network, cache, mine, select["head"], options, precision)
                }
                for name, mine in splits.items()
            }

    return BestCheckpoint(select["every"], metric.primary, scores, patience=select.get("patience"))


def encode_sources(
    network: MultiHeadEncoder,
    cache: FeatureCache,
    splits: dict[str, PreparedSplit],
    heads: dict[str, str],
    options: dict,
    contrastive: ContrastiveConfig | None = None,
) -> TrainingData:
    """Windows of every source's prepared rows, and with a `contrastive` loss the pairs among them.

    Raises UserError for a source that gives no window, and if there are no pairs.
    """
    windows = {}
    for source, split in splits.items():
        windows[source] = cache.windows(network.tasks[heads.get(source, "mlm")], split, options)
        if not len(windows[source]):
            raise UserError("there is nothing to train on", str(split.rows))
    heads = {source: heads.get(source, "mlm") for source in windows}
    pairs = None
    if contrastive and windows:
        origins = {
            source: [row_origin(source, row) for row in read_jsonl(split.rows)] for source, split in splits.items()
        }
        pairs = contrastive.translation_pairs(windows, heads, origins, cache.tokenizer.special_ids)
    return TrainingData(windows, heads, pairs)


def count_exposure(plan: list, lengths: dict[str, np.ndarray]) -> dict[str, dict[str, int]]:
    """Windows and tokens seen of each source."""
    seen = {source: {"examples": 0, "tokens": 0} for source in sorted(lengths)}
    for update in plan:
        for source, window in update:
            seen[source]["examples"] += 1
            seen[source]["tokens"] += int(lengths[source][window])
    return seen


def add_exposure(first: dict, second: dict) -> dict[str, dict[str, int]]:
    """The sum of two counts of exposure."""
    nothing = {"examples": 0, "tokens": 0}
    return {
        source: {unit: first.get(source, nothing)[unit] + second.get(source, nothing)[unit] for unit in nothing}
        for source in sorted({*first, *second})
    }


def _carried_moments(job: CheckpointJob, parent: Path, manifest: dict) -> dict[str, torch.Tensor]:
    if job.spec["recipe"]["optimizer"] == "reset" or not manifest["parents"]:
        return {}
    if not (parent / OPTIMIZER).exists():
        fix = f"Make it again: snakemake --cores 1 --forcerun {job.parents[0]}/{MANIFEST}"
        raise UserError("the stage before did not keep its optimizer's state", str(parent / OPTIMIZER), fix)
    return load_file(parent / OPTIMIZER)


def _write_manifest(job: CheckpointJob, manifest: dict, weights: str, parents: list[str]) -> None:
    chosen = {"chosen": job.chosen} if job.choice else {}
    manifest = {"spec": job.spec, "parents": parents, "weights": weights, **manifest, **chosen}
    write_json(job.staging_dir / MANIFEST, manifest)
