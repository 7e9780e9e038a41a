"""What stands out in custom tables: the best numbers, and the better schedule of a significant contrast."""

import re
from dataclasses import replace

import pytest
from helpers.planted_scores import CONTRAST, by_difference, plant
from helpers.study_config import study
from helpers.study_results import csv_rows, plan, published_plan, table_entry, write_study
from hypothesis import given
from hypothesis import strategies as st

from crosstune.analysis.results import StudyResults
from crosstune.core.errors import UserError
from crosstune.reporting.page.page import render_page
from crosstune.reporting.tables.custom import custom_tables
from crosstune.reporting.tables.formats import NOTE_LETTERS, escape, latex, markdown, raised, table_files
from crosstune.reporting.tables.table import CellMark, Table
from crosstune.study.plan import plan_of

CLEAR = [3.0, 3.4, 2.8, 3.2]


def table(folder, **keys) -> Table:
    """A custom table of the small study with best numbers in bold."""
    (made,) = custom_tables(write_study(folder, plan() | {"tables": [table_entry(best=True, **keys)]}))
    return made


def bold(made: Table) -> set[tuple[str, str]]:
    return {
        (row.key, column.key)
        for i, row in enumerate(made.rows)
        for j, column in enumerate(made.columns)
        if made.mark(i, j).bold
    }


def with_letters(made: Table) -> dict[tuple[str, str], str]:
    found = {
        (row.key, column.key): made.mark(i, j).letters
        for i, row in enumerate(made.rows)
        for j, column in enumerate(made.columns)
    }
    return {place: letters for place, letters in found.items() if letters}


def contrasted(folder, differences=CLEAR, contrasts=(CONTRAST,), **keys) -> Table:
    """A table of a study with a known contrast of sequential and joint."""
    planted = plant(folder, by_difference(differences), contrasts)
    entry = table_entry(significance=True, schedules=["joint", "sequential"], **keys)
    (made,) = custom_tables(replace(planted, plan=planted.plan | {"tables": [entry]}))
    return made


# --- best numbers ----------------------------------------------------------------------------------------------------


def test_the_best_schedule_of_every_column(tmp_path):
    # joint has 46 in qen, 45 in qes, 32 in qna and 7 in qix; english 52, 11, 21, 6; sequential 32, 51, 19, 6.
    assert bold(table(tmp_path)) == {("english", "qen"), ("sequential", "qes"), ("joint", "qna"), ("joint", "qix")}


def test_schedules_as_columns_are_compared_in_every_row(tmp_path):
    found = bold(table(tmp_path, rows=["language"], columns=["schedule"]))
    assert found == {("qen", "english"), ("qes", "sequential"), ("qna", "joint"), ("qix", "joint")}


def test_equal_numbers_are_all_the_best_and_a_single_one_is_none(tmp_path):
    found = bold(table(tmp_path, languages=["qix"], schedules=["english", "sequential"]))
    assert found == {("english", "qix"), ("sequential", "qix")}
    assert not bold(table(tmp_path, schedules=["english"], languages=["qix"]))


def test_published_numbers_do_not_compete(tmp_path):
    whole = published_plan()
    entry = table_entry(best=True, columns=["language"], languages=["qen"], published="paper")
    (made,) = custom_tables(write_study(tmp_path, whole | {"tables": [entry]}))
    # The paper has 61, more than any of ours.
    assert bold(made) == {("english", "qen")}


def test_the_formats_print_bold_and_csv_does_not(tmp_path):
    files = table_files(table(tmp_path))
    assert "**52.0 ± 2.8**" in files["mine.md"] and r"\textbf{52.0 {\tiny$\pm$2.8}}" in files["mine.tex"]
    assert "*" not in files["mine.csv"]
    assert csv_rows(files["mine.csv"])[1]["qen_mean"] == "52.0000"


def test_without_the_key_nothing_changes(tmp_path):
    plain = table_files(table(tmp_path))
    (made,) = custom_tables(write_study(tmp_path, plan() | {"tables": [table_entry()]}))
    files = table_files(made)
    assert made.marks == () and made.note == "" and files["mine.csv"] == plain["mine.csv"]
    assert files["mine.md"] != plain["mine.md"] and "**" not in files["mine.md"] and "textbf" not in files["mine.tex"]


def test_parts_and_transposed_tables_keep_their_marks(tmp_path):
    made = table(tmp_path)
    assert {(column, row) for row, column in bold(made)} == bold(made.transposed())
    parts = made.parts(2)
    assert len(parts) == 2 and bold(parts[0]) | bold(parts[1]) == bold(made)
    assert latex(made).count("textbf") == 4


@given(st.text(NOTE_LETTERS, min_size=1, max_size=4))
def test_raised_letters_are_different_and_known_to_latex(letters):
    assert len(raised(letters)) == len(letters) and len(set(raised(letters))) == len(set(letters))
    assert escape(raised(letters)) == "".join(f"$^{{{letter}}}$" for letter in letters)


# --- significant differences -----------------------------------------------------------------------------------------


def test_the_better_schedule_is_marked_in_every_significant_language_and_mean(tmp_path):
    made = contrasted(tmp_path, columns=["language", "group"])
    assert with_letters(made) == {
        ("sequential", "qna"): "a", ("sequential", "qix"): "a", ("sequential", "group_all"): "a",
        ("sequential", "group_unseen"): "a", ("sequential", "group_low"): "a",
    }  # fmt: skip
    assert "ᵃ significantly better than the other schedule of the contrast order (sequential − joint, " in made.note
    assert made.note.endswith("Other differences are not tested.")


