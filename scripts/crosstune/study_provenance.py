"""The provenance of a whole study: with what, on what and in how much time its results were made.

Owns: `provenance.json`, gathered from the manifests of the results and the notes beside them (`cost.json`), and how it
reads in words. Must never know: scores, what a report looks like.

It is written last and says what was, not what is: where nobody wrote something down it is missing or None.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from crosstune.ahead import MANIFEST
from crosstune.comparisons import CONTRASTS_VERSION
from crosstune.files import read_json, sha256_json
from crosstune.leakage import LEAKAGE_VERSION
from crosstune.prepare import PREPARE_VERSION
from crosstune.provenance import agent, made_by, now, read_cost, repository
from crosstune.scoring import SCORE_VERSION
from crosstune.study import PREDICT_VERSION, PRETRAIN_VERSION, TRAIN_VERSION, Study, base_path

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
SHOWN_HASH = 12


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
        "config": study.told,
        "config_sha256": sha256_json(study.told),
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


def provenance_rows(provenance: Mapping) -> list[tuple[str, str]]:
    """What a person wants to know of a study's provenance.json, as (what, value) in words."""
    return [row for row in _rows(provenance) if row[1]]


def _rows(provenance: Mapping) -> Iterator[tuple[str, str]]:
    made = provenance.get("made", [])
    yield "Code", "; ".join(_each([code_told(maker) for maker in made]) or [code_told(_here(provenance))])
    locks = [(maker["lock_sha256"] or "unknown")[:SHOWN_HASH] for maker in made]
    yield "Lock of packages (SHA-256)", "; ".join(_each(locks) or [(provenance.get("lock_sha256") or "")[:SHOWN_HASH]])
    environment = provenance.get("environment", {})
    packages = [f"{name} {version}" for name, version in environment.get("packages", {}).items()]
    yield "Packages", ", ".join([f"Python {environment['python']}", *packages] if environment else [])
    yield "Config (SHA-256)", provenance.get("config_sha256", "")[:SHOWN_HASH]
    yield from (("Data", text) for text in _data_told(provenance.get("data", {})))
    yield from (("Model", _model_told(name, model)) for name, model in provenance.get("models", {}).items())
    yield "Hardware", "; ".join(_each([hardware_told(maker) for maker in made]))
    for kind, cost in provenance.get("cost", {}).items():
        if cost["number"]:
            yield f"Time of {kind}", time_told(cost)
    energies = [cost for cost in provenance.get("cost", {}).values() if cost["number"]]
    if energies:
        yield "Energy", energy_told(energies)
    if provenance.get("began"):
        yield "Computed", f"{provenance['began']} to {provenance['ended']}"


def code_told(maker: Mapping) -> str:
    """`commit 0123456789ab, with changes that are not committed`."""
    if not maker.get("commit"):
        return "unknown commit"
    tree = {True: ", with changes that are not committed", None: ", perhaps with changes"}.get(maker["changed"], "")
    return f"commit {maker['commit'][:SHOWN_HASH]}{tree}"


def hardware_told(maker: Mapping) -> str:
    """`2 x NVIDIA H200` or `AMD EPYC 7B13, 2 cores`."""
    if not maker["device"]:
        return "unknown"
    if maker["devices"]:
        return f"{maker['devices']} x {maker['device']}"
    return f"{maker['device']}, {maker['cores']} core{'s' * (maker['cores'] != 1)}"


def time_told(cost: Mapping) -> str:
    """`1.5 hours for 19, one after the other`, with GPU hours where there were GPUs."""
    devices = f"; {cost['device_seconds'] / 3600:.2g} GPU hours" if cost["device_seconds"] else ""
    return f"{cost['seconds'] / 3600:.2g} hours for {cost['number']}, one after the other{devices}"


def energy_told(costs: Sequence[Mapping]) -> str:
    """`0.31 kWh`, and of how many of the jobs, where not of all."""
    known, number = sum(cost["energy_of"] for cost in costs), sum(cost["number"] for cost in costs)
    if not known:
        return "not measured: this machine's counters could not be read"
    part = "" if known == number else f", measured for {known} of {number} jobs"
    return f"{sum(cost['energy_wh'] or 0 for cost in costs) / 1000:.2g} kWh{part}"


# --- parts -----------------------------------------------------------------------------------------------------------


def _maker(cost: Mapping) -> tuple:
    code = cost.get("code") or {}
    made = (code.get("commit"), code.get("changed"), cost.get("lock_sha256"))
    return (*made, cost.get("device"), cost.get("devices", 0), cost.get("cores"))


def _here(provenance: Mapping) -> dict:
    return {"commit": None, "changed": None} | provenance.get("code", {})


def _data(path: Path) -> dict:
    manifest = read_json(path)
    return {key: manifest[key] for key in ("rows", "sha256", "licence", "sources")}


def _model(study: Study, name: str) -> dict:
    """The base model: where it is from, and the hash of its weights."""
    node = study.checkpoints[base_path(study.results, name, study.config["models"][name])]
    found = {"weights": read_json(Path(node.path, MANIFEST)).get("weights")}
    return {**node.spec, **found} if "hub" in node.spec else {"pretrained_on": node.spec["sources"], **found}


def _each(texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _data_told(data: Mapping) -> Iterator[str]:
    """One line a data set: its licence, how many splits and rows, where from at which revision, and one hash of all."""
    datasets: dict[str, list[tuple[str, Mapping]]] = {}
    for path, split in data.items():
        datasets.setdefault(path.split("/")[1], []).append((path, split))
    for name, splits in sorted(datasets.items()):
        origins = _each([_origin(source) for _, split in splits for source in split["sources"]])
        origins = [origin for origin in origins if origin]
        licences = ", ".join(_each([split["licence"] for _, split in splits]))
        rows = sum(split["rows"] for _, split in splits)
        digest = sha256_json({path: split["sha256"] for path, split in splits})[:SHOWN_HASH]
        origin = f", from {'; '.join(origins)}" if origins else ""
        yield f"{name} ({licences}): {rows:,} rows in {len(splits)} splits{origin}; SHA-256 of their hashes {digest}"


def _origin(source: Mapping) -> str:
    """Where a file lies in the network, with what pins it; empty for a file on disk, which its hash alone tells."""
    if "hub" in source:
        return f"{source['hub']} at {source['revision'][:SHOWN_HASH]}"
    return source.get("url", "")


def _model_told(name: str, model: Mapping) -> str:
    weights = f"; weights SHA-256 {model['weights'][:SHOWN_HASH]}" if model.get("weights") else ""
    if "hub" in model:
        return f"{name}: {model['hub']} at {model['revision'][:SHOWN_HASH]}{weights}"
    return f"{name}: pretrained here on {len(model['pretrained_on'])} sources{weights}"
