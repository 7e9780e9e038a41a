"""What finished work says that it took: seconds, devices, energy.

Owns: how `cost.json` is read, which lies beside what was made. Must never know: studies, schedules, tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crosstune.core.files import read_json

CORE = "CPU core"

UNKNOWN = "device not recorded"


@dataclass(frozen=True)
class Took:
    """`devices` GPUs of the name `device`, or that many CPU cores, for so many seconds.

    kwh: the energy that they took, None where nobody read it.
    """

    seconds: float
    device: str
    devices: int
    kwh: float | None = None

    @property
    def hours(self) -> float:
        """Device hours."""
        return self.seconds * self.devices / 3600


@dataclass(frozen=True)
class Training:
    """What a training took, and what it did: updates, and real tokens trained on."""

    took: Took
    updates: int
    tokens: int


def training_took(checkpoint: Path) -> Training | None:
    """The training of a checkpoint; None where it is not finished, or where what it took is not written down."""
    manifest, cost = _read(checkpoint / "stage.json"), _read(checkpoint / "cost.json")
    if not manifest or "seconds" not in cost:
        return None
    tokens = sum(seen["tokens"] for seen in manifest["exposure"].values())
    return Training(_took(cost, manifest["spec"].get("threads", 1)), manifest["updates"], tokens)


def predictions_took(checkpoint: Path) -> dict[str, Took | None]:
    """The finished predictions of a checkpoint, by data set; None where what they took is not written down."""
    found = {}
    for manifest in sorted((checkpoint / "predictions").glob("*.json")):
        cost = _read(manifest.with_suffix("") / "cost.json")
        found[manifest.stem] = _took(cost, 1) if "seconds" in cost else None
    return found


def _took(cost: Mapping, threads: int) -> Took:
    """`threads`: compute threads, where the cost does not say how many cores it had."""
    wh = cost.get("energy_wh")
    # What the processor took says little of work that GPUs have done.
    if cost.get("devices") and "gpu" not in cost.get("energy_of", ["gpu"]):
        wh = None
    return Took(cost["seconds"], *_devices(cost, threads), None if wh is None else wh / 1000)


def _devices(cost: Mapping, threads: int) -> tuple[str, int]:
    """Name and number of the devices. Work that names none was a CPU's where torch could use no other."""
    if "device" in cost:
        return (cost["device"], cost["devices"]) if cost["devices"] else (CORE, cost["cores"])
    torch, processes = cost["environment"]["packages"].get("torch", ""), cost["processes"]
    return (CORE, threads * processes) if torch.endswith("+cpu") else (UNKNOWN, processes)


def _read(path: Path) -> dict:
    return read_json(path) if path.exists() else {}
