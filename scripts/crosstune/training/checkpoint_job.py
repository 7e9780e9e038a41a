"""One checkpoint folder: a stage is trained from its parent, an average is made of several, a base model pretrained.

Owns: what such a folder holds and in which order it is written (the manifest last).
Must never know: configs, Snakemake.
"""

import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save

from crosstune.artifacts.checkpoint import MANIFEST, OPTIMIZER, Node, has_weights, hashes_of, predictions_ahead
from crosstune.artifacts.split import Split, origin_of, rows_by_source
from crosstune.core.errors import UserError
from crosstune.core.files import (
    atomic_open,
    read_json,
    read_jsonl,
    sha256_file,
    sha256_json,
    write_json,
    write_jsonl,
    write_text,
)
from crosstune.core.locks import Held
from crosstune.core.progress import Progress
from crosstune.evaluation.metrics import metric_named
from crosstune.machine.cost_meter import Meter
from crosstune.machine.environment import write_cost
from crosstune.machine.hardware import resolve_precision
from crosstune.modeling.batching import Mixture, plan_batches
from crosstune.modeling.contrastive import ContrastiveConfig, contrastive_config
from crosstune.modeling.feature_cache import FeatureCache
from crosstune.modeling.folder import average_weights, load_network, save_network
from crosstune.modeling.network import MultiHeadEncoder
from crosstune.modeling.tokenization import Tokenizer
from crosstune.modeling.used_embeddings import SparseEmbedding
from crosstune.modeling.weight_names import WEIGHTS
from crosstune.training.distributed import Ranks
from crosstune.training.inference import predict_dataset, predict_splits
from crosstune.training.interruption import InterruptGuard, TrainingInterrupted
from crosstune.training.micro_batches import MicroBatcher, TrainingData, TrainingSettings
from crosstune.training.model_selection import BestCheckpoint, Scores
from crosstune.training.optimizer import decay_factor
from crosstune.training.profiler import Profiler
from crosstune.training.resume import ResumeFolder
from crosstune.training.trainer import Trainer

# Tokens of one forward pass in training. Another number rounds otherwise, so it is no knob.
PASS_TOKENS = 4096


@dataclass(frozen=True)
class Knobs:
    """What changes how a job runs and never what comes out.

    Seconds between saved states, the folder of encoded rows, the folder for a profile of the training, the processes
    that share it.
    """

    save_seconds: float = 20.0
    cache: Path | None = None
    profile: Path | None = None
    ranks: Ranks = field(default_factory=Ranks)


def make_checkpoints(node: Node, later: Sequence[Node], knobs: Knobs) -> None:
    """Make the draft of `node` and then, as far as it goes, those of `later`.

    Raises what making `node` raises, and TrainingInterrupted. Several processes make the draft of `node` and no other:
    going on would save a job of several GPUs little, and they would have to agree on what fails.
    """
    with InterruptGuard() as stop:
        if knobs.ranks.size > 1 and knobs.ranks.broadcast_from_main(lambda: node.is_made(node.parents)):
            return
        if absent := node.missing(node.parents):
            raise UserError("no such file, and the training needs it", str(absent))
        _make_draft(node, node.parents, knobs, stop)
        if knobs.ranks.size == 1:
            _make_later(node, later, replace(knobs, profile=None), stop)


def _make_later(node: Node, later: Sequence[Node], knobs: Knobs, stop: InterruptGuard) -> None:
    """Make the drafts of `later`, each of which stands on `node`, on one before it, or on what was there already.

    One that fails is left to its own job, with a note of why; one that another process is making, to that.
    TrainingInterrupted is raised, since the jobs of `later` may count on this process: with its drafts it goes on when
    it is begun again.
    """
    made = {node.out: node.draft}
    for follower in later:
        parents = [made.get(parent, parent) for parent in follower.parents]
        if follower.missing(parents) or not all(map(has_weights, parents)) or follower.is_finished(parents):
            continue
        if follower.given_up:
            continue
        if stop.requested:
            raise TrainingInterrupted
        try:
            with follower.ahead_of_its_job():
                _make_draft(follower, parents, knobs, stop)
            made[follower.out] = follower.draft
        except TrainingInterrupted:
            raise
        except Held:
            continue
        except Exception as error:
            why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            print(f"{follower.out} was not made ahead ({why})", file=sys.stderr)
            with suppress(OSError):  # the disk may be full, and what is made stays
                write_text(follower.failure, why)


