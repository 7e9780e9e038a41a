"""Tables that a study specifies: by hand, in every format, and the errors for mistakes in a specification."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.study_config import study as planned
from helpers.study_results import csv_rows, plan, published_plan, read, table_entry, write_study
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.analysis.results import StudyResults
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, write_json
from crosstune.reporting.tables.custom import custom_tables, write_custom_tables
from crosstune.reporting.tables.formats import latex, markdown
from crosstune.reporting.tables.table import Table
from crosstune.study.plan import plan_of

DOCS = Path(__file__).parents[2] / "docs/tables.md"


def custom_table(folder: Path, plan: dict | None = None, **keys) -> Table:
    """A table of the small study."""
    return table_of(write_study(folder, plan_with(plan, **keys)))


def plan_with(base: dict | None = None, **keys) -> dict:
    return (base or plan()) | {"tables": [table_entry(**keys)]}


def table_of(study: StudyResults) -> Table:
    (table,) = custom_tables(study)
    return table


def texts(table: Table) -> dict[tuple[str, str], str]:
    """The texts of the cells, by the keys of row and column."""
    return {
        (row.key, column.key): table.format.text(cell)
        for row, cells in zip(table.rows, table.cells, strict=True)
        for column, cell in zip(table.columns, cells, strict=True)
    }


class TestByHand:
    """English has 50, 10, 20, 6 with seed 1 and 54, 12, 22, 6 with seed 2, in qen, qes, qna and qix."""

    def test_languages(self, tmp_path):
        table = custom_table(tmp_path)
        assert [row.key for row in table.rows] == ["untrained", "english", "joint", "sequential"]
        assert [column.label for column in table.columns] == ["qen†", "qes†", "qna", "qix"]
        assert texts(table)["english", "qen"] == "52.0 ± 2.8"
        assert texts(table)["sequential", "qix"] == "6.0 ± 1.4"

    def test_families_scripts_resources_and_groups(self, tmp_path):
        found = custom_table(tmp_path, columns=["family", "script", "resource", "group"])
        assert [column.label for column in found.columns] == [
            "north (2)", "south (1)", "isolate (1)", "Latn (4)", "high (2)", "low (2)", "all", "seen", "unseen", "low",
        ]  # fmt: skip
        # North is qen and qna: 35 and 38. All four: 21.5 and 23.5. High: 30 and 33.
        english = {column: text for (row, column), text in texts(found).items() if row == "english"}
        assert english["family_north"] == "36.5 ± 2.1"
        assert english["script_Latn"] == english["group_all"] == "22.5 ± 1.4"
        assert english["resource_high"] == english["group_seen"] == "31.5 ± 2.1"
        assert english["resource_low"] == english["group_low"] == english["group_unseen"] == "13.5 ± 0.7"

    def test_rows_and_columns_meet(self, tmp_path):
        found = texts(custom_table(tmp_path, rows=["family"], columns=["resource"], schedules=["english"]))
        assert found["family_north", "resource_low"] == "21.0 ± 1.4"
        assert found["family_south", "resource_low"] == "n/a"

    def test_differences_are_seed_by_seed(self, tmp_path):
        table = custom_table(
            tmp_path, relative_to="english", columns=["language", "group"], schedules=["joint", "english"]
        )
        assert [row.key for row in table.rows] == ["joint"]
        # qen: 45 - 50 and 47 - 54. Low: 19 - 13 and 20 - 14.
        assert texts(table)["joint", "qen"] == "-6.0 ± 1.4"
        assert texts(table)["joint", "group_low"] == "+6.0 ± 0.0"
        assert "Differences from english, seed by seed." in table.caption

    @pytest.mark.parametrize(
        ("statistic", "text", "csv_columns"),
        [
            # The interval of two seeds: 52 ± 12.7062 x 2.8284 / sqrt(2).
            ("interval", "52.0 [26.6, 77.4]", {"mean": "52.0000", "low": "26.5876", "high": "77.4124"}),
            ("median", "52.0", {"median": "52.0000"}),
            ("min", "50.0", {"min": "50.0000"}),
            ("max", "54.0", {"max": "54.0000"}),
        ],
    )
    def test_statistics(self, tmp_path, statistic, text, csv_columns):
        assert texts(custom_table(tmp_path, statistic=statistic))["english", "qen"] == text
        write_custom_tables(read(tmp_path), tmp_path)
        line = rows_of(tmp_path / "mine.csv")["english"]
        assert {key.removeprefix("qen_"): line[key] for key in line if key.startswith("qen_")} == csv_columns

    def test_digits(self, tmp_path):
        assert texts(custom_table(tmp_path, digits=3))["english", "qen"] == "52.000 ± 2.828"

    def test_seeds(self, tmp_path):
        table = custom_table(tmp_path, columns=["seed"], rows=["language"], schedules=["joint"])
        assert [column.label for column in table.columns] == ["seed 1", "seed 2"]
        assert (texts(table)["qes", "seed_1"], texts(table)["qes", "seed_2"]) == ("44.0", "46.0")
        assert "over 2 seeds" not in table.caption

    def test_some_seeds(self, tmp_path):
        table = custom_table(tmp_path, seeds=[2])
        assert texts(table)["english", "qen"] == "54.0"
        assert "over 1 seed (2)" in table.caption and "All 4 runs present." in table.caption

    def test_stages(self, tmp_path):
        """The small study's sequential: qen at 52, then 32."""
        table = custom_table(tmp_path, rows=["stage"], schedules=["english", "sequential"])
        assert [(row.group, row.label) for row in table.rows] == [
            ("english", "qen"), ("sequential", "qen"), ("sequential", "→ qes"),
        ]  # fmt: skip
        assert texts(table)["sequential_2", "qen"] == "32.0 ± 2.8"
        across = texts(custom_table(tmp_path, columns=["stage"], languages=["qen"]))
        assert across["sequential", "stage_1"] == across["english", "stage_1"] == "52.0 ± 2.8"
        assert (across["sequential", "stage_2"], across["english", "stage_2"]) == ("32.0 ± 2.8", "n/a")

    def test_stages_less_the_end_of_a_schedule(self, tmp_path):
        """Sequential ends with 30 and 34 in qen, english with 50 and 54."""
        found = texts(custom_table(tmp_path, rows=["stage"], relative_to="sequential"))
        assert found["english_1", "qen"] == "+20.0 ± 0.0"
        assert (
            texts(custom_table(tmp_path, rows=["stage"], relative_to="english"))["sequential_2", "qen"] == "-20.0 ± 0.0"
        )

    def test_a_schedule_without_stages_is_no_stage_less(self, tmp_path):
        """The untrained model, and an average of checkpoints, have none in a real plan."""
        real = plan()
        for run in real["runs"]:
            if run["schedule"] == "untrained":
                run |= {"mixtures": [], "updates": []}
        assert texts(custom_table(tmp_path, real, rows=["stage"]))["untrained_1", "qen"] == "5.0 ± 1.4"

    def test_metrics(self, tmp_path):
        found = texts(custom_table(tmp_path, columns=["metric"], languages="low"))
        assert (found["joint", "metric_f1"], found["joint", "metric_exact_match"]) == ("19.5 ± 0.7", "9.8 ± 0.4")
        assert texts(custom_table(tmp_path, metric="exact_match"))["english", "qen"] == "26.0 ± 1.4"

    def test_pooled(self, tmp_path):
        write_study(tmp_path, plan_with(columns=["group"], aggregate="pooled"))
        for path in tmp_path.glob("tiny/**/scores/worldqa.json"):
            scores = read_json(path)
            scores["languages"]["qen"]["n"] = 3 * 10**6
            write_json(path, scores)
        # Seen: (3 x 50 + 10) / 4 = 40 and (3 x 54 + 12) / 4 = 43.5.
        assert texts(table_of(read(tmp_path)))["english", "group_seen"] == "41.8 ± 2.5"

    def test_several_models_have_all_rows_each(self, tmp_path):
        two = plan() | {"models": ["tiny", "large"]}
        two["runs"] = two["runs"] + [run | {"model": "large"} for run in two["runs"]]
        table = custom_table(tmp_path, two, schedules=["joint"])
        assert [(row.group, row.key) for row in table.rows] == [("tiny", "joint"), ("large", "joint")]
        assert [column.key for column in custom_table(tmp_path, two, columns=["model"]).columns] == [
            "model_tiny", "model_large",
        ]  # fmt: skip
        assert len(custom_table(tmp_path, two, models=["large"]).rows) == 4

    def test_several_data_sets_count_alike(self, tmp_path):
        two = with_second_data_set(tmp_path)
        over = {"panels": ["qa/worldqa", "qa/other"], "languages": ["qen", "qes"]}
        table = custom_table(tmp_path, two, columns=["dataset", "group"], schedules=["english"], **over)
        # worldqa: (50 + 10) / 2 and (54 + 12) / 2. The other has qen alone, at 80 and 90.
        assert texts(table)["english", "dataset_qa/worldqa"] == "31.5 ± 2.1"
        assert texts(table)["english", "dataset_qa/other"] == "85.0 ± 7.1"
        assert texts(table)["english", "group_all"] == "58.2 ± 4.6"  # (30 + 80) / 2 and (33 + 90) / 2
        lacking = custom_table(tmp_path, two, columns=["group"], schedules=["joint"], **over)
        assert texts(lacking)["joint", "group_all"] == "n/a"  # no mean of the one data set that joint has
        assert [row.label for row in lacking.rows] == ["joint"]  # and no run that is missing


