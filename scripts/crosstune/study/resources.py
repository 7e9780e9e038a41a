"""What a job asks of a machine: memory, time and GPUs.

Owns: the estimates, and the assumptions that they stand on. Must never know: Snakemake, schedulers, what a job does.

An estimate is meant to be enough, not to be near: a scheduler ends a job that takes more than it asked for. What it
cannot know (how long texts are, how fast a machine is) it takes on the safe side; the page of a finished study says
what its jobs took of what they asked for. A job that is tried again asks for more.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from crosstune.core.files import read_json
from crosstune.study.graph import Checkpoint, Expansion
from crosstune.study.paths import CheckpointPath, PreparedPath
from crosstune.study.recipe import is_contrastive
from crosstune.study.retention import RetentionPolicy
from crosstune.study.specs import predict_spec
from crosstune.study.summary import parameters_of
from crosstune.study.targets import test_manifests

MIB = 2**20

# --- memory ----------------------------------------------------------------------------------------------------------

# A process with torch and transformers; with a GPU its context and libraries too.
PROCESS_MIB = 1500

GPU_PROCESS_MIB = 3000

# A parameter in training, in fp32: weight, gradient and AdamW's two moments.
TRAINED = 16

# While the state is saved: its bytes, in which weight and moments stand once more. And the best weights so far.
SAVED = 12 + 4

# A parameter in prediction: the weight, and once more while it is loaded.
LOADED = 8

# A parameter of an average: the sum in fp64, a member's weights, and the mean in fp32 with its bytes.
AVERAGED = 8 + 8 + 4 + 4

# Bytes of activations a token, for each unit of width of each layer. Korthikanti et al. (2022, arXiv:2205.05198) count
# 34 + 5 heads x length / width bytes in 16 bits. That is 64 for heads 64 wide and rows of 384, and twice that in fp32.
ACTIVATION = 128

# Tokens of a forward pass: PASS_TOKENS of checkpoint_job and of inference, which a job that only plans must not import.
TRAINING_PASS, PREDICTION_PASS = 4096, 8192

# Layers whose activations prediction has at once.
LIVE_LAYERS = 2

# A row as text and as tokens, and what is kept of it until all are decoded.
ROW = 10_000

# Logits of masked language modelling in fp32: themselves, their softmax and its gradient.
LOGITS = 3 * 4

# --- a model of the hub, of which only the number of parameters is known ---------------------------------------------

# Of one that does not state them: the largest of XTREME-R's models, XLM-R large, and some.
UNKNOWN_PARAMETERS = 600_000_000

# A multilingual encoder has half of its parameters or more in embeddings, a monolingual one a fifth.
BODY = 0.75

WIDTH = 768

# A model known to have fewer parameters than this computes on a CPU unless its key `gpus` says otherwise.
SMALL = 50_000_000

# --- time ------------------------------------------------------------------------------------------------------------

# Operations a token and parameter, forward and with backward (Kaplan et al. 2020, arXiv:2001.08361).
PREDICTED, LEARNED = 2, 6

# Operations per second that come out of a core and of a GPU. benchmarks/results/base.md has 1.2e11 a core on a machine
# without bf16; a GPU of 2017 (V100) has 1.5e13 in fp32 at its best, later ones ten times as many in bf16.
CORE_FLOPS, GPU_FLOPS = 4e10, 1e13

# Of an update, whatever its size: about a hundred kernels a layer, the data. And AdamW for each parameter on one core.
UPDATE_SECONDS, ADAMW_SECONDS = 0.05, 1e-9

# Encoding, decoding and writing a row: questions with their contexts are encoded at 2,500 a second.
ROW_SECONDS = 0.002

# Imports and the model from a disk in the network; and a checkpoint written and hashed there, a byte.
START_SECONDS, DISK_SECONDS = 180, 2e-8

# What everything else is multiplied by: another machine, busy neighbours, texts longer than thought.
MARGIN = 3

# Rows of a split of which nobody has said how many it has, and which is not prepared yet.
UNKNOWN_TEST_ROWS, UNKNOWN_TRAINING_ROWS = 5_000, 20_000

# Windows that a row is cut into.
WINDOWS = 3

# A row, of up to so many tokens, through a sequence-to-sequence model on a GPU; through a program, which has so much
# memory beside the rows.
TRANSLATED_SECONDS, TRANSLATED_LENGTH = {True: 0.5, False: 0.1}, 512

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
        """Snakemake's resources: `mem_mb` (MiB) doubles with every attempt, `runtime` (minutes) grows by as much again.

        `gpu` is left out where none is wanted. `tasks` is 0 where there are several GPUs: without it SLURM's plugin
        starts the command once for each of them (snakemake-executor-plugin-slurm, issues 316 and 459).
        """
        asked = {"mem_mb": math.ceil(self.mib) * 2 ** (attempt - 1), "runtime": math.ceil(self.seconds / 60) * attempt}
        return asked | ({"gpu": self.gpus} if self.gpus else {}) | ({"tasks": 0} if self.gpus > 1 else {})


# Jobs that compute nothing to speak of: (MiB, minutes).
LIGHT = {
    name: Resources(mib, 60 * minutes)
    for name, (mib, minutes) in {
        "synthetic": (2000, 30),
        "fetch": (2000, 720),
        "fetch_model": (16000, 720),
        "prepare": (4000, 60),
        "leakage": (8000, 240),
        "pin": (2000, 60),
        "plan_file": (2000, 20),
        "provenance": (2000, 60),
        "crate": (4000, 240),
        "list_stale": (2000, 60),
        "status": (2000, 20),
        "install_predictions": (500, 20),
        "score": (2000, 60),
        "baselines": (2000, 60),
        "distances": (1000, 20),
        "contrasts": (4000, 60),
        "tables": (4000, 60),
        "figures": (4000, 60),
        "report": (4000, 60),
        "submission": (4000, 60),
        "remove_weights": (500, 20),
        "clean": (500, 20),
    }.items()
}


@dataclass(frozen=True)
class Size:
    """What of a model decides how much it asks for. Where only the parameters are known, a shape that has so many."""

    parameters: int
    width: int
    layers: float
    gpus: int

    @classmethod
    def of(cls, model: Mapping) -> "Size":
        """The size of a model of the config."""
        parameters = parameters_of(model) or UNKNOWN_PARAMETERS
        if "pretrain" in model:
            width, layers = model["pretrain"]["hidden"], model["pretrain"]["layers"]
        else:
            width, layers = WIDTH, BODY * parameters / (12 * WIDTH**2)
        return cls(parameters, width, layers, gpus_of(model))

    @property
    def multiplied(self) -> float:
        """Parameters that every token is multiplied by: the layers' matrices. Embeddings are looked up."""
        return 12 * self.layers * self.width**2

    def activations(self, tokens: float, layers: float | None = None) -> float:
        """Bytes of the activations of a forward pass."""
        return tokens * self.width * (self.layers if layers is None else layers) * ACTIVATION

    def seconds(self, operations: float, tokens: float, threads: int) -> float:
        """To compute that many operations a parameter and token."""
        speed = GPU_FLOPS * self.gpus if self.gpus else CORE_FLOPS * threads
        return operations * self.parameters * tokens / speed


