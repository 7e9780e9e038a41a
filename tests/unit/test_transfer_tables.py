"""Tables of transfer and forgetting of the small study, whose numbers were worked by hand."""

import shutil

import pytest
from helpers import study_config
from helpers.study_results import LANGUAGES, by_seed, csv_rows, plan, read, write_study

from crosstune.analysis.intervals import interval
from crosstune.analysis.results import Panel, StudyResults, load_results
from crosstune.core.files import write_json
from crosstune.reporting.page.page import render_page
from crosstune.reporting.tables.distance import distance_points, distance_sentences, distance_table
from crosstune.reporting.tables.formats import TextTable, latex, markdown
from crosstune.reporting.tables.transfer import (
    MEASURES,
    SequentialSchedule,
    gains_table,
    language_groups,
    measure_cell,
    measures_text_table,
    missing_reason,
    sequential_schedules,
    write_transfer_tables,
)
from crosstune.study.plan import plan_of

DISTANCES = {
    "features": 103,
    "unknown": [],
    "pairs": {
        "qes": {"qen": [0.3, 50]},
        "qna": {"qen": [0.1, 40], "qes": [0.5, 60]},
        "qix": {"qen": [0.6, 30], "qes": [0.4, 20]},
    },
}


def with_schedule(changed: dict, name: str, stages: list[str], mixtures: list[list[str]]) -> dict:
    """The plan with one more schedule, whose stages are folders of that name."""
    changed["tracks"]["qa"]["schedules"].append(name)
    paths = ["/".join(stages[: number + 1]) for number in range(len(stages))]
    changed["runs"] += [
        {"model": "tiny", "seed": seed, "track": "qa", "schedule": name,
         "stages": [f"tiny/seed{seed}/qa/{path}" for path in paths], "evaluated": [["worldqa"] for _ in stages],
         "mixtures": mixtures, "updates": [100 for _ in stages]}
        for seed in (1, 2)
    ]  # fmt: skip
    return changed


def write_scores(folder, stage: str, scores: dict[int, list[float]]) -> None:
    for seed, values in scores.items():
        languages = {lang: {"f1": value, "n": 10} for lang, value in zip(LANGUAGES, values, strict=True)}
        write_json(folder / f"tiny/seed{seed}/qa/{stage}/scores/worldqa.json", {"languages": languages})


def values_of(panel: Panel, schedule: str = "sequential") -> dict[str, dict | str]:
    """Every measure by seed, or why there is none."""
    sequential = SequentialSchedule(panel, schedule)
    return {
        measure.key: missing_reason(sequential, measure)
        or {run.seed: value for run, value in measure_cell(sequential, measure).values.items()}
        for measure in MEASURES
    }


def test_measures_by_hand(tmp_path):
    """qen then qes. Seed 1: qen 50, 30; qes 10, 52; qna and qix end with 18, 5. Seed 2: 54, 34; 12, 50; 20, 7."""
    (panel,) = write_study(tmp_path).panels()
    assert [sequential.schedule for sequential in sequential_schedules(panel)] == ["sequential"]
    assert values_of(panel) == {
        "forgetting": {1: 20, 2: 20},
        "forgetting_since_trained": {1: 20, 2: 20},
        "backward_transfer": {1: -20, 2: -20},
        "transfer": "not run",
        "zero_shot": {1: 10 - 4, 2: 12 - 6},
        "retention": {1: -20, 2: -20},
        "stream_average": {1: (50 + 10 + 30 + 52) / 4, 2: (54 + 12 + 34 + 50) / 4},
        "final_performance": {1: 41, 2: 42},
        "joint_gap": {1: 44.5 - 41, 2: 46.5 - 42},
        "transfer_gap": {1: 41 - 11.5, 2: 42 - 13.5},
        "low_resource": {1: 11.5, 2: 13.5},
    }


def test_transfer_needs_the_schedule_that_trains_on_the_language_alone(tmp_path):
    changed = with_schedule(plan(), "mono", ["worldqa.qes@200"], [["worldqa.qes"]])
    write_scores(tmp_path, "worldqa.qes@200", {1: [9, 45, 9, 9], 2: [9, 51, 9, 9]})
    (panel,) = write_study(tmp_path, changed).panels()
    assert values_of(panel)["transfer"] == {1: 52 - 45, 2: 50 - 51}


