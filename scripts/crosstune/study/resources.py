"""The resources that jobs request: memory, time and GPUs.

An estimate is an upper bound, because a scheduler ends a job that exceeds its request. Unknown quantities, such as the
lengths of texts or the speed of a machine, are estimated on the safe side. The report of a finished study compares
usage with requests. Every further attempt of a job requests more.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from crosstune.artifacts.choice import resolve_recipe, swept_keys
from crosstune.core.files import read_json
from crosstune.core.packing import PREDICTION_PASS_TOKENS, TRAINING_PASS_TOKENS
from crosstune.data.part_names import HELD, split_part
from crosstune.study.adapters import size_at, sizes_of
from crosstune.study.graph import Checkpoint, Expansion
from crosstune.study.model_size import Size
from crosstune.study.paths import PreparedPath
from crosstune.study.recipe import is_contrastive
from crosstune.study.retention import RetentionPolicy
from crosstune.study.specs import predict_spec
from crosstune.study.targets import test_manifests

MIB = 2**20

# --- memory ----------------------------------------------------------------------------------------------------------

# A process with torch and transformers; with a GPU its context and libraries too.
PROCESS_MIB = 1500

GPU_PROCESS_MIB = 3000

# A trained parameter, in fp32: weight, gradient and AdamW's two moments.
TRAIN_BYTES = 16

# While the state is saved: its bytes, a copy of weight and moments. And the best weights so far.
SAVE_BYTES = 12 + 4

# A parameter in prediction, or frozen in training: the weight, and a copy while it is loaded.
LOAD_BYTES = 8

# A parameter of an average: the sum in fp64, a member's weights, and the mean in fp32 with its bytes.
AVERAGE_BYTES = 8 + 8 + 4 + 4

# Layers whose activations prediction holds at once.
LIVE_LAYERS = 2

# A row as text and as tokens, and its logits until all rows are decoded.
ROW_BYTES = 10_000

# Logits of masked language modelling in fp32: themselves, their softmax and its gradient.
LOGIT_BYTES = 3 * 4

# --- time ------------------------------------------------------------------------------------------------------------

# Operations per token and parameter, forward (Kaplan et al. 2020, arXiv:2001.08361).
PREDICT_OPERATIONS = 2

# Of an update of any size: about a hundred kernels a layer, the data. And AdamW for each parameter on one core.
UPDATE_SECONDS, ADAMW_SECONDS = 0.05, 1e-9

# Encoding, decoding and writing a row: questions with their contexts are encoded at 2,500 a second.
ROW_SECONDS = 0.002

# Imports and the model from a network disk; and to write and hash a checkpoint there, per byte.
START_SECONDS, DISK_SECONDS = 180, 2e-8

# The factor of all computed times: another machine, busy neighbours, longer texts.
MARGIN = 3

# Rows of a split whose record states no number and which is not prepared yet.
UNKNOWN_TEST_ROWS, UNKNOWN_TRAINING_ROWS = 5_000, 20_000

# Windows per row.
WINDOWS_PER_ROW = 3

# Seconds to translate a row by a sequence-to-sequence model on a GPU (True) or by a program; the tokens of a row; the
# memory of a program besides the rows.
TRANSLATE_SECONDS, TRANSLATE_LENGTH = {True: 0.5, False: 0.1}, 512

PROGRAM_MIB = 4000


@dataclass(frozen=True)
class Resources:
    """Memory in MiB, time in seconds and GPUs of a job that runs for the first time."""

    mib: float
    seconds: float
    gpus: int = 0

    def plus(self, *others: "Resources") -> "Resources":
        """The resources of one process that does this and then the others."""
        every = (self, *others)
        return Resources(max(a.mib for a in every), sum(a.seconds for a in every), max(a.gpus for a in every))

    def as_snakemake(self, attempt: int = 1) -> dict[str, int]:
        """Snakemake's resources: `mem_mb` (MiB) doubles with every attempt, `runtime` (minutes) grows linearly.

        `gpu` is left out if there is none. With several GPUs `tasks` is 0: without it SLURM's plugin starts the command
        once for each of them (snakemake-executor-plugin-slurm, issues 316 and 459).
        """
        request = {
            "mem_mb": math.ceil(self.mib) * 2 ** (attempt - 1),
            "runtime": math.ceil(self.seconds / 60) * attempt,
        }
        return request | ({"gpu": self.gpus} if self.gpus else {}) | ({"tasks": 0} if self.gpus > 1 else {})


START = Resources(0, START_SECONDS)

# Jobs that compute little: (MiB, minutes).
LIGHT = {
    name: Resources(mib, 60 * minutes)
    for name, (mib, minutes) in {
        "synthetic": (2000, 30),
        "fetch": (2000, 720),
        "fetch_model": (16000, 720),
        "copy_model": (16000, 120),
        "prepare": (4000, 60),
        "check": (8000, 240),
        "leakage": (8000, 240),
        "pin": (2000, 60),
        "plan_file": (2000, 20),
        "provenance": (2000, 60),
        "crate": (4000, 240),
        "list_stale": (2000, 60),
        "corrections": (2000, 60),
        "status": (2000, 20),
        "install_predictions": (500, 20),
        "score": (2000, 60),
        "choose": (1000, 20),
        "baselines": (2000, 60),
        "distances": (1000, 20),
        "contrasts": (4000, 60),
        "buckets": (4000, 60),
        "tables": (4000, 60),
        "figures": (4000, 60),
        "figure": (4000, 60),
        "report": (4000, 60),
        "submission": (4000, 60),
        "examples": (4000, 60),
        "model_cards": (4000, 60),
        "remove_weights": (500, 20),
        "clean": (500, 20),
    }.items()
}


def process_mib(size: Size) -> float:
    return PROCESS_MIB + (GPU_PROCESS_MIB if size.gpus else 0)


def training(
    size: Size, updates: float, tokens: float, rows: float, threads: int, pass_tokens: float = TRAINING_PASS_TOKENS,
    logits: float = 0,
) -> Resources:  # fmt: skip
    """A training of `updates` updates of `tokens` tokens on `rows` rows. `logits`: their number per pass.

    Activations are requested as main memory even with a GPU, because a machine without one holds them there. Each of
    several GPUs has a process that loads the model and the saved moments.
    """
    frozen = (size.parameters - size.trained_parameters) * LOAD_BYTES
    others = max(0, size.gpus - 1) * (process_mib(size) + (size.trained_parameters * TRAIN_BYTES + frozen) / MIB)
    memory = (
        size.trained_parameters * (TRAIN_BYTES + SAVE_BYTES)
        + frozen
        + size.activations(pass_tokens)
        + logits * LOGIT_BYTES
        + rows * ROW_BYTES
    )
    work = (
        size.seconds(size.training_operations, updates * tokens, threads)
        + updates * UPDATE_SECONDS
        + rows * ROW_SECONDS
    )
    work += (
        0 if size.gpus else updates * size.trained_parameters * ADAMW_SECONDS
    ) + size.trained_parameters * TRAIN_BYTES * DISK_SECONDS
    return Resources(process_mib(size) + memory / MIB + others, MARGIN * work, size.gpus)


def prediction(size: Size, rows: float, length: int, threads: int) -> Resources:
    """Predictions of `rows` rows whose windows have up to `length` tokens; they use at most one GPU."""
    size = replace(size, gpus=min(size.gpus, 1))
    memory = size.parameters * LOAD_BYTES + size.activations(PREDICTION_PASS_TOKENS, LIVE_LAYERS) + rows * ROW_BYTES
    work = size.seconds(PREDICT_OPERATIONS, rows * WINDOWS_PER_ROW * length, threads) + rows * ROW_SECONDS
    return Resources(process_mib(size) + memory / MIB, MARGIN * work, size.gpus)


def averaging(size: Size, members: int) -> Resources:
    """The mean of several checkpoints' weights, on the CPU."""
    work = size.trained_parameters * 4 * (members + 2) * DISK_SECONDS
    return Resources(PROCESS_MIB + size.trained_parameters * AVERAGE_BYTES / MIB, MARGIN * work)