def with_second_data_set(folder: Path) -> dict:
    """The small study's plan with English scored on another data set, in qen alone."""
    two = plan()
    track = two["tracks"]["qa"]
    track["metrics"]["other"], track["evaluate"]["other"] = "qa", ["qen"]
    for run in two["runs"]:
        if run["schedule"] == "english":
            run["evaluated"] = [["worldqa", "other"]]
            score = {"f1": {1: 80.0, 2: 90.0}[run["seed"]], "exact_match": 0, "n": 4}
            write_json(folder / run["stages"][0] / "scores/other.json", {"languages": {"qen": score}})
    return two


class TestMissingRuns:
    def test_are_counted_in_row_caption_and_csv(self, tmp_path):
        write_study(tmp_path, plan_with())
        shutil.rmtree(tmp_path / "tiny/seed2/qa/worldqa.qen+worldqa.qes@200")
        table = table_of(read(tmp_path))
        assert "joint [1/2 runs]" in [row.label for row in table.rows]
        assert "1 of 8 runs missing." in table.caption
        write_custom_tables(read(tmp_path), tmp_path)
        assert rows_of(tmp_path / "mine.csv")["joint"]["missing"] == "1"

    def test_are_noted_at_columns_if_schedules_are_columns(self, tmp_path):
        write_study(tmp_path, plan_with(rows=["language", "group"], columns=["schedule"]))
        shutil.rmtree(tmp_path / "tiny/seed2/qa/worldqa.qen+worldqa.qes@200")
        table = table_of(read(tmp_path))
        assert [column.label for column in table.columns] == ["untrained", "english", "joint [1/2 runs]", "sequential"]
        assert table.rows[0].label == "qen†"

    def test_diverged_runs_are_counted_separately(self, tmp_path):
        """Later stages of a diverged stage are missing for the same reason."""
        write_study(tmp_path, plan_with())
        first = tmp_path / "tiny/seed2/qa/worldqa.qen@100"
        shutil.rmtree(first)
        write_json(first / "resume/diverged.json", {"updates": 7, "loss": "nan"})
        shutil.rmtree(tmp_path / "tiny/seed1/qa/worldqa.qen@200")
        table = table_of(read(tmp_path))
        labels = [row.label for row in table.rows]
        assert "sequential [1/2 runs, 1 diverged]" in labels and "english [1/2 runs]" in labels
        assert "2 of 8 runs missing, 1 of them diverged." in table.caption

    def test_the_documented_command_makes_tables_of_a_part(self, tmp_path):
        write_study(tmp_path / "results/x", plan_with())
        shutil.rmtree(tmp_path / "results/x/tiny/seed2/qa/worldqa.qen+worldqa.qes@200")
        (command,) = re.findall(r"(?:python )(scripts/tables\.py(?:.*\\\n)*.*)\n", DOCS.read_text())
        program, *arguments = command.replace("\\\n", " ").split()
        subprocess.run([sys.executable, DOCS.parents[1] / program, *arguments], cwd=tmp_path, check=True)
        assert "joint [1/2 runs]" in (tmp_path / "results/x/tables/mine.md").read_text()

    def test_of_the_reference_schedule_are_noted_too(self, tmp_path):
        write_study(tmp_path, plan_with(relative_to="english"))
        shutil.rmtree(tmp_path / "tiny/seed2/qa/worldqa.qen@200")
        table = table_of(read(tmp_path))
        assert [row.label for row in table.rows] == [
            "untrained [1/2 runs]", "joint [1/2 runs]", "sequential [1/2 runs]",
        ]  # fmt: skip
        assert "1 of 8 runs missing." in table.caption

    def test_no_score_at_all(self, tmp_path):
        study = write_study(tmp_path, plan_with(columns=["language", "group"], statistic="interval"))
        for run in study.plan["runs"]:
            shutil.rmtree(tmp_path / run["stages"][0], ignore_errors=True)
        assert set(texts(table_of(read(tmp_path))).values()) == {"n/a"}


