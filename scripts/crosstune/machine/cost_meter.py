"""What it takes to make a checkpoint or predictions: time, hardware, energy, and the code that does it.

Owns: measuring that, over all attempts, and the content of `cost.json`. Must never know: what is made.

None of this is in a manifest: `stage.json` and `predictions/<dataset>.json` are the same bytes whoever makes them and
however often they were interrupted, and what stands on them is made again when they change.
"""

import time
from collections.abc import Mapping

from crosstune.machine.energy import EnergyMeter
from crosstune.machine.environment import made_by, now, processor
from crosstune.machine.hardware import gpus_in_use


class Meter:
    """Measures from its making on. `threads` compute in each of `processes` processes, which have a GPU each or none.

    What earlier attempts at the same work took is added by `resume`, as `spent` gave it.
    """

    def __init__(self, threads: int, processes: int = 1):
        gpus = gpus_in_use(processes)
        self._device = gpus[0].name if gpus else processor()
        self._devices, self._cores = len(gpus), threads * processes
        self._code = made_by()
        self._energy = EnergyMeter([gpu.uuid for gpu in gpus], processes)
        self._begin, self._began = time.monotonic(), now()
        self._earlier_seconds, self._earlier_energy = 0.0, {}

    def resume(self, spent: Mapping) -> None:
        """Add what an interrupted attempt took; nothing where it did not say."""
        if spent:
            self._began = spent["began"]
            self._earlier_seconds = spent["seconds"]
            # Energy is told for the whole of the work or not at all.
            self._earlier_energy = spent["energy"]

    def spent(self) -> dict:
        """So far, earlier attempts included: when it `began`, `seconds`, `energy` in watt-hours by what took it."""
        seconds = self._earlier_seconds + time.monotonic() - self._begin
        energy = self._energy.watt_hours()
        if self._earlier_seconds:
            both = energy.keys() & self._earlier_energy.keys()
            energy = {part: energy[part] + self._earlier_energy[part] for part in sorted(both)}
        return {"began": self._began, "seconds": seconds, "energy": energy}

    def cost(self) -> dict:
        """The work is done: what `cost.json` says of it.

        `seconds` of wall time in all attempts; `device` the processor's or GPU's name; `devices` GPUs; `cores` compute
        threads; `energy_wh` watt-hours of what `energy_of` lists, None where nothing could be read; `began`, `ended`
        in UTC; and what made_by says.
        """
        spent = self.spent()
        self._energy.close()
        return {
            "seconds": round(spent["seconds"], 1),
            "device": self._device,
            "devices": self._devices,
            "cores": self._cores,
            "energy_wh": round(sum(spent["energy"].values()), 4) if spent["energy"] else None,
            "energy_of": sorted(spent["energy"]),
            "began": spent["began"],
            "ended": now(),
            **self._code,
        }
