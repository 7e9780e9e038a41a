"""The provenance of a study: code, environment, data, models, hardware and cost, for `provenance.json`.

It is gathered last, from the manifests and cost records of the results. Facts without a record are missing or None.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from crosstune.artifacts.checkpoint import MANIFEST
from crosstune.core.files import read_json, sha256_json
from crosstune.data.leakage import LEAKAGE_VERSION
from crosstune.data.prepare import PREPARE_VERSION
from crosstune.evaluation.scoring import SCORE_VERSION
from crosstune.machine.environment import agent, code_and_environment, read_cost, repository, utc_now
from crosstune.study.comparisons import CONTRASTS_VERSION
from crosstune.study.graph import Study
from crosstune.study.paths import PreparedPath, base_path
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


def study_provenance(study: Study, data: Sequence[Path]) -> dict:
    """The provenance of a finished study; `data`: the manifests of its prepared splits.

    `config`, `config_sha256`. `code`, `lock_sha256`, `environment`: of this process. `agent`: its user. `repository`:
    the web address of the code. `versions` of the code that results depend on. `data`: for every prepared split the
    number and hash of its rows, its licence and its sources with hashes and revisions. `models`. `made`: the number of
    trainings and predictions for each combination of commit, tree, lock and hardware. `cost` of trainings and
    predictions. `began`, `ended`: the first and the last recorded time, in UTC.
    """
    nodes = {path: node for path, node in study.checkpoints.items() if not node.is_given}
    trainings = [cost for path in nodes if "taken_from" not in (cost := read_cost(Path(path)))]
    predictions = [
        read_cost(Path(path, "predictions", dataset)) for path, node in nodes.items() for dataset in node.evaluate
    ]
    timed = [cost for cost in (*trainings, *predictions) if "began" in cost]
    return {
        "config": config_affecting_results(study.config),
        "config_sha256": sha256_json(config_affecting_results(study.config)),
        **code_and_environment(),
        "agent": agent(),
        "repository": repository(),
        "versions": VERSIONS,
        "data": {str(path.with_suffix("")): _data(study, path) for path in data},
        "models": {name: _model(study, name) for name in study.config["models"]},
        "made": producer_counts(trainings, predictions),
        "cost": {"trainings": total_cost(trainings), "predictions": total_cost(predictions)},
        "began": min((cost["began"] for cost in timed), default=None),
        "ended": max((cost["ended"] for cost in timed), default=utc_now()),
    }


def total_cost(costs: Sequence[Mapping]) -> dict:
    """Number, seconds and energy in Wh of some jobs. `energy_of`: the number of jobs with a known energy."""
    energies = [cost["energy_wh"] for cost in costs if cost.get("energy_wh") is not None]
    return {
        "number": len(costs),
        "seconds": round(sum(cost.get("seconds", 0) for cost in costs), 1),
        "device_seconds": round(sum(cost.get("seconds", 0) * cost.get("devices", 0) for cost in costs), 1),
        "energy_wh": round(sum(energies), 4) if energies else None,
        "energy_of": len(energies),
    }


def producer_counts(trainings: Sequence[Mapping], predictions: Sequence[Mapping]) -> list[dict]:
    """The number of trainings and predictions by code and hardware, the most frequent first."""
    keys = ("commit", "changed", "lock_sha256", "device", "devices", "cores")
    counts = {kind: Counter(map(_producer, costs)) for kind, costs in zip(KINDS, (trainings, predictions), strict=True)}
    every = sorted(sum(counts.values(), Counter()).items(), key=lambda item: (-item[1], str(item[0])))
    return [
        dict(zip(keys, values, strict=True)) | {kind: counts[kind][values] for kind in KINDS} for values, _ in every
    ]


# --- parts -----------------------------------------------------------------------------------------------------------


def _producer(cost: Mapping) -> tuple:
    code = cost.get("code") or {}
    versions = (code.get("commit"), code.get("changed"), cost.get("lock_sha256"))
    return (*versions, cost.get("device"), cost.get("devices", 0), cost.get("cores"))


def _data(study: Study, path: Path) -> dict:
    manifest = read_json(path)
    kept = {key: manifest[key] for key in ("rows", "sha256", "sources")}
    return kept | {"licence": study.registry[PreparedPath.parse(str(path)).dataset].licence}


def _model(study: Study, name: str) -> dict:
    """The origin of the base model and the hash of its weights."""
    node = study.checkpoints[base_path(study.name, name, study.config["models"][name])]
    weights = {"weights": read_json(Path(node.path, MANIFEST)).get("weights")}
    return {**node.spec, **weights} if node.is_given else {"pretrained_on": node.spec["sources"], **weights}
