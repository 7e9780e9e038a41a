"""Costs of schedules, from planted records: sums, shared stages, means over runs, and missing records."""

import pytest
from helpers.study_config import study as planned_study
from helpers.study_results import PLAN, csv_rows, plan, read, write_study

from crosstune.artifacts.cost import CORE, UNKNOWN_DEVICE, CostRecord, prediction_costs, training_cost
from crosstune.core.files import read_json, write_json
from crosstune.reporting.tables.cost import cost_table, schedule_costs, write_cost_tables
from crosstune.reporting.tables.formats import latex
from crosstune.study.plan import plan_of

GPU = {"device": "NVIDIA H200", "devices": 2, "cores": 2}
QEN, QES = "worldqa.qen@100", "worldqa.qen@100/worldqa.qes@100"


def plant(folder, stage, seconds, updates=100, tokens=1000, predicted=None, threads=1, **cost):
    """A finished stage and, if `predicted`, predictions of so many seconds."""
    at = folder / stage
    cost = {"device": "AMD EPYC", "devices": 0, "cores": threads} | cost
    exposure = {"worldqa.qen": {"examples": 1, "tokens": tokens}} if updates else {}
    write_json(at / "stage.json", {"spec": {"threads": threads}, "updates": updates, "exposure": exposure})
    write_json(at / "cost.json", {"seconds": seconds} | cost)
    if predicted is not None:
        write_json(at / "predictions/worldqa.json", {})
        write_json(at / "predictions/worldqa/cost.json", {"seconds": predicted} | cost)


@pytest.fixture
def panel(tmp_path):
    """Two seeds: english 1 and 3 hours, joint 2, sequential 1/2 and 1; predictions a tenth of an hour."""
    changed = plan()
    # A third schedule that begins as the sequence does.
    for seed in (1, 2):
        (run,) = [run for run in PLAN["runs"] if (run["schedule"], run["seed"]) == ("sequential", seed)]
        stages = [f"tiny/seed{seed}/qa/{QEN}", f"tiny/seed{seed}/qa/{QEN}/worldqa.qna@100"]
        changed["runs"].append(run | {"schedule": "branch", "stages": stages})
    changed["tracks"]["qa"]["schedules"].append("branch")
    study = write_study(tmp_path, changed)
    for seed, english in ((1, 1), (2, 3)):
        home = tmp_path / f"tiny/seed{seed}/qa"
        plant(home, "untrained", 0, updates=0, predicted=360)
        plant(home, "worldqa.qen@200", english * 3600, 200, 2000, 360)
        plant(home, "worldqa.qen+worldqa.qes@200", 7200, 200, 2000, 360)
        plant(home, QEN, 1800, predicted=360)
        plant(home, QES, 3600, predicted=360)
        plant(home, f"{QEN}/worldqa.qna@100", 3600, predicted=360)
    (found,) = study.panels()
    return found


def test_hours_of_all_stages_and_of_shared_ones(panel, tmp_path):
    found = schedule_costs(panel, tmp_path)
    assert (found["english"].hours, found["joint"].hours) == (2, 2)
    assert (found["sequential"].hours, found["sequential"].own_hours) == (1.5, 1.25)
    assert found["english"].own_hours == 2 and found["untrained"].hours == 0
    assert found["sequential"].prediction_hours == pytest.approx(0.2)
    assert (found["sequential"].updates, found["sequential"].tokens) == (200, 2000)
    assert (found["english"].device, found["english"].runs, found["english"].missing) == (CORE, 2, 0)
    assert all(cost.kwh is None for cost in found.values())
    # All of the study: what runs are charged for is what was trained.
    charged = sum(2 * cost.own_hours for cost in found.values())
    assert charged == pytest.approx(1 + 3 + 2 * (2 + 0.5 + 1 + 1))


def test_hours_are_of_devices(panel, tmp_path):
    home = tmp_path / "tiny/seed1/qa"
    plant(home, "worldqa.qen@200", 3600, **GPU)
    plant(home, "worldqa.qen+worldqa.qes@200", 3600, threads=4)
    found = schedule_costs(panel, tmp_path)
    assert (found["english"].hours, found["english"].device) == ((2 + 3) / 2, "NVIDIA H200, CPU core")
    assert found["joint"].hours == (4 + 2) / 2


def test_energy_is_given_if_all_of_it_was_measured(panel, tmp_path):
    for seed, wh in ((1, 100), (2, 300)):
        home = tmp_path / f"tiny/seed{seed}/qa"
        plant(home, "worldqa.qen@200", 3600, predicted=360, energy_wh=wh)
        plant(home, QEN, 3600, predicted=360, energy_wh=wh)
        plant(home, "worldqa.qen+worldqa.qes@200", 3600, predicted=360, energy_wh=wh if seed == 1 else None)
    found = schedule_costs(panel, tmp_path)
    assert found["english"].kwh == pytest.approx((0.1 + 0.1 + 0.3 + 0.3) / 2)
    assert found["sequential"].kwh is None and found["joint"].kwh is None


@pytest.mark.parametrize(("counted", "kwh"), [(["cpu"], None), (["gpu"], 0.1), (["cpu", "gpu"], 0.1)])
def test_energy_of_the_processor_alone_is_not_that_of_a_gpus_work(tmp_path, counted, kwh):
    plant(tmp_path, "stage", 36, energy_wh=100, energy_of=counted, **GPU)
    assert training_cost(tmp_path / "stage").cost.kwh == kwh