def test_published_numbers_next_to_ours(tmp_path):
    table = custom_table(tmp_path, published_plan(), columns=["language", "group"], published="paper")
    assert [row.label for row in table.rows] == ["untrained", "english", "english, published", "joint", "sequential"]
    found = {column: text for (row, column), text in texts(table).items() if row == "english_published_0"}
    assert (found["qen"], found["qes"], found["group_all"], found["group_low"]) == ("61.0", "n/a", "30.5", "n/a")
    assert "Published: A paper, F1." in table.caption


def rows_of(path: Path) -> dict[str, dict]:
    return {row["row"]: row for row in csv_rows(path)}


def test_formats(tmp_path):
    table = custom_table(tmp_path, columns=["family", "group"], relative_to="english", caption="Gains in points")
    text = markdown(table)
    assert text.startswith("Gains in points. SQuAD v1.1 F1 on qa/worldqa; model tiny; 0 to 100, mean ± sample standard")
    assert "family: north (2)" in text and "isolate (1)" in text and "group: all" in text and "+6.0 ± 0.0" in text
    assert r"joint & +2.5 {\tiny$\pm$0.0}" in latex(table)


def documented() -> dict:
    """The example of the documentation."""
    return yaml.safe_load(re.search(r"```yaml\n(tables:.*?)```", DOCS.read_text(), re.DOTALL)[1])["tables"]


