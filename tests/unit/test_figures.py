"""The figures of a panel: their kinds, data and files."""

from pathlib import Path

import pytest
from helpers.study_results import by_seed, plan, read, write_study

from crosstune.analysis.intervals import interval
from crosstune.core.files import write_json
from crosstune.reporting.figures import panel_figures, write_figures
from crosstune.reporting.figures.curves import multi_stage_schedules
from crosstune.reporting.figures.differences import compared_schedules, family_rows
from crosstune.reporting.figures.heat import heat_records


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    (panel,) = write_study(tmp_path_factory.mktemp("study")).panels()
    return panel


@pytest.fixture(scope="module")
def figures(panel):
    return {figure.kind: figure for figure in panel_figures(panel, Path())}


def test_the_dot_plot_has_every_seed_and_the_best_baseline(figures):
    datasets = figures["languages"].spec["datasets"]
    assert len(datasets["scores Averages"]) == 2 * 3 * 2  # rows x trained schedules x seeds
    record = {"row": "low-resource languages", "schedule": "joint", "seed": 1, "score": 19}
    assert record in datasets["scores Averages"]
    assert datasets["baselines Unseen, of no trained family"] == [{"row": "Ixish (qix)", "score": 7}]


def test_the_heat_map_has_every_schedule(panel):
    records = heat_records(panel, {"Naish (qna)": ["qna"]})
    scores = {record["schedule"]: record["score"] for record in records}
    assert scores == {"untrained": 5, "english": 21, "joint": 32, "sequential": 19}


def test_a_schedule_without_scores_has_no_shade(tmp_path):
    changed = plan()
    changed["runs"] = [run | {"stages": ["nowhere"]} if run["schedule"] == "joint" else run for run in changed["runs"]]
    (panel,) = write_study(tmp_path, changed).panels()
    assert "joint" not in {record["schedule"] for record in heat_records(panel, {"Naish (qna)": ["qna"]})}


def test_curves_follow_the_stages(panel, figures):
    assert multi_stage_schedules(panel) == ["sequential"]
    of_line = [record for record in figures["curves"].spec["datasets"]["stages"] if record["line"] == "Enish (qen)"]
    assert [(record["stage"], record["score"]) for record in of_line] == [
        ("untrained", 5),
        ("1 qen", 52),
        ("2 qes", 32),
    ]
    assert (of_line[-1]["low"], of_line[-1]["high"]) == (30, 34)


def test_differences_are_by_language_and_family(panel, figures):
    assert compared_schedules(panel) == [("joint", "english"), ("sequential", "joint")]
    assert family_rows(panel)[1:4] == [
        ("north: mean of 2", "family", ["qen", "qna"]),
        ("Enish (qen)", "language", ["qen"]),
        ("Naish (qna)", "language", ["qna"]),
    ]
    rows = {record["row"]: record for record in figures["differences"].spec["datasets"]["joint - english"]}
    wanted = interval(by_seed({1: 10.0, 2: 12.0}))
    assert rows["Naish (qna)"] == {
        "row": "Naish (qna)", "kind": "language", "difference": 11, "runs": 2,
        "low": round(wanted.low, 4), "high": round(wanted.high, 4),
    }  # fmt: skip
    assert rows["north: mean of 2"]["difference"] == 2.5  # qen: -6, qna: 11


def test_the_cost_figure_has_time_and_score(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    for run in panel.runs("joint") + panel.runs("english"):
        stage = tmp_path / run["stages"][-1]
        manifest = {"spec": {"threads": 1}, "updates": 200, "exposure": {"worldqa.qen": {"examples": 1, "tokens": 9}}}
        write_json(stage / "stage.json", manifest)
        write_json(stage / "cost.json", {"seconds": 360 * run["seed"], "device": "CPU", "devices": 0, "cores": 1})
    figure = {figure.kind: figure for figure in panel_figures(panel, tmp_path)}["cost"]
    (joint, english) = figure.spec["datasets"]["schedules"]
    assert (joint["schedule"], joint["hours"], joint["minutes"], joint["score"]) == ("joint", 0.15, 9, 19.5)
    assert (joint["low"], joint["high"]) == (19, 20) and english["schedule"] == "english"
    assert figure.svg.startswith("<svg")


def test_every_figure_is_written_as_svg_and_pdf(tmp_path, figures):
    paths = write_figures(write_study(tmp_path), tmp_path, tmp_path / "figures")
    assert [path.name for path in paths[:2]] == ["qa.worldqa.tiny.languages.svg", "qa.worldqa.tiny.languages.pdf"]
    assert len(paths) == 2 * len(figures)
    svg = paths[0].read_text(encoding="utf-8")
    assert svg.startswith("<svg") and "Naish (qna)" in svg
    assert all(path.read_bytes().startswith(b"%PDF") for path in paths[1::2])


def test_equal_scores_give_equal_pictures(tmp_path, figures):
    write_study(tmp_path)
    (panel,) = read(tmp_path).panels()
    assert {figure.kind: figure.svg for figure in panel_figures(panel, Path())} == {
        k: figure.svg for k, figure in figures.items()
    }


def test_every_figure_has_alternative_text(figures):
    assert all(len(figure.alt) > 20 and figure.caption for figure in figures.values())
