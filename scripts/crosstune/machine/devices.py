"""The table of devices (registry/gpus.yaml): their names, peak speeds and power, for estimates of hours and energy."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.schema import mend_yaml, read_yaml

CPU = "cpu"


@dataclass(frozen=True)
class Device:
    """A GPU, or a core of a CPU; peak `tflops` (10^12 operations a second) and the `share` reached, by precision.

    `watts` are those of the board. A device that the table lacks has only a name.
    """

    name: str
    title: str = ""
    known_as: tuple[str, ...] = ()
    tflops: Mapping[str, float] | None = None
    watts: float | None = None
    source: str = ""
    share: Mapping[str, float] | None = None

    def speed(self, precision: str) -> float | None:
        """The assumed operations a second at a precision (fp32, bf16, auto); None if unknown."""
        if not self.tflops:
            return None
        computed = "bf16" if precision != "fp32" and "bf16" in self.tflops else "fp32"
        return self.tflops[computed] * 1e12 * self.share[computed]


class Devices:
    """The table. Iterating gives its devices in order."""

    def __init__(self, devices: list[Device], share: Mapping[str, float]):
        self._devices, self.share = devices, share

    def __iter__(self):
        return iter(self._devices)

    def __getitem__(self, name: str) -> Device:
        return next(device for device in self if device.name == name)

    def lookup(self, name: str) -> Device:
        """The device for the name that a driver or a cost record gives."""
        for device in self:
            if any(part in name for part in device.known_as):
                return device
        return Device(name)


def load_devices(folder: Path | str) -> Devices:
    """The table of `folder`/gpus.yaml. Raises UserError for an incomplete record."""
    path = Path(folder) / "gpus.yaml"
    content = mend_yaml(read_yaml(path), str(path))
    fix = "known_as: [A100], tflops: {bf16: 312, fp32: 19.5}, watts: 400, title: ..., source: ..."
    devices = []
    for name, record in content.get("devices", {}).items():
        try:
            device = Device(name, share=content["share"], **record)
            fits = device.speed("bf16") > 0 and device.speed("fp32") > 0 and device.watts > 0
        except (KeyError, TypeError):
            fits = False
        if not fits:
            raise UserError("a device needs its names, peaks and power", f"{path}: {name}", fix)
        devices.append(device)
    if CPU not in content.get("devices", {}):
        raise UserError(f"no record of {CPU!r}, a core of a CPU", str(path), f"devices: {{{CPU}: {{...}}}}")
    return Devices(devices, content["share"])