def test_the_example_of_the_documentation(tmp_path):
    """It is checked as a study's key is, and built of a study's scores."""
    entries = plan_of(planned(tables=documented()))["tables"]
    assert [entry["name"] for entry in entries] == sorted(documented())
    study = write_study(tmp_path, plan() | {"tables": entries})
    write_custom_tables(study, tmp_path / "tables")
    assert len(list((tmp_path / "tables").iterdir())) == 3 * len(entries)
    assert all(cell.values for table in custom_tables(study) for cells in table.cells for cell in cells)


def test_latex_compiles(tmp_path, typeset):
    entries = plan_of(planned(tables=documented()))["tables"]
    write_study(
        tmp_path, published_plan() | {"tables": [*entries, table_entry(published="paper", statistic="interval")]}
    )
    shutil.rmtree(tmp_path / "tiny/seed2/qa/worldqa.qen+worldqa.qes@200")
    typeset("\n".join(map(latex, custom_tables(read(tmp_path)))))


LANGUAGE_AXES = ["language", "family", "script", "resource", "group"]


@settings(max_examples=30)
@given(
    axis=st.sampled_from(LANGUAGE_AXES),
    statistic=st.sampled_from(["sd", "interval", "median", "min", "max"]),
    seeds=st.sampled_from([[1], [2], [1, 2]]),
    relative_to=st.sampled_from([None, "english"]),
)
def test_a_transposed_specification_has_the_same_cells(tmp_path_factory, axis, statistic, seeds, relative_to):
    keys = {"statistic": statistic, "seeds": seeds} | ({"relative_to": relative_to} if relative_to else {})
    folder = tmp_path_factory.mktemp("turned")
    one = texts(custom_table(folder, rows=["schedule"], columns=[axis], **keys))
    other = texts(custom_table(folder, rows=[axis], columns=["schedule"], **keys))
    assert one == {(row, column): text for (column, row), text in other.items()}


PUBLISHED = {
    "table": "mucot.table2", "panel": "qa/worldqa", "columns": {"hi": "qen"}, "rows": {"squad": "english"}
}  # fmt: skip


def test_a_published_table_of_the_project():
    entry = {"panels": "qa/worldqa", "rows": "schedule", "columns": ["language", "group"], "published": "paper"}
    plan = plan_of(planned(published={"paper": PUBLISHED}, tables={"mine": entry}))
    table = table_of(StudyResults(plan, {}, {}))
    labels = {row.label: row.key for row in table.rows}
    assert texts(table)[labels["english, published (yes, none, no)"], "qen"] == "57.0"