def test_joint_is_the_headlines(tmp_path):
    changed = with_schedule(plan(), "uniform", ["uniform"], [["worldqa.qen", "worldqa.qes"]])
    write_scores(tmp_path, "uniform", {1: [60, 60, 9, 9], 2: [60, 60, 9, 9]})
    changed["tracks"]["qa"]["schedules"] = ["uniform", "untrained", "english", "joint", "sequential"]
    assert SequentialSchedule(write_study(tmp_path, changed).panels()[0], "sequential").joint == "joint"
    del changed["headline"]
    assert SequentialSchedule(write_study(tmp_path, changed).panels()[0], "sequential").joint == "uniform"


@pytest.mark.parametrize("second", [["worldqa.qes", "worldqa.qna"], ["worldqa.qen"]])
def test_a_stage_of_several_languages_or_of_one_again(tmp_path, second):
    changed = with_schedule(plan(), "between", ["one", "two"], [["worldqa.qen"], second])
    write_scores(tmp_path, "one", {1: [50, 10, 20, 6], 2: [50, 10, 20, 6]})
    write_scores(tmp_path, "one/two", {1: [40, 30, 35, 6], 2: [40, 30, 35, 8]})
    (panel,) = write_study(tmp_path, changed).panels()
    found = values_of(panel, "between")
    streams = {measure.key for measure in MEASURES if measure.needs == "stream"}
    assert len(streams) == 5
    assert {found[key] for key in streams} == {"not defined"}
    assert found["retention"] == {1: -10, 2: -10}
    table = measures_text_table(panel)
    assert {row[0]: row[table.head.index("between")] for row in table.rows}["forgetting"] == "not defined"
    assert "Not defined: not every stage has one language of its own" in table.caption
    if len(second) == 2:
        assert found["final_performance"] == {1: 35, 2: 35}
        assert found["stream_average"] == pytest.approx({1: (80 + 105) / 6, 2: (80 + 105) / 6})
        assert found["transfer_gap"] == {1: 29, 2: 27}
        assert found["low_resource"] == {1: 6, 2: 8}  # qna is trained on


def test_replayed_rows_are_no_language_of_a_stage(tmp_path):
    """The plan has a stage's own sources alone, so that a sequential with replay is a stream of languages."""
    replayed = {"english": ["qen"], "replayed": ["qen", {"train": "qes", "replay": 0.5}]}
    planned = plan_of(study_config.study(tracks__qa__schedules=replayed))
    write_json(tmp_path / "plan.json", planned)
    (panel,) = load_results(tmp_path / "plan.json", tmp_path).panels()
    assert SequentialSchedule(panel, "replayed").stream == ["qen", "qes"]


def test_a_source_that_is_not_evaluated(tmp_path):
    changed = with_schedule(
        plan(), "three", ["one", "two", "last"], [["worldqa.qen"], ["worldqa.qxx"], ["worldqa.qes"]]
    )
    write_scores(tmp_path, "one", {1: [50, 10, 20, 6]})
    write_scores(tmp_path, "one/two", {1: [45, 14, 20, 6]})
    write_scores(tmp_path, "one/two/last", {1: [30, 52, 20, 6]})
    (panel,) = write_study(tmp_path, changed).panels()
    found = values_of(panel, "three")
    assert found["forgetting"] == {1: (5 + 20) / 2}
    assert found["zero_shot"] == {1: (10 + 14) / 2 - 4}
    assert found["final_performance"] == {1: 41}
    assert "Trained on but not evaluated here, and in no number: qxx." in measures_text_table(panel).caption


def test_a_stage_that_is_not_scored(tmp_path):
    changed = plan()
    for run in changed["runs"]:
        if run["schedule"] == "sequential":
            run["evaluated"][0] = []
    (panel,) = write_study(tmp_path, changed).panels()
    found = values_of(panel)
    assert found["forgetting"] == found["retention"] == found["stream_average"] == "not scored"
    assert found["final_performance"] == {1: 41, 2: 42}
    assert dict(measures_text_table(panel).rows)["forgetting"] == "not scored"


def test_no_low_resource_language_and_no_other(tmp_path):
    changed = plan()
    changed["tracks"]["qa"]["evaluate"]["worldqa"] = ["qen", "qes"]
    found = values_of(write_study(tmp_path, changed).panels()[0])
    assert found["low_resource"] == found["transfer_gap"] == "no language"
    assert found["final_performance"] == {1: 41, 2: 42}


