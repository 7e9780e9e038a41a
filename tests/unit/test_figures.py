"""The figures of a study: their kinds, their contents, and their files."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.planted_scores import CONTRAST, by_difference, plant
from helpers.study_results import by_seed, plan, read, write_study

from crosstune.analysis.intervals import interval
from crosstune.core.files import write_json, write_jsonl
from crosstune.reporting.figures import panel_figures, write_figures
from crosstune.reporting.figures.axes import Axis, difference_axis, spread, wide_axis
from crosstune.reporting.figures.cost import cost_records
from crosstune.reporting.figures.curves import line_kind, line_languages, multi_stage_schedules, stage_records
from crosstune.reporting.figures.differences import compared_pairs, differences_figure
from crosstune.reporting.figures.forest import forest_figure
from crosstune.reporting.figures.heat import heat_records
from crosstune.reporting.figures.rows import marked_schedules, row_blocks, trained_schedules
from crosstune.reporting.figures.style import LANGUAGE_COLOURS, SCHEDULE_COLOURS
from crosstune.reporting.figures.training import thinned, training_runs
from crosstune.reporting.tables.contrasts import contrast_results, language_rows


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    (panel,) = write_study(tmp_path_factory.mktemp("study")).panels()
    return panel


@pytest.fixture(scope="module")
def figures(panel):
    return {figure.kind: figure for figure in panel_figures(panel, Path())}


@pytest.fixture
def planted(tmp_path):
    """A study with a declared contrast, seeds that agree and two languages of different families."""
    return plant(tmp_path, by_difference([3.0, 3.4, 2.8, 3.2, 3.1, 2.9]))


def texts(figure) -> str:
    """All texts of a figure, one a line."""
    return "\n".join(node.text or "" for node in ET.fromstring(figure.svg).iter() if node.tag.endswith("text"))


def write_losses(folder: Path, losses: list[float]) -> None:
    write_jsonl(folder / "train.jsonl", [{"update": n, "loss": loss} for n, loss in enumerate(losses, start=1)])


# --- forest plot and differences -------------------------------------------------------------------------------------


def test_the_forest_plot_has_every_inference_and_the_band(planted):
    figure = forest_figure(planted)
    (result,) = contrast_results(planted)
    words = texts(figure)
    assert "order: sequential − joint" in words
    for question, name in (("seeds", "seeds"), ("examples", "seeds, items"), ("languages", "seeds, items, languages")):
        low, high = result.estimate(question)["interval"]
        assert name in words and f"+3.1 [{low:.1f}, {high:.1f}] better".replace("-", "−") in words
    (chart,) = figure.charts
    (band,) = [part for part in chart.plot if getattr(part, "kind", "") == "band"]
    width = (band.x2 - band.x1) * (axis_of(chart)[1] - axis_of(chart)[0])
    assert width == pytest.approx(2 * CONTRAST["smallest_effect"], rel=0.01)


def test_an_interval_that_excludes_no_difference_is_not_drawn(tmp_path):
    scores = by_difference([20.0, 21.0, 22.0])
    for seed, own in scores["sequential"].items():
        own["qix"] = scores["joint"][seed]["qix"] - 20.0 - seed
    found = plant(tmp_path, scores)
    (result,) = contrast_results(found)
    low, high = result.estimate("languages")["interval"]
    assert low < -100 and high > 100
    figure = forest_figure(found)
    assert "seeds, items, languages" in texts(figure) and "CI wider than ±100: inconclusive" in texts(figure)
    assert axis_of(figure.charts[0])[1] < 60


def axis_of(chart) -> tuple[float, float]:
    """The ends of the axis of a chart, from the places of two of its numbers."""
    ticks = [
        part for part in chart.plot if getattr(part, "kind", "") == "tick" and re.match(r"[+−]?[0-9.]+$", part.text)
    ]
    (x1, v1), (x2, v2) = [(part.x, float(part.text.replace("−", "-"))) for part in (ticks[0], ticks[-1])]
    step = (v2 - v1) / (x2 - x1)
    return v1 - x1 * step, v1 + (1 - x1) * step


def test_the_forest_plot_shows_the_headline_if_nothing_is_declared(panel):
    words = texts(forest_figure(panel.study))
    assert "joint − english" in words and "+6.0 [6.0, 6.0] better" in words and "smallest effect" not in words


def test_of_many_contrasts_each_has_one_interval(tmp_path):
    many = [CONTRAST | {"name": f"c{n}", "smallest_effect": 0.1 + n} for n in range(6)]
    words = texts(forest_figure(plant(tmp_path, by_difference([3.0, 3.4, 2.8]), many)))
    assert words.count("sequential − joint") == 6 and "c5" in words
    assert "\nseeds\n" not in words and "items" not in words


def test_a_study_without_two_scored_schedules_has_no_forest_plot(tmp_path):
    write_json(tmp_path / "plan.json", plan())
    assert forest_figure(read(tmp_path)) is None


def test_differences_have_the_intervals_of_the_table(planted):
    (panel,), (result,) = planted.panels(), contrast_results(planted)
    (pair,) = compared_pairs(panel)
    assert pair.declared and pair.name == "sequential − joint"
    head, rows = language_rows(result)
    table = {row[0]: row[head.index("95% CI")] for row in rows}
    drawn = {row.name: f"[{row.low:.1f}, {row.high:.1f}]" for row in pair.rows if row.family}
    assert drawn == table
    assert (pair.rows[0].name, [pair.rows[0].low, pair.rows[0].high]) == (
        "mean of 2",
        result.estimate("seeds")["interval"],
    )


def test_every_family_has_a_heading_and_its_languages_are_indented(panel):
    chart = differences_figure(panel).charts[0]
    labels = {label.text: label for label in chart.labels}
    order = [label.text for label in chart.labels]
    assert order == [
        "mean of 4",
        "north",
        "Enish (qen)",
        "Naish (qna)",
        "south",
        "Esish (qes)",
        "isolate",
        "Ixish (qix)",
    ]
    assert {labels[name].x for name in ("north", "south", "isolate")} == {0}
    assert all(labels[name].x > 0 for name in ("Enish (qen)", "Esish (qes)", "Ixish (qix)"))


def test_undeclared_differences_have_intervals_over_seeds(panel):
    first, second = compared_pairs(panel)
    assert (first.name, second.name) == ("joint − english", "sequential − joint")
    rows = {row.name: row for row in first.rows}
    wanted = interval(by_seed({1: 10.0, 2: 12.0}))
    assert (rows["Naish (qna)"].mean, rows["Naish (qna)"].low) == (11, pytest.approx(wanted.low))
    assert "Undeclared pairs: 95% CI over seeds" in differences_figure(panel).caption


def test_a_wide_interval_does_not_flatten_the_others():
    ends = [(-1.0, 1.0), (-2.0, 2.0), (-1.5, 1.0), (-300.0, 300.0)]
    axis = difference_axis([0.0, 0.1, 0.2, 0.3], ends, "points")
    assert -4 < axis.low < -2 and 2 < axis.high < 4


# --- scores ----------------------------------------------------------------------------------------------------------


def test_the_dot_plot_has_every_schedule_and_the_best_baseline(panel, figures):
    words = {
        title for chart in figures["languages"].charts for title in re.findall("<title>(.*?)</title>", chart.page_svg())
    }
    assert {"low-resource (2), joint: 19.5", "Ixish (qix): best trivial baseline 7.0"} <= words
    assert [entry.text for entry in figures["languages"].legend] == [
        "english", "joint", "sequential", "best trivial baseline"
    ]  # fmt: skip
    assert [chart.title for chart in figures["languages"].charts] == list(row_blocks(panel))


def test_schedules_beyond_the_shapes_are_drawn_too(tmp_path):
    changed = plan()
    more = [f"extra{n}" for n in range(9)]
    changed["tracks"]["qa"]["schedules"] = ["untrained", "english", *more, "joint", "sequential"]
    joint = [run for run in changed["runs"] if run["schedule"] == "joint"]
    changed["runs"] += [run | {"schedule": name} for name in more for run in joint]
    (panel,) = write_study(tmp_path, changed).panels()
    assert marked_schedules(panel) == ["english", "extra0", "extra1", "extra2", "joint", "sequential"]
    figure = {figure.kind: figure for figure in panel_figures(panel, tmp_path)}["languages"]
    assert "6 other schedules" in [entry.words for entry in figure.legend]
    drawn = "".join(chart.page_svg() for chart in figure.charts)
    assert all(f"Naish (qna), {name}: 32.0" in drawn for name in more)


def test_schedules_have_the_order_of_the_config(tmp_path):
    changed = plan()
    changed["tracks"]["qa"]["schedules"] = ["sequential", "joint", "untrained", "english"]
    (panel,) = write_study(tmp_path, changed).panels()
    assert trained_schedules(panel) == marked_schedules(panel) == ["sequential", "joint", "english"]


def test_the_heat_map_has_every_schedule(panel):
    records = heat_records(panel, {"Naish (qna)": ["qna"]})
    scores = {record["schedule"]: record["score"] for record in records}
    assert scores == {"untrained": 5, "english": 21, "joint": 32, "sequential": 19}


def test_a_schedule_without_scores_has_no_shade(tmp_path):
    changed = plan()
    changed["runs"] = [run | {"stages": ["nowhere"]} if run["schedule"] == "joint" else run for run in changed["runs"]]
    (panel,) = write_study(tmp_path, changed).panels()
    assert "joint" not in {record["schedule"] for record in heat_records(panel, {"Naish (qna)": ["qna"]})}


# --- curves ----------------------------------------------------------------------------------------------------------


def test_curves_follow_the_stages(panel):
    assert multi_stage_schedules(panel) == ["sequential"]
    records = stage_records(panel, "sequential", line_languages(panel))
    of_line = [record for record in records if record["line"] == "Enish (qen)"]
    assert [(record["stage"], record["score"]) for record in of_line] == [
        ("untrained", 5),
        ("1 qen", 52),
        ("2 qes", 32),
    ]
    assert (of_line[-1]["low"], of_line[-1]["high"]) == (30, 34)


def test_languages_have_colours_of_their_own(panel):
    names = list(line_languages(panel))
    kinds = [line_kind(names, name)[0] for name in names]
    assert len(set(kinds)) == len(kinds) and not any(kind.startswith("c") for kind in kinds)
    assert not set(LANGUAGE_COLOURS) & set(SCHEDULE_COLOURS)


def test_training_curves_join_the_stages_of_a_run(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    assert training_runs(panel, "sequential", tmp_path) == []
    for place, run in enumerate(panel.runs("sequential")):
        for stage in run["stages"]:
            write_losses(tmp_path / stage, [3.0, 2.0, 1.0 + place])
        selection = {"update": 2, "looks": [{"update": 2, "score": 61.0 + place, "scores": {}}]}
        write_json(tmp_path / run["stages"][-1] / "stage.json", {"selection": selection})
    one, two = training_runs(panel, "sequential", tmp_path)
    assert (one.name, two.name) == ("seed 1", "seed 2")
    # The stages have 100 updates each.
    assert one.curves["loss"] == [(1, 3.0), (2, 2.0), (3, 1.0), (101, 3.0), (102, 2.0), (103, 1.0)]
    assert (one.curves["score"], one.starts) == ([(102, 61.0)], (0, 100))
    figure = {figure.kind: figure for figure in panel_figures(panel, tmp_path)}["training"]
    assert [chart.name for chart in figure.charts] == [
        "Training loss of sequential by update, 2 runs.", "Score on validation rows of sequential by update, 2 runs."
    ]  # fmt: skip


def test_learning_rate_and_gradient_norm_are_drawn_where_they_are_recorded(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    for place, run in enumerate(panel.runs("joint")):
        (stage,) = run["stages"]
        points = [{"update": n, "loss": 1.0 + place, "lr": 0.1 / n, "grad_norm": (2.0 + place) * n} for n in (1, 2)]
        write_jsonl(tmp_path / stage / "train.jsonl", points)
    one, _ = training_runs(panel, "joint", tmp_path)
    assert (one.curves["lr"], one.curves["grad_norm"]) == ([(1, 0.1), (2, 0.05)], [(1, 2.0), (2, 4.0)])
    figure = {figure.kind: figure for figure in panel_figures(panel, tmp_path)}["training"]
    assert [chart.name for chart in figure.charts] == [
        "Training loss of joint by update, 2 runs.", "Learning rate of joint by update, the same in all runs.",
        "Norm of the gradient of joint by update, 2 runs.",
    ]  # fmt: skip


def test_the_ticks_of_usual_learning_rates_differ():
    assert [Axis(0, 3e-5).text(tick) for tick in Axis(0, 3e-5).ticks] == ["0", "1e-05", "2e-05", "3e-05"]
    assert Axis(0, 0.002).text(0.0005) == "0.0005" and Axis(0, 5).text(2.0) == "2"


def test_long_curves_are_averaged():
    points = [(float(n), float(n % 2)) for n in range(1000)]
    thin = thinned(points, 10)
    assert len(thin) == 10 and {y for _, y in thin} == {0.5} and thin[0][0] == 49.5


# --- cost ------------------------------------------------------------------------------------------------------------


def write_costs(folder: Path, panel, updates: dict[str, int]) -> None:
    for schedule, number in updates.items():
        for run in panel.runs(schedule):
            stage = folder / run["stages"][-1]
            exposure = {"worldqa.qen": {"examples": 1, "tokens": 9}}
            write_json(stage / "stage.json", {"spec": {"threads": 1}, "updates": number, "exposure": exposure})
            write_json(stage / "cost.json", {"seconds": 360 * run["seed"], "device": "CPU", "devices": 0, "cores": 1})


def test_the_cost_figure_has_time_and_score(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    write_costs(tmp_path, panel, {"joint": 200, "english": 400})
    english, joint = cost_records(panel, tmp_path)
    assert (joint["schedule"], joint["hours"], joint["score"]) == ("joint", 0.15, 19.5)
    assert (joint["low"], joint["high"]) == (19, 20) and english["schedule"] == "english"
    figure = {figure.kind: figure for figure in panel_figures(panel, tmp_path)}["cost"]
    assert "minutes of training, CPU" in texts(figure)


def test_schedules_of_equal_cost_have_no_cost_figure(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    write_costs(tmp_path, panel, {"joint": 200, "english": 200})
    assert "cost" not in {figure.kind for figure in panel_figures(panel, tmp_path)}


# --- axes ------------------------------------------------------------------------------------------------------------


def test_ticks_are_round_and_within_the_axis():
    for low, high in ((0, 70), (-12.4, 13.1), (0.1, 0.34), (-1e-3, 2e-3), (0, 4.2e6)):
        axis = Axis(low, high)
        assert 2 <= len(axis.ticks) <= 7 and all(low <= tick <= high for tick in axis.ticks)
        assert len({axis.text(tick) for tick in axis.ticks}) == len(axis.ticks)


def test_an_axis_of_one_value_has_a_width():
    assert wide_axis([5.0]).low < 5.0 < wide_axis([5.0]).high
    assert wide_axis([0.0], least=0).high > 0


def test_labels_are_spread_without_changing_their_order():
    found = spread([10.0, 10.0, 11.0, 80.0], 14, 0, 100)
    assert all(after - before >= 14 for before, after in pairwise(found)) and found[-1] == 80


# --- files -----------------------------------------------------------------------------------------------------------


def test_every_figure_is_written_as_svg_and_pdf(tmp_path, figures):
    paths = write_figures(write_study(tmp_path), tmp_path, tmp_path / "figures")
    assert [path.name for path in paths[:3:2]] == ["contrasts.forest.svg", "qa.worldqa.tiny.differences.svg"]
    assert len(paths) == 2 * (len(figures) + 1)
    svg = paths[2].read_text(encoding="utf-8")
    assert svg.startswith("<svg") and "Naish (qna)" in svg and "var(" not in svg and not re.search(r'"[0-9.]+%"', svg)
    assert all(path.read_bytes().startswith(b"%PDF") for path in paths[1::2])


def test_equal_scores_give_equal_pictures(tmp_path, figures):
    write_study(tmp_path)
    (panel,) = read(tmp_path).panels()
    assert {figure.kind: figure.svg for figure in panel_figures(panel, Path())} == {
        k: figure.svg for k, figure in figures.items()
    }


def test_every_figure_has_alternative_text(figures):
    assert all(len(figure.alt) > 20 and figure.caption for figure in figures.values())
    assert all(len(chart.name) > 20 for figure in figures.values() for chart in figure.charts)


def test_names_cannot_break_a_picture(tmp_path):
    changed = plan()
    changed["languages"]["qna"]["name"] = '<b>&"x'
    (panel,) = write_study(tmp_path, changed).panels()
    for figure in panel_figures(panel, tmp_path):
        ET.fromstring(figure.svg)
        assert all("<b>" not in chart.page_svg() for chart in figure.charts)
