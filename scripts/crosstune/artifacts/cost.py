"""The recorded cost of finished work (`cost.json`): seconds, devices, energy."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crosstune.core.files import read_json_or_empty

CORE = "CPU core"

UNKNOWN_DEVICE = "device not recorded"


@dataclass(frozen=True)
class CostRecord:
    """`devices` GPUs of the name `device`, or that many CPU cores, for so many seconds.

    kwh: their energy, None if no counter was readable.
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
class TrainingCost:
    """The cost of a training, its updates, and the tokens it was trained on, without padding."""

    cost: CostRecord
    updates: int
    tokens: int


def training_cost(checkpoint: Path) -> TrainingCost | None:
    """The cost of a checkpoint's training; None if it is not finished or has no record."""
    manifest, cost = _read(checkpoint / "stage.json"), _read(checkpoint / "cost.json")
    if not manifest or "seconds" not in cost:
        return None
    tokens = sum(seen["tokens"] for seen in manifest["exposure"].values())
    return TrainingCost(_cost_record(cost, manifest["spec"].get("threads", 1)), manifest["updates"], tokens)


def prediction_costs(checkpoint: Path) -> dict[str, CostRecord | None]:
    """The costs of a checkpoint's finished predictions, by data set; None if they have no record."""
    costs = {}
    for manifest in sorted((checkpoint / "predictions").glob("*.json")):
        cost = _read(manifest.with_suffix("") / "cost.json")
        costs[manifest.stem] = _cost_record(cost, 1) if "seconds" in cost else None
    return costs


def _cost_record(cost: Mapping, threads: int) -> CostRecord:
    """`threads`: compute threads, for records without the number of cores."""
    wh = cost.get("energy_wh")
    # The energy of the processor says little of work on GPUs.
    if cost.get("devices") and "gpu" not in cost.get("energy_of", ["gpu"]):
        wh = None
    return CostRecord(cost["seconds"], *_devices(cost, threads), None if wh is None else wh / 1000)


def _devices(cost: Mapping, threads: int) -> tuple[str, int]:
    """Name and number of the devices. Without a name they are CPU cores if torch could use nothing else."""
    if "device" in cost:
        return (cost["device"], cost["devices"]) if cost["devices"] else (CORE, cost["cores"])
    torch, processes = cost["environment"]["packages"].get("torch", ""), cost["processes"]
    return (CORE, threads * processes) if torch.endswith("+cpu") else (UNKNOWN_DEVICE, processes)


def _read(path: Path) -> dict:
    return read_json_or_empty(path)
