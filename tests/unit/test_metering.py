"""What work took: over several attempts, beside results and never in them."""

import pytest
import torch

from crosstune.machine import cost_meter
from crosstune.machine.cost_meter import Meter
from crosstune.machine.environment import read_cost, write_cost
from crosstune.training.resume import ResumeFolder


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    seconds = [0.0]
    monkeypatch.setattr(cost_meter.time, "monotonic", lambda: seconds[0])
    return seconds


def test_a_cost_names_time_hardware_energy_and_code(clock, tmp_path):
    meter = Meter(threads=2)
    clock[0] = 12.34
    write_cost(tmp_path, meter.record())
    cost = read_cost(tmp_path)
    assert (cost["seconds"], cost["devices"], cost["cores"]) == (12.3, 0, 2)
    assert cost["device"] == cost["environment"]["machine"]["processor"]
    assert cost["began"] <= cost["ended"] and cost["ended"].endswith("+00:00")
    assert (cost["energy_wh"] is None) == (cost["energy_of"] == [])
    assert len(cost["lock_sha256"]) == 64
    assert read_cost(tmp_path / "nowhere") == {}


def test_attempts_add_up(clock):
    first = Meter(threads=1)
    clock[0] = 100.0
    spent = first.elapsed()
    assert spent["seconds"] == 100.0
    second = Meter(threads=1)
    second.resume(spent | {"began": "2026-01-01T00:00:00+00:00"})
    clock[0] = 130.0
    assert second.elapsed()["seconds"] == 130.0
    assert second.record()["began"] == "2026-01-01T00:00:00+00:00"
    third = Meter(threads=1)
    third.resume({})
    assert third.elapsed()["seconds"] == 0.0


class Counters:
    """Energy as a machine counts it that has counters for these."""

    def __init__(self, **watt_hours):
        self._found = watt_hours

    def watt_hours(self):
        return self._found

    def close(self):
        pass


@pytest.mark.parametrize(
    "earlier, found, energy",
    [
        ({"cpu": 1.0}, {"cpu": 2.0}, {"cpu": 3.0}),
        ({"cpu": 1.0, "gpu": 5.0}, {"cpu": 2.0}, {"cpu": 3.0}),
        ({}, {"cpu": 2.0}, {}),
    ],
)
def test_energy_is_that_of_all_attempts_or_not_told(clock, monkeypatch, earlier, found, energy):
    monkeypatch.setattr(cost_meter, "EnergyMeter", lambda *_: Counters(**found))
    meter = Meter(threads=1)
    meter.resume({"began": "2026-01-01T00:00:00+00:00", "seconds": 10.0, "energy": earlier})
    assert meter.elapsed()["energy"] == energy
    cost = meter.record()
    assert cost["energy_wh"] == (sum(energy.values()) if energy else None)


def test_a_state_carries_what_the_training_took(clock, tmp_path):
    state = ResumeFolder(tmp_path / "state", "stamp", Meter(threads=1))
    clock[0] = 7.0
    state.save({"weights.a": torch.zeros(1)}, {"updates": 3})
    meter = Meter(threads=1)
    tensors, notes = ResumeFolder(tmp_path / "state", "stamp", meter).load()
    assert (list(tensors), notes) == (["weights.a"], {"updates": 3})
    clock[0] = 9.0
    assert meter.elapsed()["seconds"] == 9.0


def test_a_state_of_a_time_that_did_not_count_is_gone_on_with(clock, tmp_path):
    ResumeFolder(tmp_path / "state", "stamp").save({"weights.a": torch.zeros(1)}, {"updates": 3})
    meter = Meter(threads=1)
    assert ResumeFolder(tmp_path / "state", "stamp", meter).load()[1] == {"updates": 3}
    assert meter.elapsed()["seconds"] == 0.0