def _make_draft(node: Node, parents: Sequence[Path], knobs: Knobs, stop: InterruptGuard) -> None:
    """Make the draft; for one that is whole, the predictions that the process which made it did not come to."""
    if node.is_made(parents):
        _predict_from_draft(node, knobs)
        return
    if knobs.ranks.is_main:
        shutil.rmtree(node.draft, ignore_errors=True)
    make_checkpoint(node, parents, knobs, stop)


def _predict_from_draft(node: Node, knobs: Knobs) -> None:
    if unpredicted := node.unpredicted:
        model = node.draft / "model"
        network = load_network(model, packing=unpredicted[0]["spec"]["packing"])
        predict_ahead(node, network, FeatureCache(knobs.cache, Tokenizer(model)))


def make_checkpoint(node: Node, parents: Sequence[Path], knobs: Knobs, stop: InterruptGuard) -> None:
    """Average the parents, or train from the one parent, or pretrain where there is none."""
    if "average" in node.spec:
        average_stages(node, parents)
    elif parents:
        train_stage(node, parents[0], knobs, stop)
    else:
        pretrain_base(node, knobs, stop)


def train_stage(node: Node, parent: Path, knobs: Knobs, stop: InterruptGuard) -> None:
    """Train one stage of a schedule from the checkpoint folder `parent`.

    Heads that the parent lacks are drawn from the seed.
    """
    spec = node.spec
    network = load_network(parent / "model", spec["recipe"].get("dropout"), spec["packing"])
    for head in spec["heads"]:
        if head["name"] not in network.tasks:
            network.add_head(head["name"], head["labels"], seed=spec["seed"])
    # Two stages of one lineage must not share an order. What the rows are computed with must not change it, nor what
    # they are learned with: schedules, models and settings are compared on the same rows.
    key = (spec["seed"], spec["after"], spec["sources"])
    mixture = Mixture(tuple(spec["sources"]), tuple(spec["replayed"]), spec["recipe"]["alpha"], spec["replay"])
    heads = [spec["source_heads"][source] for source in spec["sources"]] or [head["name"] for head in spec["heads"]]
    main_head = heads[0] if heads else ""  # what needs no head is evaluated on the bare encoder
    manifest = read_json(parent / MANIFEST)
    moments = _carried_moments(node, parent, manifest)
    _run(node, network, mixture, key, manifest, parent / "model", knobs, stop, main_head, moments)


def pretrain_base(node: Node, knobs: Knobs, stop: InterruptGuard) -> None:
    """Train a sentencepiece tokenizer and a small BERT with masked language modelling, from registry text."""
    from crosstune.modeling.tokenizer_training import train_tokenizer

    spec = node.spec
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = Path(folder)
        train_tokenizer([split.rows for split in rows_by_source(node.data).values()], spec["vocabulary"], tokenizer)
        network = new_encoder(spec, Tokenizer(tokenizer))
        network.add_head("mlm", [], seed=spec["seed"])
        mixture = Mixture(tuple(spec["sources"]), alpha=spec["recipe"]["alpha"])
        _run(node, network, mixture, (spec["seed"], "pretrain"), {}, tokenizer, knobs, stop, "mlm", {})


def average_stages(node: Node, parents: Sequence[Path]) -> None:
    """Average the final weights of several schedules."""
    meter = Meter(threads=1)
    model = node.draft / "model"
    weights = average_weights([parent / "model" for parent in parents])
    model.mkdir(parents=True, exist_ok=True)
    for path in sorted((parents[0] / "model").iterdir()):
        if path.name != WEIGHTS:
            shutil.copyfile(path, model / path.name)
    with atomic_open(model / WEIGHTS) as file:
        file.write(save(dict(sorted(weights.items())), {"format": "pt"}))
    write_jsonl(node.draft / "train.jsonl", [])
    members = [read_json(parent / MANIFEST) for parent in parents]
    lineage: dict = {}
    for member in members:
        lineage = add_exposure(lineage, member["lineage"])
    write_cost(node.draft, {**meter.cost(), "tokens": 0, "processes": 1})
    manifest = {"updates": 0, "exposure": {}, "lineage": lineage, "data": {}}
    _write_manifest(node, manifest, sha256_file(model / WEIGHTS), [member["weights"] for member in members])


