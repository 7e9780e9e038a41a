"""The energy of a process, if the machine counts it: processors by RAPL, NVIDIA's GPUs by their driver.

RAPL counts whole processors of Intel and AMD (Linux powercap, Documentation/power/powercap). Since CVE-2020-8694 often
only root may read it. A process is charged its share of the computing time of all processes. The counter of a GPU
(NVML, nvmlDeviceGetTotalEnergyConsumption; from Volta on, not for MIG parts) belongs to the job, like the GPU. An
unreadable counter gives None, never an estimate. The module needs no package: it calls the driver's library by ctypes.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")

# A processor's counter wraps around after some minutes at full power (65 kJ on small ones): it is read more often.
SECONDS_BETWEEN_READINGS = 60.0

JOULES_A_WATT_HOUR = 3600.0


@dataclass
class RaplZone:
    """The counter of one processor, in microjoules; it wraps around after `size`."""

    counter: Path
    size: int
    last: int

    @classmethod
    def at(cls, folder: Path) -> "RaplZone":
        """The zone of a powercap folder. Raises OSError or ValueError if it cannot be read."""
        size = int((folder / "max_energy_range_uj").read_text())
        counter = folder / "energy_uj"
        return cls(counter, size, int(counter.read_text()))

    def joules(self) -> float:
        """Joules since the last call."""
        now = int(self.counter.read_text())
        # After `size` comes 0.
        grown = now - self.last if now >= self.last else now + self.size + 1 - self.last
        self.last = now
        return grown / 1e6


def rapl_zones(powercap: Path = POWERCAP) -> list[RaplZone]:
    """The processors of this machine. A processor's counter includes the zones inside it (cores, memory)."""
    processors = []
    for folder in sorted(powercap.glob("intel-rapl:*")):
        # `psys` is the whole machine, processors included; `core` and `dram` are parts of a processor.
        with suppress(OSError, ValueError):
            if (folder / "name").read_text().startswith("package"):
                processors.append(RaplZone.at(folder))
    return processors


def load_nvml(library: str = "libnvidia-ml.so.1") -> Any:
    """The library of NVIDIA's driver; None if there is none."""
    with suppress(OSError):
        driver = ctypes.CDLL(library)
        return driver if driver.nvmlInit_v2() == 0 else None


class GpuCounters:
    """The energy counters of GPUs, by their UUIDs (`GPU-...`)."""

    def __init__(self, uuids: Sequence[str], load: Callable[[], Any] = load_nvml):
        self._uuids = list(uuids)
        self._driver = load() if self._uuids else None

    def joules(self) -> float | None:
        """Joules of all GPUs since the driver was loaded; None if one counter is unreadable."""
        if not self._driver:
            return None
        counts = [self._millijoules(uuid) for uuid in self._uuids]
        return None if None in counts else sum(counts) / 1000

    def _millijoules(self, uuid: str) -> int | None:
        handle, energy = ctypes.c_void_p(), ctypes.c_ulonglong()
        known = self._driver.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)) == 0
        known = known and self._driver.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(energy)) == 0
        return energy.value if known else None


def cpu_seconds() -> tuple[float, float] | None:
    """Computing time in seconds, summed over cores, of this process and of all processes; None without /proc/stat."""
    try:
        fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
        user, nice, system, _, _, interrupts, soft, stolen = map(int, fields[:8])
    except (OSError, ValueError):
        return None
    own = os.times()
    everyone = (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")
    return own.user + own.system, everyone


class EnergyMeter:
    """Counts from its construction until `close`, for `processes` processes like this one.

    A thread reads the processors every minute, because their counters wrap around.
    """

    def __init__(
        self,
        uuids: Sequence[str] = (),
        processes: int = 1,
        processors: Sequence[RaplZone] | None = None,
        gpus: GpuCounters | None = None,
        computed: Callable[[], tuple[float, float] | None] = cpu_seconds,
    ):
        self._zones = list(rapl_zones() if processors is None else processors)
        self._gpus = gpus or GpuCounters(uuids)
        self._processes, self._computed = processes, computed
        self._gpus_began, self._times = self._gpus.joules(), computed()
        self._joules, self._lock, self._ended = 0.0, threading.Lock(), threading.Event()
        if self._zones:
            threading.Thread(target=self._watch, daemon=True).start()

    def watt_hours(self) -> dict[str, float]:
        """Watt-hours so far, by `cpu` and `gpu`, each only if its counters are readable."""
        hours = {}
        if self._zones:
            self._read()
        if self._zones:
            hours["cpu"] = self._joules / JOULES_A_WATT_HOUR
        if self._gpus_began is not None and (now := self._gpus.joules()) is not None:
            hours["gpu"] = (now - self._gpus_began) / JOULES_A_WATT_HOUR
        return hours

    def close(self) -> None:
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_READINGS):
            self._read()

    def _read(self) -> None:
        with self._lock:
            try:
                joules = sum(zone.joules() for zone in self._zones)
            except (OSError, ValueError):  # No longer readable: no value is better than a part.
                self._zones = []
                return
            times = self._computed()
            self._joules += joules * self._share(times)
            self._times = times

    def _share(self, times: tuple[float, float] | None) -> float:
        """The share of this process and its fellows in the machine's computing time since the last reading."""
        if times is None or self._times is None:
            return 1.0
        own, everyone = (now - before for now, before in zip(times, self._times, strict=True))
        return min(1.0, self._processes * own / everyone) if everyone > 0 else 1.0