def test_an_average_costs_the_sum_of_its_members(panel, tmp_path):
    changed = plan()
    for run in changed["runs"]:
        if run["schedule"] == "joint":
            home = f"tiny/seed{run['seed']}/qa"
            run["stages"], run["members"] = [f"{home}/average.a"], [f"{home}/worldqa.qen@200", f"{home}/{QEN}"]
    (averaged,) = write_study(tmp_path, changed).panels()
    found = schedule_costs(averaged, tmp_path)["joint"]
    assert (found.hours, found.own_hours, found.updates) == (2 + 0.5, 1 + 0.25, 300)


def test_the_plan_names_the_stages_that_an_average_is_made_of():
    schedules = {"one": ["qen", "qes"], "other": ["qfr"], "soup": {"average": ["one", "other"]}}
    runs = plan_of(planned_study(tracks__qa__schedules=schedules))["runs"]
    (soup,) = [run for run in runs if (run["schedule"], run["seed"]) == ("soup", 1)]
    first = "tiny/seed1/qa/worldqa.qen@30"
    assert soup["members"] == [first, f"{first}/worldqa.qes@30", "tiny/seed1/qa/worldqa.qfr@60"]
    assert not any("members" in run for run in runs if run["schedule"] != "soup")


def test_a_missing_record_is_not_zero(panel, tmp_path):
    (tmp_path / "tiny/seed2/qa/worldqa.qen@200/cost.json").unlink()
    for seed in (1, 2):
        (tmp_path / f"tiny/seed{seed}/qa/{QES}/stage.json").unlink()
        (tmp_path / f"tiny/seed{seed}/qa/worldqa.qen+worldqa.qes@200/predictions/worldqa/cost.json").unlink()
    found = schedule_costs(panel, tmp_path)
    assert (found["english"].hours, found["english"].runs, found["english"].missing) == (1, 1, 1)
    assert "sequential" not in found
    assert found["joint"].hours == 2 and found["joint"].prediction_hours is None
    rows = {row[0]: row[1:] for row in cost_table(panel, tmp_path).rows}
    assert rows["english [1/2 runs]"][3] == "1.000"
    assert rows["sequential [0/2 runs]"][1:] == ["n/a"] * 7
    assert rows["joint"][3:6] == ["2.000", "2.000", "n/a"]
    for stage in (tmp_path / "tiny").rglob("cost.json"):
        stage.unlink()
    assert cost_table(panel, tmp_path) is None


def test_the_table_has_the_score_and_the_hours(panel, tmp_path):
    table = cost_table(panel, tmp_path)
    rows = {row[0]: row[1:] for row in table.rows}
    # F1 of all languages: seed 1 has 86/4, seed 2 has 94/4.
    assert rows["english"][:5] == ["22.5 ± 1.4", "200", "2,000", "2.000", "2.000"]
    assert rows["sequential"][3:] == ["1.500", "1.250", "0.200", "n/a", CORE]
    lines = [dict(zip(table.lines[0], line, strict=True)) for line in table.lines[1:]]
    (english,) = [line for line in lines if line["schedule"] == "english"]
    assert (english["mean"], english["own_hours"], english["missing"]) == ("22.5000", "2.000000", 0)


def test_latex_compiles(panel, tmp_path, typeset):
    typeset(latex(cost_table(panel, tmp_path)))


def test_the_files_lie_in_a_folder_of_their_own(panel, tmp_path):
    paths = write_cost_tables(read(tmp_path), tmp_path, tmp_path / "cost")
    assert [path.name for path in paths] == [f"cost.qa.worldqa.tiny.{kind}" for kind in ("csv", "md", "tex")]
    assert [row["schedule"] for row in csv_rows(paths[0])][-1] == "branch"
    assert r"\label{tab:cost.qa.worldqa.tiny.1}" in paths[2].read_text()
    for cost in tmp_path.rglob("cost.json"):
        cost.unlink()
    assert write_cost_tables(read(tmp_path), tmp_path, tmp_path / "empty") == [] and (tmp_path / "empty").is_dir()


@pytest.mark.parametrize(
    ("torch", "expected"), [("2.13.0+cpu", CostRecord(36, CORE, 2 * 3)), ("2.13.0", CostRecord(36, UNKNOWN_DEVICE, 3))]
)
def test_a_training_that_names_no_device(tmp_path, torch, expected):
    """As trainings were written down before devices were."""
    plant(tmp_path, "stage", 36, threads=2)
    cost = {"seconds": 36, "tokens": 1, "processes": 3, "environment": {"packages": {"torch": torch}}}
    write_json(tmp_path / "stage/cost.json", cost)
    assert training_cost(tmp_path / "stage").cost == expected


def test_costs_of_predictions(tmp_path):
    plant(tmp_path, "stage", 36, predicted=7, **GPU)
    write_json(tmp_path / "stage/predictions/other.json", {})
    assert prediction_costs(tmp_path / "stage") == {"other": None, "worldqa": CostRecord(7, "NVIDIA H200", 2)}
    assert read_json(tmp_path / "stage/stage.json")["updates"] == 100