def test_measures_in_texts(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    table = measures_text_table(panel)
    assert table.name == "qa.worldqa.tiny.f1.measures"
    assert table.head == ["measure", "sequential"]
    cells = dict(table.rows)
    assert cells["forgetting"] == "20.0 [20.0, 20.0]"
    assert cells["transfer, against mono-lingual"] == "not run"
    over = interval(by_seed({1: 3.5, 2: 4.5}))
    assert cells["joint − sequential"] == f"4.0 [{over.low:.1f}, {over.high:.1f}]"
    for words in (
        "SQuAD v1.1 F1",
        "95% CI over 2 seeds",
        "without what it replays",
        "Not run: the study does not have",
    ):
        assert words in table.caption
    assert "Not scored" not in table.caption
    lines = {line[1]: line for line in table.lines}
    assert lines["joint_gap"][2:] == ["4.0000", "0.7071", f"{over.low:.4f}", f"{over.high:.4f}", 2, 0, ""]
    assert lines["transfer"][2:] == ["", "", "", "", "", "", "not run"]


def test_runs_are_paired_and_missing_ones_shown(tmp_path):
    write_study(tmp_path)
    shutil.rmtree(tmp_path / "tiny/seed2/qa/worldqa.qen+worldqa.qes@200")
    shutil.rmtree(tmp_path / "tiny/seed1/qa/worldqa.qen@100/worldqa.qes@100")
    (panel,) = read(tmp_path).panels()
    found = values_of(panel)
    assert found["final_performance"] == {2: 42}
    assert found["joint_gap"] == {}
    cells = dict(measures_text_table(panel).rows)
    assert cells["final performance"] == "42.0 (1/2 runs)"
    assert cells["joint − sequential"] == "n/a"


def test_a_study_without_sequences(tmp_path):
    changed = plan()
    changed["tracks"]["qa"]["schedules"].remove("sequential")
    changed["runs"] = [run for run in changed["runs"] if run["schedule"] != "sequential"]
    changed["headline"] = {}
    (panel,) = write_study(tmp_path, changed).panels()
    assert measures_text_table(panel) is None and gains_table(panel) is None
    assert write_transfer_tables(panel.study, tmp_path / "tables") == []


# ---------------------------------------------------------------------------------------- gains by kind of language


def test_gains_over_one_source(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    table = gains_table(panel)
    assert [(column.key, column.group) for column in table.columns] == [
        ("joint", "schedule − english"), ("sequential", "schedule − english")
    ]  # fmt: skip
    rows = {(row.group, row.key): cells for row, cells in zip(table.rows, table.cells, strict=True)}
    assert rows["language", "qes"][0].values == by_seed({1: 34, 2: 34})
    assert rows["language", "qna"][1].values == by_seed({1: -2, 2: -2})
    assert rows["family", "isolate"][0].values == by_seed({1: 2, 2: 0})
    assert rows["family", "north"][0].values == by_seed({1: 10, 2: 12})
    assert {group for group, _ in rows} == {"language", "family"}  # one script, one level: nothing to separate


def test_gains_over_the_first_stage(tmp_path):
    changed = plan()
    del changed["headline"]["single"]
    table = gains_table(write_study(tmp_path, changed).panels()[0])
    assert [(column.key, column.group) for column in table.columns] == [("sequential", "schedule − its first stage")]
    assert table.cells[0][0].values == by_seed({1: -20, 2: -20})


def test_groups_of_unseen_languages(tmp_path):
    changed = plan()
    changed["languages"]["qix"] |= {"script": "Grek", "resource": None}
    (panel,) = write_study(tmp_path, changed).panels()
    assert language_groups(panel) == {
        "family": {"isolate": ["qix"], "north": ["qna"]},
        "script": {"Grek": ["qix"], "Latn": ["qna"]},
        "resource level": {"low": ["qna"], "neither": ["qix"]},
    }


# ---------------------------------------------------------------------------------------------- transfer by distance


def write_distant(folder, **changes) -> StudyResults:
    changed = plan()
    settings = {"file": "{bundle}/features.npz", "features": ["S_*"], "min_features": 20, "to": "nearest"}
    changed["distances"] = settings | changes
    write_json(folder / "distances.json", DISTANCES)
    return write_study(folder, changed)


def test_points(tmp_path):
    (panel,) = write_distant(tmp_path).panels()
    # Over untrained (4 and 6): qes 10 and 12, qna 20 and 22, qix 6 and 6.
    assert [(p.language, p.source, p.distance, p.known, p.transfer) for p in distance_points(panel, "english")] == [
        ("qes", "qen", 0.3, 50, 6), ("qna", "qen", 0.1, 40, 16), ("qix", "qen", 0.6, 30, 1)
    ]  # fmt: skip
    assert [(p.language, p.source, p.distance) for p in distance_points(panel, "joint")] == [
        ("qna", "qen", 0.1), ("qix", "qes", 0.4)
    ]  # fmt: skip


def test_points_with_few_known_features_and_of_a_mean(tmp_path):
    (panel,) = write_distant(tmp_path, min_features=21).panels()
    assert [(p.language, p.source, p.distance) for p in distance_points(panel, "joint")] == [
        ("qna", "qen", 0.1), ("qix", "qen", 0.6)
    ]  # fmt: skip
    (panel,) = write_distant(tmp_path, to="mean").panels()
    assert [(p.source, p.distance, p.known) for p in distance_points(panel, "joint")] == [("", 0.3, 40), ("", 0.5, 20)]


def test_slope_by_hand(tmp_path):
    """x .3 .1 .6, y 6 16 1: sum of products -11/3, of squares .38/3, so -28.947, and -2.89 for 0.1.

    For the other schedules two languages are left, through which any line goes.
    """
    (panel,) = write_distant(tmp_path).panels()
    table = distance_table(panel)
    (english,) = table.rows
    assert english[0] == "english" and english[1].startswith("-2.89 [") and english[3:] == ["-1.00", "3", "3"]
    for words in (
        "103 of features.npz: S_*",
        "at least 20",
        "over the untrained model",
        "Without known features: none",
    ):
        assert words in table.caption
    sentence = distance_sentences(panel)
    assert "After english, transfer has no clear trend: -2.9 points [" in sentence
    assert "for every 0.1 of distance (3 languages of 3 families)." in sentence


def test_a_study_that_wants_distances_and_has_none_yet(tmp_path):
    study = write_distant(tmp_path)
    (tmp_path / "distances.json").unlink()
    (panel,) = read(tmp_path).panels()
    assert distance_table(panel) is None and distance_sentences(panel) == ""
    # A file that is left over from another config is not read.
    write_study(tmp_path, plan())
    write_json(tmp_path / "distances.json", DISTANCES)
    assert read(tmp_path).distances is None and study.distances == DISTANCES


# ------------------------------------------------------------------------------------------------- what is written


def test_files(tmp_path):
    paths = write_transfer_tables(write_distant(tmp_path), tmp_path / "tables")
    stem = "qa.worldqa.tiny.f1"
    kinds = [f"{stem}.{kind}.{form}" for kind in ("gains", "measures", "distance") for form in ("csv", "md", "tex")]
    assert [path.name for path in paths] == [*kinds, f"{stem}.distance.languages.csv"]
    write_transfer_tables(read(tmp_path), tmp_path / "again")
    for path in paths:
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert csv_rows(paths[-1])[0] == {
        "schedule": "english", "language": "qes", "family": "south", "source": "qen",
        "distance": "0.3000", "features": "50", "transfer": "6.0000",
    }  # fmt: skip


def test_latex_compiles(tmp_path, typeset):
    paths = write_transfer_tables(write_distant(tmp_path), tmp_path / "tables")
    typeset("\n".join(path.read_text() for path in paths if path.suffix == ".tex"))


def test_the_page_has_them(tmp_path):
    page = render_page(write_distant(tmp_path), tmp_path)
    assert page.count(">Transfer, forgetting and relatedness</h2>") == 1
    for words in ("forgetting since trained", "20.0 [20.0, 20.0]", "schedule − english", "After english, transfer has"):
        assert words in page


def test_a_wide_table_becomes_several_floats():
    head = ["measure", *(f"s{number}" for number in range(9))]
    table = TextTable("wide", "100% of_it", head, [["forgetting", *map(str, range(9))]], [])
    text = latex(table)
    assert text.count(r"\begin{table}") == 3
    assert r"100\% of\_it" in text and r"\label{tab:wide.3}" in text
    assert r"forgetting & 8 \\" in text
    assert latex(TextTable("small", "", head[:3], [["x", "1", "2"]], [])).count(r"\begin{table}") == 1
    assert "| forgetting |" in markdown(table)