class TestMistakes:
    """An error names the mistake, its place, and a line to paste."""

    @pytest.mark.parametrize(
        ("keys", "place", "message", "fix"),
        [
            ({"rows": "schedules"}, "tables.mine.rows", "does not fit", "Languages one by one"),
            ({"colums": "language"}, "tables.mine", "unknown key 'colums'", "Did you mean columns?"),
            ({"panels": "qa/worldpos"}, "tables.mine.panels", "does not evaluate 'worldpos'", "qa/worldqa"),
            ({"panels": ["qa", "qa/worldqa"]}, "tables.mine.panels", "qa/worldqa is given twice", "once"),
            ({"columns": ["language", "schedule"]}, "tables.mine.columns", "both by schedule", "columns: language"),
            (
                {"rows": ["schedule", "model"]},
                "tables.mine.rows",
                "no other axis is possible next to schedule",
                "rows: sch",
            ),
            ({"languages": ["qen", "en"]}, "tables.mine.languages", "unknown language 'en'", "qen"),
            ({"schedules": ["joined"]}, "tables.mine.schedules", "unknown schedule 'joined'", "joint"),
            ({"models": ["mbert"]}, "tables.mine.models", "unknown model 'mbert'", "tiny"),
            ({"seeds": [3]}, "tables.mine.seeds", "unknown seed '3'", "1, 2"),
            (
                {"relative_to": "spanish"},
                "tables.mine.relative_to",
                "unknown schedule of qa/worldqa 'spanish'",
                "english",
            ),
            ({"relative_to": "joint", "schedules": ["joint"]}, "tables.mine.schedules", "no schedule is left", "Leave"),
            ({"rows": "seed"}, "tables.mine", "of several schedules", "schedules: [sequential]"),
            ({"metric": "accuracy"}, "tables.mine.metric", "unknown metric of worldqa", "f1"),
            ({"columns": "metric", "metric": "f1"}, "tables.mine.metric", "several metrics", "metrics: [f1]"),
            ({"published": "table2"}, "tables.mine.published", "unknown published table", ""),
            ({"statistic": "mean"}, "tables.mine.statistic", "does not fit", "standard deviation"),
        ],
    )
    def test_has_a_place_and_a_fix(self, keys, place, message, fix):
        entry = {"panels": "qa/worldqa", "rows": "schedule", "columns": "language"} | keys
        with pytest.raises(UserError, match=re.escape(message)) as caught:
            planned(tables={"mine": entry})
        assert caught.value.where == place
        assert fix in caught.value.fix

    @pytest.mark.parametrize("name", ["contrasts", "scores"])
    def test_the_name_of_another_table(self, name):
        with pytest.raises(UserError, match="name of another table"):
            planned(tables={name: {"panels": "qa", "rows": "schedule", "columns": "language"}})

    def test_a_name_with_a_dot_is_that_of_another_table(self):
        with pytest.raises(UserError, match="is not allowed here"):
            planned(tables={"qa.worldqa": {"panels": "qa", "rows": "schedule", "columns": "language"}})

    def test_pooling_a_metric_that_is_no_mean_over_examples(self):
        entry = {"panels": "qa/worldpos", "rows": "schedule", "columns": "group", "aggregate": "pooled"}
        changes = {"tracks__qa__evaluate": {"worldpos": "all"}, "tracks__qa__sources": "worldpos"}
        with pytest.raises(UserError, match="no mean over examples"):
            planned(tables={"mine": entry}, **changes)

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({"rows": "language", "columns": "group", "schedules": ["joint"]}, "published numbers are by schedule"),
            ({"columns": ["language", "family"]}, "published numbers are by schedule"),
            ({"relative_to": "english"}, "know no 'relative_to'"),
            ({"columns": "group", "languages": "low"}, "published means are over all languages"),
        ],
    )
    def test_published_numbers_need_their_own_axes(self, keys, message):
        published = {"paper": PUBLISHED}
        entry = {"panels": "qa/worldqa", "rows": "schedule", "columns": "language", "published": "paper"} | keys
        with pytest.raises(UserError, match=message):
            planned(published=published, tables={"mine": entry})