class JobResources:
    """The resources that the jobs of a study request, by the paths of its checkpoints."""

    def __init__(self, study: Expansion, retention: RetentionPolicy):
        self._study, self._retention = study, retention
        self._rows: dict[str, int] = {}
        self._requests: dict[object, Resources] = {}

    def train(self, path: str) -> Resources:
        """A training with its predictions, after retraining ancestors whose weights were removed."""
        if path not in self._requests:
            node = self._study.checkpoints[path]
            parts = map(self._checkpoint, (*self._retention.to_retrain(node.parents), path))
            self._requests[path] = START.plus(*parts, *(self._prediction(path, name) for name in node.evaluate))
        return self._requests[path]

    def average(self, path: str) -> Resources:
        """An average, after retraining members whose weights were removed."""
        retrained = self._retention.to_retrain(self._study.checkpoints[path].parents)
        return START.plus(self._checkpoint(path), *map(self._checkpoint, retrained))

    def predict(self, path: str, dataset: str) -> Resources:
        """Predictions of a checkpoint on a data set, after retraining it if its weights were removed."""
        if (path, dataset) not in self._requests:
            retrained = map(self._checkpoint, self._retention.to_retrain([path]))
            self._requests[path, dataset] = START.plus(*retrained, self._prediction(path, dataset))
        return self._requests[path, dataset]

    def translate(self, rows: str, by_model: bool) -> Resources:
        """Translation of the prepared rows of a manifest, by a sequence-to-sequence model or by a program."""
        seconds = MARGIN * self.rows_at(rows, UNKNOWN_TRAINING_ROWS) * TRANSLATE_SECONDS[by_model]
        if not by_model:
            return START.plus(Resources(PROGRAM_MIB, seconds))
        size = Size.of({"hub": "translator"})
        threads = self._study.config["threads"]
        return START.plus(prediction(size, 0, TRANSLATE_LENGTH, threads), Resources(0, seconds, size.gpus))

    def rows_at(self, manifest: str, unknown: int | None = None) -> int | None:
        """The number of rows of a prepared split: from its record, else from its manifest, else `unknown`."""
        if manifest not in self._rows:
            dataset, split, language = PreparedPath.parse(manifest)
            rows = self._study.registry[dataset].require(language, split).rows.get(language)
            if rows is None:
                if not Path(manifest).exists():
                    return self._rows_of_part(manifest, unknown)
                rows = read_json(manifest)["rows"]
            self._rows[manifest] = rows
        return self._rows[manifest]

    def _rows_of_part(self, manifest: str, unknown: int | None) -> int | None:
        """The most rows that a part can have; `unknown` if nothing limits them."""
        dataset, split, language = PreparedPath.parse(manifest)
        whole, part = split_part(dataset)
        if not part:
            return unknown
        origin = "train" if (part.kind, split) == (HELD, "validation") else split
        rows = self.rows_at(str(PreparedPath(whole, origin, language)), unknown)
        if part.kind == HELD and split == origin:
            return rows
        return part.number if rows is None else min(part.number, rows)

    @cached_property
    def _sizes(self) -> dict[str, Size]:
        return sizes_of(self._study.config)

    def _size(self, path: str) -> Size:
        return size_at(self._study, path, self._sizes)

    def _checkpoint(self, path: str) -> Resources:
        """One checkpoint, without the other work of its process."""
        node, size = self._study.checkpoints[path], self._size(path)
        spec = node.spec
        if "average" in spec:
            return averaging(size, len(spec["average"]))
        budget, longest = spec.get("budget", spec), spec.get("encoding", spec)["max_length"]
        rows = sum(self.rows_at(manifest, UNKNOWN_TRAINING_ROWS) for manifest in node.data)
        updates = budget.get("updates")
        if updates is None:
            updates = budget["epochs"] * rows * WINDOWS_PER_ROW * longest / budget["tokens"]
        pairs = pairs_of(spec)
        tokens = budget["tokens"] * (2 if is_contrastive(spec["recipe"]) else 1)
        # Texts that are each other's negatives share a pass; on average they have half of the greatest length.
        pass_tokens = max(TRAINING_PASS_TOKENS, pairs * 2 * longest / 2)
        logits = (
            TRAINING_PASS_TOKENS * spec["recipe"]["mlm_probability"] * spec["vocabulary"] if "vocabulary" in spec else 0
        )
        request = training(size, updates, tokens, rows, node.threads, pass_tokens, logits)
        return request.plus(*self._evaluations(node, size, updates))

    def _evaluations(self, node: Checkpoint, size: Size, updates: float) -> list[Resources]:
        """Scores of held-out rows during the training, in the same process."""
        if "select" not in node.spec:
            return []
        rows = sum(self.rows_at(manifest, UNKNOWN_TEST_ROWS) for manifest in node.held_out)
        one = prediction(size, rows, node.spec["encoding"]["max_length"], node.threads)
        return [Resources(one.mib, one.seconds * math.ceil(updates / node.spec["select"]["every"]), size.gpus)]

    def _prediction(self, path: str, dataset: str) -> Resources:
        manifests = test_manifests(self._study, path, dataset)
        rows = sum(self.rows_at(manifest, UNKNOWN_TEST_ROWS) for manifest in manifests)
        encoding = predict_spec(self._study, path, dataset)["encoding"]
        return prediction(self._size(path), rows, encoding["max_length"], self._study.config["threads"])


def pairs_of(spec: Mapping) -> int:
    """Pairs of texts of any length that must share a forward pass; 0 if the loss compares no texts."""
    recipe = spec["recipe"]
    # Of a sweep, the most that may be chosen.
    recipe = resolve_recipe(recipe, {key: max(values) for key, values in swept_keys(recipe).items()})
    contrastive = recipe["contrastive"].get("negatives", 64) if is_contrastive(recipe) else 0
    retrieval = "retrieval" in spec.get("source_heads", {}).values()
    return max(contrastive, recipe.get("negatives", 64) if retrieval else 0)
