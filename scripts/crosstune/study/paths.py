"""Paths of results and prepared data, and names of sources: parsing and printing them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

CHECKPOINT = re.compile(
    r"results/(?P<study>[^/]+)/(?P<model>[^/]+)/(base|seed(?P<seed>\d+)/(?P<track>[^/]+)/(?P<stages>.+))"
)
PREPARED = re.compile(r"data/(?P<dataset>[^/]+)/(?P<split>[^/.]+)\.(?P<language>[^/]+)\.json")

# Of the hash in the name of a folder: enough to be unique, and never as many as a commit of the hub has.
SHA256_DIGITS = 16


class Source(NamedTuple):
    """The training rows of one language of a data set, written `dataset.language`."""

    dataset: str
    language: str

    @classmethod
    def parse(cls, name: str) -> "Source":
        dataset, _, language = name.rpartition(".")
        return cls(dataset, language)

    def __str__(self) -> str:
        return f"{self.dataset}.{self.language}"

    @property
    def manifest(self) -> str:
        """The manifest of the prepared rows."""
        return str(PreparedPath(self.dataset, "train", self.language))


class PreparedPath(NamedTuple):
    """The manifest of a prepared split; its rows are in the .jsonl file of the same name."""

    dataset: str
    split: str
    language: str

    @classmethod
    def parse(cls, path: str) -> "PreparedPath":
        return cls(**PREPARED.fullmatch(path).groupdict())

    def __str__(self) -> str:
        return f"data/{self.dataset}/{self.split}.{self.language}.json"


@dataclass(frozen=True)
class CheckpointPath:
    """The folder of a checkpoint of a study: its base model, or `stages`, folders inside each other, of one seed."""

    study: str
    model: str
    seed: int | None = None
    track: str = ""
    stages: tuple[str, ...] = ()

    @staticmethod
    @cache
    def parse(path: str) -> "CheckpointPath":
        """The parts of `results/<study>/<model>/seed<n>/<track>/<stage>/...` or `results/<study>/<model>/base`."""
        parts = CHECKPOINT.fullmatch(path)
        if parts["seed"] is None:
            return CheckpointPath(parts["study"], parts["model"])
        stages = tuple(parts["stages"].split("/"))
        return CheckpointPath(parts["study"], parts["model"], int(parts["seed"]), parts["track"], stages)

    def __str__(self) -> str:
        home = f"results/{self.study}/{self.model}"
        return "/".join([f"{home}/seed{self.seed}/{self.track}", *self.stages]) if self.stages else f"{home}/base"


def study_name(config: Mapping) -> str:
    """The name of a study's results. A pilot has results of its own: no study's name has a tilde."""
    return f"{config['study']}~pilot" if config.get("pilot") else config["study"]


def base_path(study: str, name: str, model: Mapping) -> str:
    """Folder of a base model. Studies share models of the hub and of folders; a pretrained one belongs to its study."""
    if "hub" in model:
        return f"models/{model['hub'].replace('/', '--')}@{model['revision']}"
    if "folder" in model:
        return f"models/{name}@{model['sha256'][:SHA256_DIGITS]}"
    return str(CheckpointPath(study, name))
