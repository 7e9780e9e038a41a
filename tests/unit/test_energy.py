"""Energy by the counters of a machine: a folder made like Linux's powercap, and a driver that answers like NVIDIA's."""

import ctypes
from pathlib import Path

import pytest

from crosstune.machine.energy import EnergyMeter, GpuCounters, load_nvml, rapl_zones

SIZE = 1_000_000_000  # microjoules: 1 kJ


def write_zone(powercap: Path, name: str, kind: str, energy: int) -> Path:
    folder = powercap / name
    folder.mkdir(parents=True)
    for file, value in (("name", kind), ("max_energy_range_uj", SIZE), ("energy_uj", energy)):
        (folder / file).write_text(f"{value}\n")
    return folder / "energy_uj"


@pytest.fixture
def powercap(tmp_path):
    """Two processors, the parts of one of them, and the whole machine."""
    write_zone(tmp_path, "intel-rapl:0", "package-0", 500)
    write_zone(tmp_path, "intel-rapl:1", "package-1", 0)
    write_zone(tmp_path, "intel-rapl:0:0", "core", 0)
    write_zone(tmp_path, "intel-rapl:2", "psys", 0)
    return tmp_path


def set_energy(powercap: Path, name: str, microjoules: int) -> None:
    (powercap / name / "energy_uj").write_text(f"{microjoules}\n")


def alone() -> tuple[float, float]:
    """A process that does all the computing of its machine."""
    alone.seconds += 1
    return alone.seconds, alone.seconds


alone.seconds = 0.0


def test_processors_are_counted_once(powercap):
    meter = EnergyMeter(processors=rapl_zones(powercap), computed=alone)
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "intel-rapl:2"):
        set_energy(powercap, name, 360_000_500)
    assert meter.watt_hours() == {"cpu": pytest.approx((0.1 + 0.1), rel=1e-5)}
    assert meter.watt_hours() == {"cpu": pytest.approx(0.2, rel=1e-5)}, "what was counted is not counted again"
    meter.close()


def test_a_counter_that_wraps_round_goes_on(powercap):
    meter = EnergyMeter(processors=rapl_zones(powercap)[:1], computed=alone)
    set_energy(powercap, "intel-rapl:0", 600_000_500)
    assert meter.watt_hours()["cpu"] == pytest.approx(600 / 3600)
    set_energy(powercap, "intel-rapl:0", 100_000_499)
    assert meter.watt_hours()["cpu"] == pytest.approx((600 + 500) / 3600)
    meter.close()


def test_a_process_is_charged_for_its_part_of_the_computing(powercap):
    times = iter([(10.0, 100.0), (13.0, 112.0), (13.0, 120.0), (13.0, 120.0)])
    meter = EnergyMeter(processors=rapl_zones(powercap)[:1], computed=lambda: next(times))
    set_energy(powercap, "intel-rapl:0", 360_000_500)
    assert meter.watt_hours()["cpu"] == pytest.approx(0.1 / 4), "3 of 12 seconds"
    set_energy(powercap, "intel-rapl:0", 720_000_500)
    assert meter.watt_hours()["cpu"] == pytest.approx(0.1 / 4), "others computed, it did not"
    meter.close()


def test_processes_that_share_the_work_are_charged_together(powercap):
    times = iter([(0.0, 0.0), (3.0, 12.0)])
    meter = EnergyMeter(processes=2, processors=rapl_zones(powercap)[:1], computed=lambda: next(times))
    set_energy(powercap, "intel-rapl:0", 360_000_500)
    assert meter.watt_hours()["cpu"] == pytest.approx(0.1 / 2)
    meter.close()


def test_what_cannot_be_read_is_nothing(powercap, tmp_path):
    assert rapl_zones(tmp_path / "nowhere") == []
    (powercap / "intel-rapl:0/energy_uj").write_text("")
    assert len(rapl_zones(powercap)) == 1
    assert EnergyMeter(processors=[]).watt_hours() == {}
    meter = EnergyMeter(processors=rapl_zones(powercap), computed=alone)
    (powercap / "intel-rapl:1/energy_uj").unlink()
    assert meter.watt_hours() == {}
    meter.close()


class Driver:
    """Answers as NVML does: 0 for success; GPU-old has no counter."""

    def __init__(self):
        self.millijoules = {b"GPU-a": 1_000, b"GPU-b": 5_000}

    def nvmlDeviceGetHandleByUUID(self, uuid, handle):
        handle._obj.value = 1 + [b"GPU-a", b"GPU-b", b"GPU-old"].index(uuid)
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, energy):
        assert isinstance(energy._obj, ctypes.c_ulonglong)
        if handle.value == 3:
            return 3  # not supported
        energy._obj.value = self.millijoules[[b"GPU-a", b"GPU-b"][handle.value - 1]]
        return 0


def test_the_gpus_of_a_job_are_counted_from_its_beginning():
    driver = Driver()
    meter = EnergyMeter(processors=[], gpus=GpuCounters(["GPU-a", "GPU-b"], lambda: driver))
    driver.millijoules = {b"GPU-a": 3_601_000, b"GPU-b": 7_205_000}
    assert meter.watt_hours() == {"gpu": pytest.approx(3.0)}


def test_a_gpu_without_a_counter_leaves_no_energy_of_gpus():
    assert EnergyMeter(processors=[], gpus=GpuCounters(["GPU-a", "GPU-old"], Driver)).watt_hours() == {}
    assert load_nvml("no-such-library.so") is None
    assert GpuCounters(["GPU-a"], lambda: None).joules() is None
