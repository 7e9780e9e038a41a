"""How the provenance of a study reads in words."""

from collections.abc import Iterator, Mapping, Sequence

from crosstune.core.files import sha256_json

SHOWN_HASH = 12


def provenance_rows(provenance: Mapping) -> list[tuple[str, str]]:
    """What a person wants to know of a study's provenance.json, as (what, value) in words."""
    return [row for row in _rows(provenance) if row[1]]


def _rows(provenance: Mapping) -> Iterator[tuple[str, str]]:
    made = provenance.get("made", [])
    yield (
        "Code",
        "; ".join(
            _each([code_told(maker) for maker in made])
            or [code_told({"commit": None, "changed": None} | provenance.get("code", {}))]
        ),
    )
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
