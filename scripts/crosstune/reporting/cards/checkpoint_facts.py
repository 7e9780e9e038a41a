"""What a card says of a checkpoint: its schedules, its lineage of stages, its data and its scores."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from crosstune.analysis.results import Panel, StudyResults, read_json_object, scored_dataset
from crosstune.artifacts.adapter import MERGED, is_adapter
from crosstune.artifacts.checkpoint import MANIFEST, MODEL, has_weights
from crosstune.core.files import read_json_or_empty


@dataclass(frozen=True)
class DatasetScores:
    """The scores of one data set: by language, and what its prepared rows come from."""

    panel: Panel
    by_language: Mapping[str, Mapping[str, float]]
    manifests: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class CheckpointFacts:
    """One checkpoint with weights. `uses`: the runs that it is a stage of, each with the stage's number from 0."""

    study: StudyResults
    results: Path
    data: Path
    path: str
    uses: tuple[tuple[Mapping[str, Any], int], ...]

    @property
    def folder(self) -> Path:
        """The folder of the model, which is uploaded."""
        return self.results / self.path / MODEL

    @property
    def run(self) -> Mapping[str, Any]:
        """The run that the card names it after: one that ends here, or else the first."""
        ending = [run for run, stage in self.uses if stage == len(run["stages"]) - 1]
        return ending[0] if ending else self.uses[0][0]

    @property
    def stage(self) -> int:
        """Its number among the stages of that run, from 0."""
        return self.run["stages"].index(self.path)

    @property
    def is_final(self) -> bool:
        return self.stage == len(self.run["stages"]) - 1

    @property
    def name(self) -> str:
        """`qa-study-tiny-joint-seed1`, with the stage if more follow."""
        run = self.run
        parts = [self.study.plan["study"], run["model"], run["track"], run["schedule"], f"seed{run['seed']}"]
        parts += [f"fold{run['fold']}"] if run.get("fold") else []
        return "-".join([*parts, *([] if self.is_final else [f"stage{self.stage + 1}"])])

    @cached_property
    def manifests(self) -> list[Mapping[str, Any]]:
        """The manifests of its stages, from the first to its own; of an average its own alone."""
        paths = self.run["stages"][: self.stage + 1]
        return [read_json_object(self.results / path / MANIFEST) or {} for path in paths]

    @property
    def manifest(self) -> Mapping[str, Any]:
        return self.manifests[-1]

    @cached_property
    def cost(self) -> Mapping[str, Any]:
        """The record of its training; empty without one."""
        return read_json_or_empty(self.results / self.path / "cost.json")

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The config of the model."""
        return read_json_or_empty(self.folder / "config.json")

    @property
    def base(self) -> Mapping[str, str]:
        """What is known of its base model: the hub's id and commit, the licence; empty without."""
        return self.study.plan["model_cards"]["models"].get(self.run["model"], {})

    @property
    def is_adapter(self) -> bool:
        """Whether it is an adapter, which needs its base model."""
        return is_adapter(self.folder)

    @property
    def merged_adapters(self) -> int:
        """The adapters of earlier stages that are added to the base model's weights before its own."""
        return len(list((self.folder / MERGED).glob("*")))

    @property
    def mixtures(self) -> list[list[str]]:
        """The sources of its stages."""
        return [list(sources) for sources in self.run["mixtures"][: self.stage + 1]]

    @property
    def trained_sources(self) -> dict[str, tuple[int, int]]:
        """Examples and tokens of every source that its lineage trained on; zeros where they are not recorded."""
        recorded = self.manifest.get("lineage", {})
        sources = {source: (0, 0) for sources in self.mixtures for source in sources}
        return sources | {source: (own["examples"], own["tokens"]) for source, own in recorded.items()}

    @property
    def tests(self) -> Iterator[DatasetScores]:
        """The data sets that it is scored on."""
        run, track = self.run, self.study.plan["tracks"][self.run["track"]]
        for dataset in track["evaluate"]:
            name = scored_dataset(track, dataset, run.get("fold", 0) if dataset in track.get("folded", []) else 0)
            scores = self.study.scores.get((self.path, name), {})
            panel = Panel(self.study, run["model"], run["track"], dataset)
            found = {lang: scores[lang] for lang in panel.languages if lang in scores}
            if found:
                rows = {lang: read_json_or_empty(self.data / name / f"test.{lang}.json") for lang in found}
                yield DatasetScores(panel, found, rows)


def kept_checkpoints(study: StudyResults, results: Path, data: Path, final: bool) -> list[CheckpointFacts]:
    """Every trained checkpoint of the plan that has its weights, each once; if `final`, the last one of each run."""
    uses: dict[str, list[tuple[Mapping[str, Any], int]]] = {}
    for run in study.plan["runs"]:
        for stage, path in enumerate(run["stages"]):
            if final and stage < len(run["stages"]) - 1:
                continue
            if run["updates"][stage : stage + 1] != [0] and (run["mixtures"] or "members" in run):
                uses.setdefault(path, []).append((run, stage))
    return [
        CheckpointFacts(study, results, data, path, tuple(own))
        for path, own in uses.items()
        if has_weights(results / path)
    ]