def test_the_second_schedule_is_marked_if_it_is_the_better_one(tmp_path):
    made = contrasted(tmp_path, [-difference for difference in CLEAR])
    assert with_letters(made) == {("joint", "qna"): "a", ("joint", "qix"): "a"}


def test_nothing_is_marked_that_no_contrast_finds(tmp_path):
    unclear = contrasted(tmp_path / "a", [3.0, -2.0, 1.0, -1.5], columns=["language", "group"])
    assert not with_letters(unclear) and "Nowhere here." in unclear.note
    # The contrast is of F1 and of the last stage; the mean over one language is none over its two.
    metric = contrasted(tmp_path / "b", metric="exact_match")
    assert not with_letters(metric)
    part = CONTRAST | {"panels": [CONTRAST["panels"][0] | {"languages": ["qna"]}]}
    made = contrasted(tmp_path / "c", contrasts=[part], columns=["language", "group"])
    assert with_letters(made) == {("sequential", "qna"): "a"}


def test_stages_before_the_last_are_not_marked(tmp_path):
    planted = plant(tmp_path, by_difference(CLEAR))
    entry = table_entry(significance=True, rows=["stage"], schedules=["sequential"])
    (made,) = custom_tables(replace(planted, plan=planted.plan | {"tables": [entry]}))
    assert {row for row, _ in with_letters(made)} == {"sequential_2"}


def test_every_contrast_has_its_letter(tmp_path):
    two = [CONTRAST, CONTRAST | {"name": "again", "a": "joint", "b": "sequential"}]
    made = contrasted(tmp_path, contrasts=two)
    assert set(with_letters(made).values()) == {"ab"} and "contrast again" in made.note


def test_a_pilot_marks_nothing(tmp_path):
    planted = plant(tmp_path, by_difference(CLEAR))
    entry = table_entry(significance=True, schedules=["joint", "sequential"])
    (made,) = custom_tables(replace(planted, plan=planted.plan | {"tables": [entry], "pilot": 5}))
    assert not with_letters(made)


def test_the_formats_have_letters_and_note(tmp_path):
    made = contrasted(tmp_path, best=True)
    assert re.search(r"\*\*[\d.]+ ± [\d.]+\*\*ᵃ", markdown(made)) and markdown(made).rstrip().endswith("not tested.")
    text = latex(made)
    assert (
        re.search(r"\\textbf\{[^\n]*\}\$\^\{a\}\$", text)
        and r"\parbox{\linewidth}{\scriptsize $^{a}$ significantly" in text
    )
    assert text.index("end{tabular}") < text.index("parbox") < text.index("end{table}")


def test_the_page_has_bold_numbers_letters_and_the_note(tmp_path):
    planted = plant(tmp_path, by_difference(CLEAR))
    entry = table_entry(significance=True, best=True, schedules=["joint", "sequential"])
    page = render_page(replace(planted, plan=planted.plan | {"tables": [entry]}), tmp_path)
    assert page.count("<sup>a</sup>") == 2 and "significantly better than the other schedule" in page
    assert re.search(r'<td class="best">[^<]*<sup>a</sup>', page)


def test_a_table_without_marks_has_none_anywhere():
    made = Table("t", "", "", (), (), ())
    assert made.mark(0, 0) == CellMark() and made.transposed().marks == ()


# --- mistakes --------------------------------------------------------------------------------------------------------


DECLARED = [{"a": "joint", "b": "english", "over": ["qa"], "smallest_effect": 1.0}]
AXES = {"panels": "qa", "rows": "schedule", "columns": "language"}


@pytest.mark.parametrize(
    ("keys", "contrasts", "message"),
    [
        ({"rows": "language", "columns": "group", "schedules": ["joint"], "best": True}, [], "anything to compare"),
        ({"significance": True}, [], "no declared contrast is about these schedules"),
        ({"significance": True, "schedules": ["sequential"]}, DECLARED, "no declared contrast is about"),
        ({"significance": True, "statistic": "max"}, DECLARED, "contrasts are about means"),
        ({"significance": True, "seeds": [1]}, DECLARED, "over all seeds together"),
        ({"significance": True, "rows": "seed", "schedules": ["joint"]}, DECLARED, "over all seeds together"),
        ({"best": "yes please"}, [], "tables.mine.best"),
    ],
)
def test_what_cannot_be_marked_is_refused_at_its_place(keys, contrasts, message):
    with pytest.raises(UserError, match=re.escape(message)) as error:
        study(tables={"mine": AXES | keys}, contrasts=contrasts)
    assert str(error.value).startswith("tables.mine.")


def test_the_plan_has_the_keys_only_where_a_study_does():
    (entry,) = plan_of(study(tables={"mine": AXES | {"best": True, "significance": True}}, contrasts=DECLARED))[
        "tables"
    ]
    assert entry["best"] and entry["significance"]
    (entry,) = plan_of(study(tables={"mine": AXES}))["tables"]
    assert not {"best", "significance"} & set(entry)


def test_display_names_are_in_the_note(tmp_path):
    planted = plant(tmp_path, by_difference(CLEAR))
    entry = table_entry(significance=True, schedules=["joint", "sequential"])
    names = {"schedules": {"sequential": "In a row", "joint": "All at once"}}
    shown = StudyResults(
        planted.plan | {"tables": [entry], "names": names}, planted.scores, {}, contrasts=planted.contrasts
    )
    (made,) = custom_tables(shown)
    assert "contrast order (In a row − All at once, " in made.note