def gpus_of(model: Mapping) -> int:
    """GPUs that a model's jobs ask for: as its key `gpus` says, else none for one known to be small, one for others."""
    parameters = parameters_of(model)
    return model.get("gpus", 0 if parameters is not None and parameters < SMALL else 1)


def process_mib(size: Size) -> float:
    return PROCESS_MIB + (GPU_PROCESS_MIB if size.gpus else 0)


def training(
    size: Size, updates: float, tokens: float, rows: float, threads: int, pass_tokens: float = TRAINING_PASS,
    logits: float = 0,
) -> Resources:  # fmt: skip
    """A training of so many updates of `tokens` tokens on `rows` rows. `logits`: those of a pass, over a vocabulary.

    On a machine without GPU the activations are in its memory; a job that gets one asks for them nevertheless. Of
    several GPUs each has a process that loads the model and the moments that were saved.
    """
    others = max(0, size.gpus - 1) * (process_mib(size) + size.parameters * TRAINED / MIB)
    memory = size.parameters * (TRAINED + SAVED) + size.activations(pass_tokens) + logits * LOGITS + rows * ROW
    work = size.seconds(LEARNED, updates * tokens, threads) + updates * UPDATE_SECONDS + rows * ROW_SECONDS
    work += (0 if size.gpus else updates * size.parameters * ADAMW_SECONDS) + size.parameters * TRAINED * DISK_SECONDS
    return Resources(process_mib(size) + memory / MIB + others, MARGIN * work, size.gpus)


def prediction(size: Size, rows: float, length: int, threads: int) -> Resources:
    """Predictions of so many rows whose windows have up to `length` tokens; of several GPUs they use one."""
    size = replace(size, gpus=min(size.gpus, 1))
    memory = size.parameters * LOADED + size.activations(PREDICTION_PASS, LIVE_LAYERS) + rows * ROW
    work = size.seconds(PREDICTED, rows * WINDOWS * length, threads) + rows * ROW_SECONDS
    return Resources(process_mib(size) + memory / MIB, MARGIN * work, size.gpus)


def averaging(size: Size, members: int) -> Resources:
    """The mean of several checkpoints' weights; no GPU does it."""
    work = size.parameters * 4 * (members + 2) * DISK_SECONDS
    return Resources(PROCESS_MIB + size.parameters * AVERAGED / MIB, MARGIN * work)


