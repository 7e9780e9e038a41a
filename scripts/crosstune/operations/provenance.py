"""The provenance of a whole study: with what, on what and in how much time its results were made.

Owns: `provenance.json`, gathered from the manifests of the results and the notes beside them (`cost.json`), and how it
reads in words. Must never know: scores, what a report looks like.

It is written last and says what was, not what is: where nobody wrote something down it is missing or None.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from crosstune.artifacts.checkpoint import MANIFEST
from crosstune.core.files import read_json, sha256_json
from crosstune.data.leakage import LEAKAGE_VERSION
from crosstune.data.prepare import PREPARE_VERSION
from crosstune.evaluation.scoring import SCORE_VERSION
from crosstune.machine.environment import agent, made_by, now, read_cost, repository
from crosstune.study.comparisons import CONTRASTS_VERSION
from crosstune.study.graph import Study
from crosstune.study.paths import base_path
from crosstune.study.specs import PREDICT_VERSION, PRETRAIN_VERSION, TRAIN_VERSION, config_affecting_results

VERSIONS = {
    "prepare": PREPARE_VERSION,
    "leakage": LEAKAGE_VERSION,
    "pretrain": PRETRAIN_VERSION,
    "train": TRAIN_VERSION,
    "predict": PREDICT_VERSION,
    "score": SCORE_VERSION,
    "contrasts": CONTRASTS_VERSION,
}

KINDS = ("trainings", "predictions")


def provenance_of(study: Study, data: Sequence[Path]) -> dict:
    """The provenance of a study whose results are there; `data`: the manifests of its prepared splits.

    `config`, `config_sha256`; `code`, `lock_sha256`, `environment` of the process that gathers this; `agent`, who runs
    it; `repository`, the web address of the code; `versions` of the code that results depend on; `data`: of every
    prepared split its rows' hash, licence and sources with hashes and revisions; `models`; `made`: each combination of
    commit, tree, lock and hardware, with what it made; `cost` of trainings and predictions; `began`, `ended`: the first
    and the last moment that any of them tells, in UTC.
    """
    nodes = {path: node for path, node in study.checkpoints.items() if "hub" not in node.spec}
    trainings = [read_cost(Path(path)) for path in nodes]
    predictions = [
        read_cost(Path(path, "predictions", dataset)) for path, node in nodes.items() for dataset in node.evaluate
    ]
    told = [cost for cost in (*trainings, *predictions) if "began" in cost]
    return {
        "config": config_affecting_results(study.config),
        "config_sha256": sha256_json(config_affecting_results(study.config)),
        **made_by(),
        "agent": agent(),
        "repository": repository(),
        "versions": VERSIONS,
        "data": {str(path.with_suffix("")): _data(path) for path in data},
        "models": {name: _model(study, name) for name in study.config["models"]},
        "made": makers(trainings, predictions),
        "cost": {"trainings": total(trainings), "predictions": total(predictions)},
        "began": min((cost["began"] for cost in told), default=None),
        "ended": max((cost["ended"] for cost in told), default=now()),
    }


def total(costs: Sequence[Mapping]) -> dict:
    """Their number, their seconds and watt-hours; `energy_of` so many of them is known, None where of none."""
    energies = [cost["energy_wh"] for cost in costs if cost.get("energy_wh") is not None]
    return {
        "number": len(costs),
        "seconds": round(sum(cost.get("seconds", 0) for cost in costs), 1),
        "device_seconds": round(sum(cost.get("seconds", 0) * cost.get("devices", 0) for cost in costs), 1),
        "energy_wh": round(sum(energies), 4) if energies else None,
        "energy_of": len(energies),
    }


def makers(trainings: Sequence[Mapping], predictions: Sequence[Mapping]) -> list[dict]:
    """With what code and hardware results were made, the most frequent first."""
    keys = ("commit", "changed", "lock_sha256", "device", "devices", "cores")
    counts = {kind: Counter(map(_maker, costs)) for kind, costs in zip(KINDS, (trainings, predictions), strict=True)}
    every = sorted(sum(counts.values(), Counter()).items(), key=lambda item: (-item[1], str(item[0])))
    return [dict(zip(keys, maker, strict=True)) | {kind: counts[kind][maker] for kind in KINDS} for maker, _ in every]


# --- parts -----------------------------------------------------------------------------------------------------------


def _maker(cost: Mapping) -> tuple:
    code = cost.get("code") or {}
    made = (code.get("commit"), code.get("changed"), cost.get("lock_sha256"))
    return (*made, cost.get("device"), cost.get("devices", 0), cost.get("cores"))


def _data(path: Path) -> dict:
    manifest = read_json(path)
    return {key: manifest[key] for key in ("rows", "sha256", "licence", "sources")}


def _model(study: Study, name: str) -> dict:
    """The base model: where it is from, and the hash of its weights."""
    node = study.checkpoints[base_path(study.name, name, study.config["models"][name])]
    found = {"weights": read_json(Path(node.path, MANIFEST)).get("weights")}
    return {**node.spec, **found} if "hub" in node.spec else {"pretrained_on": node.spec["sources"], **found}