def new_encoder(spec: dict, encoder: Tokenizer) -> MultiHeadEncoder:
    """A BERT of the spec's size, its weights drawn from the spec's seed."""
    from transformers import BertConfig, BertModel

    from crosstune.core.random_streams import derive

    config = BertConfig(
        vocab_size=encoder.vocabulary,
        hidden_size=spec["hidden"],
        num_hidden_layers=spec["layers"],
        num_attention_heads=spec["heads"],
        intermediate_size=4 * spec["hidden"],
        max_position_embeddings=spec["max_length"],
        pad_token_id=encoder.pad_id,
    )
    dropout = spec["recipe"].get("dropout")
    if dropout is not None:
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
    torch.manual_seed(derive(spec["seed"], "encoder"))
    return MultiHeadEncoder(BertModel(config, add_pooling_layer=False), spec["packing"])


def _run(node, network, mixture, key, parent, tokenizer, knobs, stop, main_head, moments) -> None:
    """Encode, plan, train, and write the folder with its manifest last."""
    spec, out, ranks = node.spec, node.draft, knobs.ranks
    meter = Meter(spec.get("threads", 1), ranks.size)
    encoder = Tokenizer(tokenizer)
    encoded = FeatureCache(knobs.cache, encoder)
    splits = rows_by_source(node.data)
    options = spec.get("encoding") or {"max_length": spec["max_length"]}
    contrast = contrastive_config(spec["recipe"], options["max_length"])
    encode = partial(encode_sources, network, encoded, splits, spec.get("source_heads", {}), options, contrast)
    corpus = ranks.main_process_first(encode)
    if corpus.pairs and contrast.learned_scale:
        network.learn_temperature(contrast.logit_scale)
    lengths = {source: windows.lengths for source, windows in corpus.windows.items()}
    budget = spec.get("budget", spec)
    plan = []
    if mixture.fresh:
        plan = plan_batches(lengths, mixture, budget["tokens"], key, budget.get("updates"), budget.get("epochs"))
    hashes, held_out = hashes_of(node.data), hashes_of(node.held_out)
    precision = resolve_precision(spec["precision"])
    stamp = sha256_json([spec, precision, {**hashes, **held_out}, parent.get("weights")])
    state = ResumeFolder(node.out / "state", stamp, meter)
    ranks.broadcast_from_main(lambda: write_json(node.out / "state" / "spec.json", spec))
    settings = TrainingSettings(spec["recipe"], key, precision, PASS_TOKENS, knobs.save_seconds)

    def progress(total: int, done: int) -> Progress:
        if not ranks.is_main:
            return Progress(node.out.name, total, done, terminal=io.StringIO())
        return Progress(node.out.name, total, done, node.progress_log)

    profiler = Profiler(knobs.profile) if knobs.profile and ranks.is_main else None
    used = SparseEmbedding(
        network, corpus.heads.values(), (windows.ids for windows in corpus.windows.values()), moments
    )
    decayed = partial(decay_factor, spec["recipe"], updates=len(plan))
    selection = None
    if "select" in spec:
        selection = selection_of(
            spec["select"], options, network, encoded, node.held_out, lambda done: used.full_matrix(decayed(done))
        )
    used.shrink()
    batcher = MicroBatcher(network, encoder, corpus, plan, settings)
    trainer = Trainer(batcher, state, selection, profiler, ranks)
    curve, moments = trainer.fit(stop, progress, used.select_rows(moments))
    ranks.shutdown()
    if not ranks.is_main:
        return
    used.restore(decayed(len(plan)))
    moments = used.expand_rows(moments)
    save_network(network, out / "model", tokenizer, main_head)
    write_jsonl(out / "train.jsonl", curve)
    if node.keep_optimizer:
        with atomic_open(out / OPTIMIZER) as file:
            file.write(save({name: tensor.contiguous() for name, tensor in moments.items()}))
    exposure = count_exposure(plan, lengths)
    weights = sha256_file(out / "model" / WEIGHTS)
    # What a stage has seen of each source since the base model; the base's own text does not count.
    lineage = add_exposure(parent["lineage"], exposure) if parent else {}
    tokens = sum(seen["tokens"] for seen in exposure.values())
    write_cost(out, {**meter.cost(), "tokens": tokens, "processes": ranks.size})
    manifest = {"updates": len(plan), "exposure": exposure, "lineage": lineage, "data": hashes}
    manifest |= {"precision": precision, "packed": network.packed}
    if selection:
        manifest |= {"held_out": held_out, "selection": {"update": selection.update, "looks": selection.evaluations}}
    if corpus.pairs:
        # Beside the budget: windows that were computed as partners alone.
        partners = [corpus.pairs.draw_partners(update, n, len(plan), key).values() for n, update in enumerate(plan)]
        manifest["partners"] = count_exposure(partners, lengths)
    _write_manifest(node, manifest, weights, [parent["weights"]] if parent else [])
    state.remove()
    predict_ahead(node, network, encoded)


