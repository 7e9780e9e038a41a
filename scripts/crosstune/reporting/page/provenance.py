"""The provenance of a study in words."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from crosstune.core.files import sha256_json

SHOWN_HASH = 12


def provenance_rows(provenance: Mapping) -> list[tuple[str, str]]:
    """The main facts of a study's provenance.json as (subject, text)."""
    return [row for row in _rows(provenance) if row[1]]


def _rows(provenance: Mapping) -> Iterator[tuple[str, str]]:
    producers = provenance.get("made", [])
    code = {"commit": None, "changed": None} | provenance.get("code", {})
    yield "Code", "; ".join(_unique([code_text(producer) for producer in producers]) or [code_text(code)])
    locks = [(producer["lock_sha256"] or "unknown")[:SHOWN_HASH] for producer in producers]
    yield (
        "Lock of packages (SHA-256)",
        "; ".join(_unique(locks) or [(provenance.get("lock_sha256") or "")[:SHOWN_HASH]]),
    )
    environment = provenance.get("environment", {})
    packages = [f"{name} {version}" for name, version in environment.get("packages", {}).items()]
    yield "Packages", ", ".join([f"Python {environment['python']}", *packages] if environment else [])
    yield "Config (SHA-256)", provenance.get("config_sha256", "")[:SHOWN_HASH]
    yield from (("Data", text) for text in _data_texts(provenance.get("data", {})))
    yield from (("Model", _model_text(name, model)) for name, model in provenance.get("models", {}).items())
    yield "Hardware", "; ".join(_unique([hardware_text(producer) for producer in producers]))
    for kind, cost in provenance.get("cost", {}).items():
        if cost["number"]:
            yield f"Time of {kind}", time_text(cost)
    energies = [cost for cost in provenance.get("cost", {}).values() if cost["number"]]
    if energies:
        yield "Energy", energy_text(energies)
    if provenance.get("began"):
        yield "Computed", f"{provenance['began']} to {provenance['ended']}"


def code_text(producer: Mapping) -> str:
    """`commit 0123456789ab, with uncommitted changes`."""
    if not producer.get("commit"):
        return "unknown commit"
    tree = {True: ", with uncommitted changes", None: ", possibly with changes"}.get(producer["changed"], "")
    return f"commit {producer['commit'][:SHOWN_HASH]}{tree}"


def hardware_text(producer: Mapping) -> str:
    """`2 x NVIDIA H200` or `AMD EPYC 7B13, 2 cores`."""
    if not producer["device"]:
        return "unknown"
    if producer["devices"]:
        return f"{producer['devices']} x {producer['device']}"
    return f"{producer['device']}, {producer['cores']} core{'s' * (producer['cores'] != 1)}"


def time_text(cost: Mapping) -> str:
    """`1.5 hours for 19, one after the other`, with GPU hours if there were GPUs."""
    devices = f"; {cost['device_seconds'] / 3600:.2g} GPU hours" if cost["device_seconds"] else ""
    return f"{cost['seconds'] / 3600:.2g} hours for {cost['number']}, one after the other{devices}"


def energy_text(costs: Sequence[Mapping]) -> str:
    """`0.31 kWh`, with the number of measured jobs unless all were measured."""
    measured, number = sum(cost["energy_of"] for cost in costs), sum(cost["number"] for cost in costs)
    if not measured:
        return "not measured: the counters of this machine could not be read"
    part = "" if measured == number else f", measured for {measured} of {number} jobs"
    return f"{sum(cost['energy_wh'] or 0 for cost in costs) / 1000:.2g} kWh{part}"


def _unique(texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _data_texts(data: Mapping) -> Iterator[str]:
    """A text per data set: licence, rows, splits, sources with their revisions, and one hash of all splits."""
    datasets: dict[str, list[tuple[str, Mapping]]] = {}
    for path, split in data.items():
        datasets.setdefault(Path(path).parent.name, []).append((path, split))
    for name, splits in sorted(datasets.items()):
        origins = _unique([_origin(source) for _, split in splits for source in split["sources"]])
        origins = [origin for origin in origins if origin]
        licences = ", ".join(_unique([split["licence"] for _, split in splits]))
        rows = sum(split["rows"] for _, split in splits)
        digest = sha256_json({path: split["sha256"] for path, split in splits})[:SHOWN_HASH]
        origin = f", from {'; '.join(origins)}" if origins else ""
        yield f"{name} ({licences}): {rows:,} rows in {len(splits)} splits{origin}; SHA-256 of their hashes {digest}"


def _origin(source: Mapping) -> str:
    """The network address of a file and its revision; empty for a local file, which its hash identifies."""
    if "hub" in source:
        return f"{source['hub']} at {source['revision'][:SHOWN_HASH]}"
    return source.get("url", "")


def _model_text(name: str, model: Mapping) -> str:
    weights = f"; weights SHA-256 {model['weights'][:SHOWN_HASH]}" if model.get("weights") else ""
    if "hub" in model:
        return f"{name}: {model['hub']} at {model['revision'][:SHOWN_HASH]}{weights}"
    if "folder_sha256" in model:
        return f"{name}: a folder of files with the SHA-256 {model['folder_sha256'][:SHOWN_HASH]}{weights}"
    return f"{name}: pretrained here on {len(model['pretrained_on'])} sources{weights}"
