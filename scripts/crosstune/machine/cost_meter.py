"""Measures the cost of a checkpoint or of predictions over all attempts: time, hardware, energy, and the code.

The cost is in `cost.json`, never in a manifest. `stage.json` and `predictions/<dataset>.json` are byte-identical across
machines and interruptions, and a changed manifest rebuilds its dependents.
"""

import time
from collections.abc import Mapping

from crosstune.machine.energy import EnergyMeter
from crosstune.machine.environment import code_and_environment, processor, utc_now
from crosstune.machine.hardware import gpus_in_use


class Meter:
    """Measures from its construction on. Each of `processes` processes has `threads` threads, and a GPU or none.

    `resume` adds the cost of earlier attempts at the same work, as their `elapsed` gave it.
    """

    def __init__(self, threads: int, processes: int = 1):
        gpus = gpus_in_use(processes)
        self._device = gpus[0].name if gpus else processor()
        self._devices, self._cores = len(gpus), threads * processes
        self._code = code_and_environment()
        self._energy = EnergyMeter([gpu.uuid for gpu in gpus], processes)
        self._begin, self._began = time.monotonic(), utc_now()
        self._earlier_seconds, self._earlier_energy = 0.0, {}

    def resume(self, earlier: Mapping) -> None:
        """Add the `elapsed` of an interrupted attempt; an empty one adds nothing."""
        if earlier:
            self._began = earlier["began"]
            self._earlier_seconds = earlier["seconds"]
            # The energy of all attempts is known, or none is recorded.
            self._earlier_energy = earlier["energy"]

    def elapsed(self) -> dict:
        """So far, earlier attempts included: `began`, `seconds`, and `energy` in watt-hours by its consumer."""
        seconds = self._earlier_seconds + time.monotonic() - self._begin
        energy = self._energy.watt_hours()
        if self._earlier_seconds:
            both = energy.keys() & self._earlier_energy.keys()
            energy = {part: energy[part] + self._earlier_energy[part] for part in sorted(both)}
        return {"began": self._began, "seconds": seconds, "energy": energy}

    def record(self) -> dict:
        """The content of `cost.json` at the end of the work.

        `seconds`: wall time of all attempts. `device`: the name of the processor or GPU. `devices`: GPUs. `cores`:
        compute threads. `energy_wh`: watt-hours of the consumers in `energy_of`, None if no counter is readable.
        `began`, `ended`: in UTC. The rest comes from code_and_environment.
        """
        elapsed = self.elapsed()
        self._energy.close()
        return {
            "seconds": round(elapsed["seconds"], 1),
            "device": self._device,
            "devices": self._devices,
            "cores": self._cores,
            "energy_wh": round(sum(elapsed["energy"].values()), 4) if elapsed["energy"] else None,
            "energy_of": sorted(elapsed["energy"]),
            "began": elapsed["began"],
            "ended": utc_now(),
            **self._code,
        }