class JobResources:
    """The resources that the jobs of a study request. Their paths are those of the study's checkpoints."""

    def __init__(self, study: Expansion, retention: RetentionPolicy):
        self._study, self._retention = study, retention
        self._rows: dict[str, int] = {}
        self._found: dict[tuple, Resources] = {}

    def train(self, path: str) -> Resources:
        """A training with its predictions, after retraining ancestors whose weights were removed."""
        if path not in self._found:
            parts = [self._checkpoint(node) for node in (*self._retention.to_retrain(self._parents(path)), path)]
            parts += [self._prediction(path, name) for name in self._study.checkpoints[path].evaluate]
            self._found[path] = self._start.plus(*parts)
        return self._found[path]

    def average(self, path: str) -> Resources:
        """An average, after retraining members whose weights were removed."""
        retrained = self._retention.to_retrain(self._parents(path))
        return self._start.plus(self._checkpoint(path), *map(self._checkpoint, retrained))

    def predict(self, path: str, dataset: str) -> Resources:
        """Predictions of a checkpoint on a data set, after retraining it if its weights were removed."""
        if (path, dataset) not in self._found:
            retrained = [self._checkpoint(node) for node in self._retention.to_retrain([path])]
            self._found[path, dataset] = self._start.plus(*retrained, self._prediction(path, dataset))
        return self._found[path, dataset]

    def translate(self, rows: str, by_model: bool) -> Resources:
        """Translation of the prepared rows of a manifest, by a sequence-to-sequence model or by a program."""
        seconds = MARGIN * self.rows_at(rows, UNKNOWN_TRAINING_ROWS) * TRANSLATED_SECONDS[by_model]
        if not by_model:
            return self._start.plus(Resources(PROGRAM_MIB, seconds))
        size = Size.of({"hub": "translator"})
        return self._start.plus(prediction(size, 0, TRANSLATED_LENGTH, self._threads), Resources(0, seconds, size.gpus))

    def rows_at(self, manifest: str, unknown: int | None = None) -> int | None:
        """Rows of a prepared split: as its record says, else as counted where it is prepared, else `unknown`."""
        if manifest not in self._rows:
            dataset, split, language = PreparedPath.parse(manifest)
            rows = self._study.registry[dataset].require(language, split).rows.get(language)
            if rows is None:
                if not Path(manifest).exists():
                    return unknown
                rows = read_json(manifest)["rows"]
            self._rows[manifest] = rows
        return self._rows[manifest]

    @property
    def _start(self) -> Resources:
        return Resources(0, START_SECONDS)

    @property
    def _threads(self) -> int:
        return self._study.config["threads"]

    @cached_property
    def _sizes(self) -> dict[str, Size]:
        return {name: Size.of(model) for name, model in self._study.config["models"].items()}

    def _size(self, path: str) -> Size:
        return self._sizes[CheckpointPath.parse(path).model]

    def _parents(self, path: str) -> tuple[str, ...]:
        return self._study.checkpoints[path].parents

    def _checkpoint(self, path: str) -> Resources:
        """One checkpoint, without what its process does besides."""
        node, size = self._study.checkpoints[path], self._size(path)
        spec = node.spec
        if "average" in spec:
            return averaging(size, len(spec["average"]))
        budget, longest = spec.get("budget", spec), spec.get("encoding", spec)["max_length"]
        rows = sum(self.rows_at(manifest, UNKNOWN_TRAINING_ROWS) for manifest in node.data)
        updates = budget.get("updates")
        if updates is None:
            updates = budget["epochs"] * rows * WINDOWS * longest / budget["tokens"]
        pairs = pairs_of(spec)
        tokens = budget["tokens"] * (2 if is_contrastive(spec["recipe"]) else 1)
        # Texts that are each other's negatives share a pass; on average they are half as long as the longest may be.
        pass_tokens = max(TRAINING_PASS, pairs * 2 * longest / 2)
        logits = TRAINING_PASS * spec["recipe"]["mlm_probability"] * spec["vocabulary"] if "vocabulary" in spec else 0
        made = training(size, updates, tokens, rows, node.threads, pass_tokens, logits)
        return made.plus(*self._looks(node, size, updates))

    def _looks(self, node: Checkpoint, size: Size, updates: float) -> list[Resources]:
        """Scores of held-out rows along the training; they compute in the memory of the training."""
        if "select" not in node.spec:
            return []
        rows = sum(self.rows_at(manifest, UNKNOWN_TEST_ROWS) for manifest in node.held_out)
        look = prediction(size, rows, node.spec["encoding"]["max_length"], node.threads)
        return [Resources(look.mib, look.seconds * math.ceil(updates / node.spec["select"]["every"]), size.gpus)]

    def _prediction(self, path: str, dataset: str) -> Resources:
        manifests = test_manifests(self._study, path, dataset)
        rows = sum(self.rows_at(manifest, UNKNOWN_TEST_ROWS) for manifest in manifests)
        encoding = predict_spec(self._study, path, dataset)["encoding"]
        return prediction(self._size(path), rows, encoding["max_length"], self._threads)


def pairs_of(spec: Mapping) -> int:
    """Pairs of texts that must share a forward pass, whatever their length; 0 where rows are on their own."""
    recipe, found = spec["recipe"], [0]
    if is_contrastive(recipe):
        found.append(recipe["contrastive"].get("negatives", 64))
    if "retrieval" in spec.get("source_heads", {}).values():
        found.append(recipe.get("negatives", 64))
    return max(found)