def selection_of(
    select: dict,
    options: dict,
    network: MultiHeadEncoder,
    encoded: FeatureCache,
    held_out: Sequence[Path],
    able: Callable[[int], AbstractContextManager],
) -> BestCheckpoint:
    """Looks at prepared rows of the splits `held_out`, as a stage's spec wants them.

    `able`, of the updates that are done: while it is open, the network can compute on any text.
    """
    metric = metric_named(select["metric"])
    precision = resolve_precision(select["precision"])
    manifests: dict[str, list[Path]] = {}
    for path in held_out:
        manifests.setdefault(read_json(path)["split"], []).append(path)
    splits = {
        name: {source.rpartition(".")[2]: split for source, split in rows_by_source(paths).items()}
        for name, paths in manifests.items()
    }

    def scores(update: int) -> Scores:
        with able(update):
            return {
                name: {
                    language: metric.summarise(metric.measure(answers, language))
                    for language, answers in predict_splits(network, encoded, mine, select["head"], options, precision)
                }
                for name, mine in splits.items()
            }

    return BestCheckpoint(select["every"], metric.primary, scores)


def predict_ahead(node: Node, network: MultiHeadEncoder, encoded: FeatureCache) -> None:
    """The predictions that the node's whole draft is wanted for and has not, as far as their data are prepared."""
    weights = read_json(node.draft / MANIFEST)["weights"]
    try:
        for wanted in node.unpredicted:
            out, manifests = predictions_ahead(node.out, wanted["spec"]["dataset"]), list(map(Path, wanted["data"]))
            predict_dataset(wanted["spec"], network, encoded, weights, manifests, out, node.progress_log)
    except Exception as error:
        # The training is done; a job of the predictions will say what is wrong with them.
        print(f"{node.out} was not predicted from at once ({type(error).__name__}: {error})", file=sys.stderr)


def encode_sources(
    network: MultiHeadEncoder,
    encoded: FeatureCache,
    splits: dict[str, Split],
    heads: dict[str, str],
    options: dict,
    contrast: ContrastiveConfig | None = None,
) -> TrainingData:
    """Windows of every source's prepared rows, and the pairs among them where there is a `contrast`.

    Raises UserError for a source that gives no window, and where there are no pairs.
    """
    windows = {}
    for source, split in splits.items():
        windows[source] = encoded.windows(network.tasks[heads.get(source, "mlm")], split, options)
        if not len(windows[source]):
            raise UserError("there is nothing to train on", str(split.rows))
    heads = {source: heads.get(source, "mlm") for source in windows}
    pairing = None
    if contrast and windows:
        origins = {
            source: [origin_of(source, row) for row in read_jsonl(split.rows)] for source, split in splits.items()
        }
        pairing = contrast.translation_pairs(windows, heads, origins, encoded.tokenizer.special_ids)
    return TrainingData(windows, heads, pairing)


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


def _carried_moments(node: Node, parent: Path, manifest: dict) -> dict[str, torch.Tensor]:
    if node.spec["recipe"]["optimizer"] == "reset" or not manifest["parents"]:
        return {}
    if not (parent / OPTIMIZER).exists():
        fix = f"Make it again: snakemake --cores 1 --forcerun {node.parents[0]}/{MANIFEST}"
        raise UserError("the stage before did not keep its optimizer's state", str(parent / OPTIMIZER), fix)
    return load_file(parent / OPTIMIZER)


def _write_manifest(node: Node, manifest: dict, weights: str, parents: list[str]) -> None:
    write_json(node.draft / MANIFEST, {"spec": node.spec, "parents": parents, "weights": weights, **manifest})
