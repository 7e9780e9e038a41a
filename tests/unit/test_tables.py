"""Tables of a study whose numbers were computed by hand."""

import shutil
from pathlib import Path

import pytest
from helpers.fold_study import SCORES, fold_study
from helpers.study_results import by_seed, csv_rows, plan, read, write_averaged, write_study

from crosstune.analysis.cells import Cell, Replicate
from crosstune.analysis.intervals import interval
from crosstune.analysis.results import TaskAverage, load_results
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, write_json
from crosstune.core.text import decimal
from crosstune.reporting.figures.differences import seed_pair
from crosstune.reporting.figures.forest import seed_row
from crosstune.reporting.tables.formats import latex, markdown
from crosstune.reporting.tables.ranking import ranked_cells
from crosstune.reporting.tables.scores import (
    average_table,
    schedule_table,
    score_tables,
    transfer_table,
    write_score_tables,
)
from crosstune.reporting.tables.table import Heading, Table, cell_text


def file_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_cells():
    cell = Cell(by_seed({1: 50.0, 2: 54.0}), planned_runs=3)
    assert (cell.mean, cell.sd, cell.missing_runs) == (52, pytest.approx(8**0.5), 1)
    assert Cell(by_seed({1: 50.0}), planned_runs=1).sd is None
    assert Cell({}, planned_runs=2).mean is None
    assert cell.difference(Cell(by_seed({2: 50.0, 3: 1.0}), planned_runs=3)).values == by_seed({2: 4})


def test_a_seed_without_all_its_folds_is_missing_from_the_mean_over_folds():
    values = {Replicate(1): 50.0, Replicate(1, 2): 60.0, Replicate(2): 40.0}
    cell = Cell(values, planned_runs=6, diverged=frozenset({Replicate(2, 2)})).average_folds(2)
    assert (cell.values, cell.planned_runs, cell.missing_runs) == (by_seed({1: 55.0}), 3, 2)
    assert cell.diverged == {Replicate(2)}


def test_tables_rankings_and_figures_take_the_mean_over_folds_first():
    """Two folds of a seed are one observation: plain has 30 and 32 (seed 1), 36 and 38 (seed 2) over both languages."""
    study = fold_study()
    (panel,) = study.panels()
    cell = panel.cell("plain", panel.languages, "jaccard")
    assert sorted(cell.values.values()) == [30, 32, 36, 38]
    folded = by_seed({1: 31, 2: 37})
    assert panel.over_folds(cell).values == folded
    assert ranked_cells([panel], "plain")[0].values == folded
    study.plan["averages"] = {"mean": [{"task": "qa", "track": "qa", "dataset": "chaii"}]}
    assert TaskAverage(study, "mean").cell("tiny", "plain", "qa", primary=True).values == folded
    # more - plain is 8 and 2 points of seed 1, 4 and -2 of seed 2: of single folds the interval would be wider.
    more = {(1, 1): (56, 20), (1, 2): (48, 20), (2, 1): (56, 24), (2, 2): (48, 24)}
    (panel,) = fold_study(SCORES | {"more": more}).panels()
    row, ends = seed_row(panel, "more", "plain"), interval(by_seed({1: 5.0, 2: 1.0}))
    assert (row.mean, row.low, row.high) == pytest.approx((3, ends.low, ends.high))
    mean = seed_pair(panel, "more", "plain").rows[0]
    assert (mean.mean, mean.low, mean.high) == (row.mean, row.low, row.high)


def test_printed_numbers():
    assert decimal(-0.04, 1) == "0.0"
    assert decimal(2.25, 4) == "2.2500"
    assert cell_text(Cell(by_seed({1: 50.0, 2: 54.0}), 2)) == "52.0 ± 2.8"
    assert cell_text(Cell(by_seed({1: 50.0}), 1)) == "50.0"
    assert cell_text(Cell({}, 1)) == "n/a"


