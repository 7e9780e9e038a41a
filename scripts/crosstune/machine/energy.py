"""Energy that a process takes, where the machine counts it: processors by RAPL, NVIDIA's GPUs by their driver.

Owns: the counters, their wrapping round, and what of the processors' energy is this process's.
Must never know: what is computed. Imports no torch, and asks for no package: the driver's library is called by ctypes.

RAPL counts whole processors (Linux powercap, Documentation/power/powercap; on Intel's and AMD's), for whoever may read
it, which since CVE-2020-8694 is often root alone. A process is charged the share of it that its computing time is of
that of all processes. A GPU's counter (NVML, nvmlDeviceGetTotalEnergyConsumption; from Volta on, not for parts of a
GPU) is the job's own, as its GPUs are. What cannot be read is None, never an estimate.
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

# A processor's counter wraps round after some minutes at full power (65 kJ on small ones): it is read more often.
SECONDS_BETWEEN_READINGS = 60.0

JOULES_A_WATT_HOUR = 3600.0


@dataclass
class Zone:
    """The counter of one processor: microjoules that wrap round after `size`."""

    counter: Path
    size: int
    last: int

    @classmethod
    def at(cls, folder: Path) -> "Zone":
        """The zone of a powercap folder. Raises OSError or ValueError where it cannot be read."""
        size = int((folder / "max_energy_range_uj").read_text())
        counter = folder / "energy_uj"
        return cls(counter, size, int(counter.read_text()))

    def joules(self) -> float:
        """Since the last time."""
        now = int(self.counter.read_text())
        # From `size` it goes on at 0.
        grown = now - self.last if now >= self.last else now + self.size + 1 - self.last
        self.last = now
        return grown / 1e6


def zones(powercap: Path = POWERCAP) -> list[Zone]:
    """The processors of this machine. The zones inside a processor's (cores, memory) are counted in it."""
    found = []
    for folder in sorted(powercap.glob("intel-rapl:*")):
        # `psys` is the whole machine, processors included; `core` and `dram` are parts of a processor.
        with suppress(OSError, ValueError):
            if (folder / "name").read_text().startswith("package"):
                found.append(Zone.at(folder))
    return found


def nvml(library: str = "libnvidia-ml.so.1") -> Any:
    """The library of NVIDIA's driver; None where there is none."""
    with suppress(OSError):
        driver = ctypes.CDLL(library)
        return driver if driver.nvmlInit_v2() == 0 else None


class Gpus:
    """The energy counters of GPUs, by their UUIDs (`GPU-...`)."""

    def __init__(self, uuids: Sequence[str], load: Callable[[], Any] = nvml):
        self._uuids = list(uuids)
        self._driver = load() if self._uuids else None

    def joules(self) -> float | None:
        """Of all of them since the driver was loaded; None where one of them cannot be read."""
        if not self._driver:
            return None
        found = [self._millijoules(uuid) for uuid in self._uuids]
        return None if None in found else sum(found) / 1000

    def _millijoules(self, uuid: str) -> int | None:
        handle, energy = ctypes.c_void_p(), ctypes.c_ulonglong()
        known = self._driver.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)) == 0
        known = known and self._driver.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(energy)) == 0
        return energy.value if known else None


def computing_seconds() -> tuple[float, float] | None:
    """Seconds of computing, of all cores together: of this process, and of all of the machine; None where not told."""
    try:
        fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
        user, nice, system, _, _, interrupts, soft, stolen = map(int, fields[:8])
    except (OSError, ValueError):
        return None
    own = os.times()
    everyone = (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")
    return own.user + own.system, everyone


class EnergyMeter:
    """Counts from its making until `close`. `processes` like this one share the work, so that each has its part.

    Reads the processors every minute in a thread of its own, since their counters wrap round.
    """

    def __init__(
        self,
        uuids: Sequence[str] = (),
        processes: int = 1,
        processors: Sequence[Zone] | None = None,
        gpus: Gpus | None = None,
        computed: Callable[[], tuple[float, float] | None] = computing_seconds,
    ):
        self._zones = list(zones() if processors is None else processors)
        self._gpus = gpus or Gpus(uuids)
        self._processes, self._computed = processes, computed
        self._gpus_began, self._times = self._gpus.joules(), computed()
        self._joules, self._lock, self._ended = 0.0, threading.Lock(), threading.Event()
        if self._zones:
            threading.Thread(target=self._watch, daemon=True).start()

    def watt_hours(self) -> dict[str, float]:
        """What was taken so far, by `cpu` and `gpu`, as far as either can be read."""
        found = {}
        if self._zones:
            self._read()
        if self._zones:
            found["cpu"] = self._joules / JOULES_A_WATT_HOUR
        if self._gpus_began is not None and (now := self._gpus.joules()) is not None:
            found["gpu"] = (now - self._gpus_began) / JOULES_A_WATT_HOUR
        return found

    def close(self) -> None:
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_READINGS):
            self._read()

    def _read(self) -> None:
        with self._lock:
            try:
                joules = sum(zone.joules() for zone in self._zones)
            except (OSError, ValueError):  # not readable any more: rather nothing than a part
                self._zones = []
                return
            times = self._computed()
            self._joules += joules * self._share(times)
            self._times = times

    def _share(self, times: tuple[float, float] | None) -> float:
        """What part of the machine's computing since the last reading was this process's and its fellows'."""
        if times is None or self._times is None:
            return 1.0
        own, everyone = (now - before for now, before in zip(times, self._times, strict=True))
        return min(1.0, self._processes * own / everyone) if everyone > 0 else 1.0