def test_groups_of_languages(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    assert (panel.seen_languages, panel.unseen_languages, panel.low_resource_languages) == (
        ["qen", "qes"],
        ["qna", "qix"],
        ["qna", "qix"],
    )
    assert (panel.related_languages, panel.unrelated_languages) == (["qna"], ["qix"])


def test_schedule_by_language(tmp_path):
    write_score_tables(write_study(tmp_path), tmp_path / "tables")
    rows = {row["row"]: row for row in csv_rows(tmp_path / "tables/qa.worldqa.tiny.f1.csv")}
    assert list(rows) == ["context", "empty", "untrained", "english", "joint", "sequential"]
    assert [row["group"] for row in rows.values()] == ["trivial baseline"] * 3 + ["schedule"] * 3
    assert (rows["english"]["qen_mean"], rows["english"]["qen_sd"]) == ("52.0000", "2.8284")
    assert (rows["context"]["qen_mean"], rows["context"]["qen_sd"]) == ("7.0000", "")
    # Macro-averages are taken within a seed, then over seeds: english over all is 21.5 and 23.5.
    assert (rows["english"]["average_all_mean"], rows["english"]["average_all_sd"]) == ("22.5000", "1.4142")
    assert (rows["joint"]["average_low_mean"], rows["joint"]["average_low_sd"]) == ("19.5000", "0.7071")
    assert rows["sequential"]["average_seen_mean"] == "41.5000"
    assert rows["sequential"]["average_unseen_mean"] == "12.5000"


def test_other_metric(tmp_path):
    write_score_tables(write_study(tmp_path), tmp_path / "tables")
    rows = {row["row"]: row for row in csv_rows(tmp_path / "tables/qa.worldqa.tiny.exact_match.csv")}
    assert rows["english"]["qen_mean"] == "26.0000"


def test_transfer_matrix(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    table = transfer_table(panel)
    assert [(row.group, row.label) for row in table.rows[-2:]] == [("sequential", "qen"), ("sequential", "→ qes")]
    write_score_tables(panel.study, tmp_path / "tables")
    rows = csv_rows(tmp_path / "tables/qa.worldqa.tiny.f1.transfer.csv")
    assert [(row["group"], row["row"], row["qen_mean"]) for row in rows[-2:]] == [
        ("sequential", "1 worldqa.qen", "52.0000"),
        ("sequential", "2 worldqa.qes", "32.0000"),
    ]


def test_long_forms(tmp_path):
    write_score_tables(write_study(tmp_path), tmp_path / "tables")
    scores = csv_rows(tmp_path / "tables/scores.csv")
    assert len(scores) == 2 * (1 + 1 + 1 + 2) * 4 * 2  # seeds x stages x languages x metrics
    last = scores[-1]
    assert (last["schedule"], last["stage"], last["sources"], last["seed"]) == ("sequential", "2", "worldqa.qes", "2")
    assert (last["language"], last["metric"], last["value"]) == ("qix", "exact_match", "3.5000")
    summary = csv_rows(tmp_path / "tables/summary.csv")
    assert {(row["runs"], row["missing"]) for row in summary if row["schedule"] == "joint"} == {("2", "0")}


def test_markdown(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    text = markdown(schedule_table(panel, "f1"))
    header = [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")]
    assert header == [
        "schedule", "seen: qen†", "qes†", "unseen: qna", "qix", "average: all", "seen", "unseen", "low",
    ]  # fmt: skip
    assert [cell.strip() for cell in text.splitlines()[7].strip("|").split("|")][:3] == [
        "schedule: english", "52.0 ± 2.8", "11.0 ± 1.4",
    ]  # fmt: skip


def test_caption(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    caption = schedule_table(panel, "f1").caption
    for words in ("SQuAD v1.1 F1", "Model tiny", "2 seeds (1, 2)", "200 updates of up to 512 tokens", "compute-matched",
                  "† seen: some schedule of the track trains on it", "(qna, qix)", "All 8 runs present"):  # fmt: skip
        assert words in caption


def test_missing_runs_are_noted(tmp_path):
    write_study(tmp_path)
    shutil.rmtree(tmp_path / "tiny/seed2/qa/worldqa.qen+worldqa.qes@200")
    (panel,) = read(tmp_path).panels()
    table = schedule_table(panel, "f1")
    assert "1 of 8 runs missing" in table.caption
    assert "joint [1/2 runs]" in [row.label for row in table.rows]
    write_score_tables(panel.study, tmp_path / "tables")
    rows = {row["row"]: row for row in csv_rows(tmp_path / "tables/qa.worldqa.tiny.f1.csv")}
    assert (rows["joint"]["missing"], rows["joint"]["qen_mean"], rows["joint"]["qen_sd"]) == ("1", "45.0000", "")
    assert rows["english"]["missing"] == "0"


def test_no_scores_at_all(tmp_path):
    study = write_study(tmp_path)
    for run in study.plan["runs"]:
        shutil.rmtree(tmp_path / run["stages"][0], ignore_errors=True)
    (panel,) = read(tmp_path).panels()
    assert "8 of 8 runs missing" in markdown(schedule_table(panel, "f1"))


def test_a_stage_without_a_head_for_the_data_set_is_not_missing(tmp_path):
    """Another task first: its stage is no run that failed."""
    mixed = plan()
    for run in mixed["runs"]:
        if run["schedule"] == "sequential":
            run["evaluated"][0] = []
        if run["schedule"] == "english":
            run["evaluated"] = [[]]
    (panel,) = write_study(tmp_path, mixed).panels()
    assert panel.schedules == ["untrained", "joint", "sequential"]
    assert "All 6 runs present" in schedule_table(panel, "f1").caption
    assert "missing" not in markdown(transfer_table(panel))
    assert "/2 seeds" not in markdown(transfer_table(panel))


def test_several_models_and_tracks(tmp_path):
    bigger = plan()
    bigger["models"] = ["tiny", "large"]
    bigger["tracks"]["again"] = bigger["tracks"]["qa"]
    bigger["runs"] += [run | {"model": "large"} for run in bigger["runs"]]
    bigger["runs"] += [run | {"track": "again"} for run in bigger["runs"] if run["model"] == "tiny"]
    study = write_study(tmp_path, bigger)
    assert [panel.name for panel in study.panels()] == ["qa.worldqa.tiny", "qa.worldqa.large", "again.worldqa.tiny"]
    assert len(list(score_tables(study))) == 3 * 3
    assert len({table.name for table in score_tables(study)}) == 3 * 3


def test_same_scores_same_bytes(tmp_path):
    study = write_study(tmp_path)
    write_score_tables(study, tmp_path / "one")
    write_score_tables(read(tmp_path), tmp_path / "two")
    assert file_bytes(tmp_path / "one") == file_bytes(tmp_path / "two")


def numbers_of(average: TaskAverage, schedule: str) -> dict[str, str]:
    table = average_table(average)
    (row,) = [cells for heading, cells in zip(table.rows, table.cells, strict=True) if heading.key == schedule]
    return {column.key: cell_text(cell) for column, cell in zip(table.columns, row, strict=True)}


class TestAverages:
    def test_by_hand(self, tmp_path):
        """F1 of english over its four languages is 21.5 and 23.5, exact match half of it; accuracy is 40 and 50.

        xquad: 16.125 and 17.625. Mean of the two tasks: 28.0625 and 33.8125. With F1 alone: 30.75 and 36.75.
        """
        average = write_averaged(tmp_path)
        assert average.cell("tiny", "english", "xquad").values == by_seed({1: 16.125, 2: 17.625})
        assert average.mean("tiny", "english").values == by_seed({1: 28.0625, 2: 33.8125})
        assert average.mean("tiny", "english", primary=True).values == by_seed({1: 30.75, 2: 36.75})
        assert numbers_of(average, "english") == {
            "xquad": "16.9 ± 1.1", "xnli": "45.0 ± 7.1", "average": "30.9 ± 4.1", "average_f1": "33.8 ± 4.2"
        }  # fmt: skip

    def test_rows_are_the_schedules_of_all_tracks(self, tmp_path):
        table = average_table(write_averaged(tmp_path))
        assert [(row.group, row.label) for row in table.rows] == [
            ("tiny", "untrained [lacks xnli (not evaluated)]"),
            ("tiny", "english"),
            ("tiny", "joint [lacks xnli (1 of 2 seeds)]"),
            ("tiny", "sequential [lacks xnli (not evaluated)]"),
            ("tiny", "raw [lacks xquad (not evaluated)]"),
        ]

    def test_a_missing_task_leaves_the_mean_blank(self, tmp_path):
        average = write_averaged(tmp_path)
        assert numbers_of(average, "sequential")["average"] == "n/a"
        # joint has a score of xnli for seed 1 alone: F1 (45 + 44 + 30 + 8) / 4 = 31.75, x 0.75 = 23.8125; and 60.
        assert average.mean("tiny", "joint").values == by_seed({1: (23.8125 + 60) / 2})
        write_score_tables(average.study, tmp_path / "tables")
        rows = {row["row"]: row for row in csv_rows(tmp_path / "tables/average.two.csv")}
        assert (rows["sequential"]["average_mean"], rows["sequential"]["missing"]) == ("", "2")
        joint = rows["joint"]
        assert (joint["average_mean"], joint["average_sd"], joint["missing"]) == ("41.9062", "", "1")
        assert (rows["english"]["group"], rows["english"]["missing"]) == ("tiny", "0")

    def test_a_language_without_scores_leaves_the_task_out(self, tmp_path):
        average = write_averaged(tmp_path)
        path = tmp_path / "tiny/seed2/qa/worldqa.qen@200/scores/worldqa.json"
        scores = read_json(path)
        del scores["languages"]["qix"]
        write_json(path, scores)
        (average,) = read(tmp_path).task_averages()
        assert average.missing_tasks("tiny", "english") == ["xquad (1 of 2 seeds)"]
        assert average.mean("tiny", "english").values == by_seed({1: 28.0625})

    def test_a_named_schedule_is_used_in_every_row(self, tmp_path):
        average = write_averaged(tmp_path, schedule="raw")
        assert average.schedules == ["untrained", "english", "joint", "sequential"]
        assert numbers_of(average, "sequential")["xnli"] == numbers_of(average, "english")["xnli"] == "32.0 ± 2.8"
        assert average.mean("tiny", "english").values == by_seed({1: (16.125 + 30) / 2, 2: (17.625 + 34) / 2})
        assert "xnli: nli/xnli, accuracy, always of schedule raw" in average_table(average).caption

    def test_caption(self, tmp_path):
        caption = average_table(write_averaged(tmp_path)).caption
        for words in ("over 2 tasks", "2 seeds (1, 2)", "(F1 + exact match) / 2",
                      "xquad: qa/worldqa, SQuAD v1.1 F1 and SQuAD v1.1 exact match", "xnli: nli/xnli, accuracy.",
                      "it is without xcopa, udpos, panx, mlqa, tydiqa, tatoeba, mewslix, lareqa."):  # fmt: skip
            assert words in caption

    def test_formats(self, tmp_path):
        average = write_averaged(tmp_path)
        text = markdown(average_table(average))
        assert "\n| schedule" in text and "task: xquad" in text and "average: mean" in text
        assert r"\emph{tiny}" in latex(average_table(average))


def wide_table(columns: int) -> Table:
    headings = tuple(
        Heading(f"l{number}", "seen" if number < 5 else "unseen", f"l{number}") for number in range(columns)
    )
    cells = tuple(Cell(by_seed({1: 20.0 + number, 2: 88.8}), 2) for number in range(columns))
    return Table(
        "wide",
        "Ünïcode & 100% of_it",
        "schedule",
        (Heading("sequential", "schedule", "sequential"),),
        headings,
        (cells,),
    )


def test_a_table_with_many_languages_is_transposed():
    lines = markdown(wide_table(50)).splitlines()
    assert len(lines) == 2 + 2 + 50
    assert markdown(wide_table(10)).count("\n") == 2 + 2 + 1


def test_parts_of_a_wide_table():
    parts = wide_table(20).parts(9)
    assert [len(part.columns) for part in parts] == [7, 7, 6]
    assert [cell.values[Replicate(1)] for part in parts for cell in part.cells[0]] == [
        20.0 + number for number in range(20)
    ]
    assert parts[1].caption.startswith("Part 2 of 3. ")


def test_latex_groups_and_escapes(tmp_path):
    (panel,) = write_study(tmp_path).panels()
    text = latex(schedule_table(panel, "f1"))
    assert r"\multicolumn{3}{c}{trivial baseline} & \multicolumn{3}{c}{schedule}" in text
    assert r"\cmidrule(lr){2-4} \cmidrule(lr){5-7}" in text and r"\multicolumn{7}{l}{\emph{unseen}}" in text
    assert r"& 52.0 {\tiny$\pm$2.8}" in text
    assert r"\& 100\% of\_it" in latex(wide_table(5))


def test_latex_compiles(tmp_path, typeset):
    write_study(tmp_path)
    shutil.rmtree(tmp_path / "tiny/seed2/qa/worldqa.qen+worldqa.qes@200")
    everything = [*score_tables(read(tmp_path)), *(wide_table(columns) for columns in range(4, 10))]
    typeset("\n".join(map(latex, everything)))


def test_a_missing_plan(tmp_path):
    with pytest.raises(UserError, match="no such plan"):
        load_results(tmp_path / "plan.json", tmp_path)


def test_a_broken_scores_file(tmp_path):
    write_study(tmp_path)
    path = tmp_path / "tiny/seed1/qa/worldqa.qen@200/scores/worldqa.json"
    path.write_text('{"languages": {', encoding="utf-8")
    with pytest.raises(UserError, match="not valid JSON") as caught:
        read(tmp_path)
    assert caught.value.where == str(path)
