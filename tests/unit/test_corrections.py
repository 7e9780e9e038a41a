"""Records of kept results: what changes without an entry is found, and the right entry is written."""

import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml
from helpers.study_files import workflow_study, write_predictions, write_training
from helpers.study_results import write_study
from hypothesis import given
from hypothesis import strategies as st

from crosstune.artifacts.correction_record import RECORD, changes_number, kept_files, read_record
from crosstune.core.errors import UserError
from crosstune.core.files import sha256_file, write_json
from crosstune.machine.environment import tracked_versions
from crosstune.operations.corrections import update_record
from crosstune.operations.crate import write_crate
from crosstune.operations.provenance import study_provenance
from crosstune.operations.table_changes import file_changes, parse
from crosstune.reporting.page.page import render_page
from crosstune.reporting.tables.formats import csv_text, pipe_table

ROOT = Path(__file__).parents[2]
KEPT = sorted(path for path in (ROOT / "docs/results").iterdir() if path.is_dir())
TABLE = "qa.worldqa.tiny.f1.md"
GIT = ["git", "-c", "user.name=A", "-c", "user.email=a@b.c"]
COMMIT = "c" * 40


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_a_kept_number_changes_only_with_an_entry(folder):
    record = read_record(folder, ROOT)
    assert record, "snakemake --cores 1 corrections --configfile STUDY writes the record"
    assert list(record.problems()) == [], "snakemake --cores 1 corrections writes the entry"
    assert record.study == folder.name and all(entry["commits"] for entry in record.entries)


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_entries_are_only_added(folder):
    """Every version of the record in git is the beginning of the present one."""
    present = list(read_record(folder, ROOT).entries)
    for content in tracked_versions(folder / RECORD):
        earlier = yaml.safe_load(content)["entries"]
        assert [entry | {"changes": entry.get("changes", [])} for entry in earlier] == present[: len(earlier)]


FILES = {
    TABLE: "F1 after the last stage.\n\n| schedule | average: all |\n|:--|--:|\n| english | 28.1 ± 1.8 |\n"
    "| joint | 39.2 ± 1.7 |\n",
    "claims.md": "| claim | verdict |\n|:--|:--|\n| several-help | reproduced |\n",
    "contrasts.md": "joint is better than english: 6.0 points.\n",
    "contrasts.forest.svg": "<svg xmlns='http://www.w3.org/2000/svg'><text>6.0</text></svg>\n",
    "cost.qa.worldqa.tiny.md": "| schedule | hours |\n|:--|--:|\n| joint | 0.003 |\n",
    "scores.csv": "model,track,dataset,schedule,stage,sources,updates,seed,fold,language,metric,value\n"
    "tiny,qa,worldqa,english,1,worldqa.qen,210,1,,qen,f1,62.0854\n"
    "tiny,qa,worldqa,english,1,worldqa.qen,210,1,,qes,f1,27.5\n"
    "tiny,qa,worldqa,english,1,worldqa.qen,210,1,,qen,exact_match,50.0\n",
}


@pytest.fixture
def kept(tmp_path) -> Path:
    """Kept results with their record, in a git checkout of their own."""
    folder = tmp_path / "docs/results/default"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    list(update_record("default", folder, tmp_path / "none", ROOT))
    record = (folder / RECORD).read_text(encoding="utf-8")
    (folder / RECORD).write_text(re.sub(r'date: "[0-9-]+"', 'date: "2026-11-28"', record), encoding="utf-8")
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*GIT, *command], cwd=tmp_path, check=True)
    return folder


@pytest.fixture
def results(tmp_path, kept) -> Path:
    """The study's results, which are those that were kept."""
    folder = tmp_path / "results/default"
    for name, path in kept_files(kept).items():
        kind = "figures" if path.suffix == ".svg" else "cost" if name.startswith("cost") else "tables"
        (folder / kind).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / kind)
    write_json(folder / "provenance.json", {"made": [{"commit": COMMIT}], "code": {"commit": COMMIT}})
    return folder


def update(folder: Path, results: Path) -> str:
    return "\n".join(update_record("default", folder, results, ROOT))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def say_why(folder: Path) -> None:
    edit(folder / RECORD, 'why: ""', 'why: "A digit was lost."')


def last_entry(folder: Path) -> dict:
    """The last entry as a reader of YAML sees it, complete or not."""
    return yaml.safe_load((folder / RECORD).read_text(encoding="utf-8"))["entries"][-1]


# --- finding changes and writing entries -----------------------------------------------------------------------------


@pytest.mark.parametrize("with_results", [True, False])
def test_a_planted_change_of_one_cell_is_found_and_gets_the_right_entry(kept, results, with_results):
    """The version on record comes from the study's results or, without them, from git."""
    if not with_results:
        shutil.rmtree(results)
    before = (kept / RECORD).read_text(encoding="utf-8")
    edit(kept / TABLE, "39.2 ± 1.7", "39.3 ± 1.7")
    assert list(read_record(kept, ROOT).problems()) == [f"{kept / TABLE}: changed without an entry"]
    shown = update(kept, results)
    assert f"{TABLE}, joint, average: all: 39.2 ± 1.7 -> 39.3 ± 1.7" in shown
    entry = last_entry(kept)
    assert entry["changes"] == [
        {"table": TABLE, "row": "joint", "column": "average: all", "old": "39.2 ± 1.7", "new": "39.3 ± 1.7"}
    ]
    assert entry["status"] == "CORRECTED" and entry["why"] == ""
    assert entry["files"] == {TABLE: sha256_file(kept / TABLE)}
    assert (kept / RECORD).read_text(encoding="utf-8").startswith(before), "entries are only added"
    say_why(kept)
    record = read_record(kept, ROOT)
    assert list(record.problems()) == [] and record.summary == "CORRECTED, 1 correction"


def test_an_entry_that_does_not_say_why_is_refused_with_its_line(kept, results):
    edit(kept / TABLE, "39.2 ± 1.7", "39.3 ± 1.7")
    update(kept, results)
    lines = (kept / RECORD).read_text(encoding="utf-8").splitlines()
    for refused in (lambda: update(kept, results), lambda: read_record(kept, ROOT)):
        with pytest.raises(UserError, match="does not say why the results changed") as caught:
            refused()
        place = lines.index('    why: ""') + 1
        assert caught.value.where == f"{kept / RECORD}:{place}: entries[1].why" and "why: " in caught.value.fix


def test_new_results_replace_kept_ones_only_after_the_reason(kept, results):
    before = (kept / TABLE).read_bytes()
    edit(results / "tables" / TABLE, "39.2 ± 1.7", "39.4 ± 1.7")
    (results / "tables/more.md").write_text("not kept")
    edit(results / "tables/scores.csv", "tiny,qa,worldqa,english,1,worldqa.qen,210,1,,qen,f1,62.0854",
         "tiny,qa,worldqa,english,1,worldqa.qen,210,1,,qen,f1,62.0855")  # fmt: skip
    assert "2 changes in 2 files" in update(kept, results)
    assert (kept / TABLE).read_bytes() == before
    entry = last_entry(kept)
    assert entry["commits"] == [COMMIT] and set(entry["files"]) == {TABLE, "scores.csv"}
    assert entry["changes"][1] == {
        "table": "scores.csv", "row": "tiny, qa, worldqa, english, 1, worldqa.qen, 210, 1, qen, f1", "column": "value",
        "old": "62.0854", "new": "62.0855",
    }  # fmt: skip
    say_why(kept)
    assert len(list(read_record(kept, ROOT).problems())) == 2, "the files are still the old ones"
    shown = update(kept, results)
    assert "replaced by" in shown and "CORRECTED, 1 correction; 6 files as recorded" in shown
    assert (kept / TABLE).read_bytes() == (results / "tables" / TABLE).read_bytes() != before
    assert list(read_record(kept, ROOT).problems()) == []


def test_a_correction_that_is_no_longer_in_the_results_is_refused(kept, results):
    edit(results / "tables" / TABLE, "39.2 ± 1.7", "39.4 ± 1.7")
    update(kept, results)
    say_why(kept)
    shutil.copy(kept / TABLE, results / "tables" / TABLE)
    with pytest.raises(UserError, match="still the one from before its correction"):
        update(kept, results)


def test_the_same_results_add_nothing_and_costs_are_not_compared(kept, results):
    (results / "cost/cost.qa.worldqa.tiny.md").write_text("other times")
    before = (kept / RECORD).read_bytes()
    assert "CURRENT, 0 corrections; 6 files as recorded" in update(kept, results)
    assert (kept / RECORD).read_bytes() == before


def test_a_kept_file_comes_and_goes_with_an_entry(kept, results):
    (kept / "more.md").write_text("1 new table")
    assert list(read_record(kept, ROOT).problems()) == [f"{kept / 'more.md'}: not on record"]
    update(kept, results)
    assert last_entry(kept)["status"] == "CURRENT", "nothing that was kept changes"
    say_why(kept)
    (kept / "more.md").unlink()
    assert list(read_record(kept, ROOT).problems()) == [f"{kept / 'more.md'}: on record and not there"]
    with pytest.raises(UserError, match="neither in git nor in the results"):
        update(kept, results)
    (kept / "claims.md").rename(kept.parent / "claims.md")
    (kept / "more.md").write_text("1 new table")
    update(kept, results)
    assert last_entry(kept)["files"] == {"claims.md": "removed"}
    say_why(kept)
    record = read_record(kept, ROOT)
    assert list(record.problems()) == [] and "claims.md" not in record.manifest


def test_a_figure_has_hashes_and_only_a_person_knows_what_it_changes(kept, results):
    figure = "contrasts.forest.svg"
    (kept / figure).write_text("<svg/>")
    update(kept, results)
    (change,) = last_entry(kept)["changes"]
    assert change["table"] == figure and change["new"] == f"SHA-256 {sha256_file(kept / figure)[:12]}"
    say_why(kept)
    edit(kept / RECORD, "status: CORRECTED", "status: CURRENT")
    assert read_record(kept, ROOT).summary == "CURRENT, 0 corrections"


def test_a_changed_number_is_not_called_current(kept, results):
    edit(kept / TABLE, "39.2 ± 1.7", "39.3 ± 1.7")
    update(kept, results)
    say_why(kept)
    edit(kept / RECORD, "status: CORRECTED", "status: CURRENT")
    with pytest.raises(UserError, match=r"changes a number \(.*joint, average: all\), so it is a correction") as caught:
        read_record(kept, ROOT)
    assert caught.value.fix == "status: CORRECTED"


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [("3.9", "-3.9", True), ("−3.9", "-3.9", False), ("undecided", "inconclusive", False), ("n/a", "0.1", True),
     ("SHA-256 01", "SHA-256 02", False), ("1.0 ± 2", "1.0 ± 2", False)],
)  # fmt: skip
def test_a_number_is_changed_if_its_digits_or_its_sign_are(old, new, changed):
    assert changes_number({"table": "x.md", "old": old, "new": new}) is changed


def test_a_record_begins_with_what_is_kept(tmp_path):
    with pytest.raises(UserError, match="no kept results") as caught:
        update(tmp_path / "mine", tmp_path)
    assert "--config corrections=FOLDER" in caught.value.fix
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "mine/README.md").write_text("Prose is not on record.")
    (tmp_path / "mine/link.csv").symlink_to(tmp_path / "mine/a.csv")
    assert "with 1 file: CURRENT, 0 corrections" in update(tmp_path / "mine", tmp_path)
    record = read_record(tmp_path / "mine", ROOT)
    assert list(record.manifest) == ["a.csv"] and list(record.problems()) == []
    with pytest.raises(UserError, match="this is the record of the study 'default'"):
        list(update_record("other", tmp_path / "mine", tmp_path, ROOT))


def test_a_record_in_another_form_stays_as_it_is(kept, results):
    content = json.dumps(yaml.safe_load((kept / RECORD).read_text(encoding="utf-8")))
    (kept / RECORD).write_text(content)
    edit(kept / TABLE, "39.2 ± 1.7", "39.3\u202e ± 1.7")
    with pytest.raises(UserError, match="no entry can be added to the end"):
        update(kept, results)
    assert (kept / RECORD).read_text() == content


def test_a_character_that_no_reader_sees_is_an_escape(kept, results):
    edit(kept / TABLE, "39.2 ± 1.7", "39.3\u202e ± 1.7")
    update(kept, results)
    say_why(kept)
    assert read_record(kept, ROOT).entries[-1]["changes"][0]["new"] == r"39.3\u202e ± 1.7"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("status: CURRENT", "status: FINE", "FINE"),
        ('date: "2026-11-28"', "date: 2026-11-28", "date"),
        ('  "claims.md": "', '  "../claims.md": "', "claims.md"),
        ('why: "The results as they were first recorded."', "why: true", "text was expected"),
    ],
)
def test_a_mistake_in_a_record_names_the_file(kept, old, new, message):
    edit(kept / RECORD, old, new)
    with pytest.raises(UserError, match=message) as caught:
        read_record(kept, ROOT)
    assert str(caught.value).startswith(str(kept / RECORD))


# --- differences of tables -------------------------------------------------------------------------------------------

# Without what a spreadsheet takes for a formula: CSV has an apostrophe before it, but not before a number.
CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=5).filter(
    lambda text: text[0] not in "=+-@\uff1d\uff0b\uff0d\uff20"
)


@given(data=st.data(), rows=st.integers(1, 4), columns=st.integers(2, 4), suffix=st.sampled_from([".md", ".csv"]))
def test_one_changed_cell_is_the_only_change(data, rows, columns, suffix):
    head = ["row", *(f"c{number}" for number in range(1, columns))]
    body = [[f"r{number}", *(data.draw(CELLS) for _ in head[1:])] for number in range(rows)]
    row, column = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(1, columns - 1))
    changed = [list(cells) for cells in body]
    changed[row][column] += "7"

    def written(cells: list[list[str]]) -> bytes:
        text = csv_text([head, *cells]) if suffix == ".csv" else f"A caption.\n\n{pipe_table(head, cells, 1)}\n"
        return text.encode()

    before, after = written(body), written(changed)
    assert file_changes(f"x{suffix}", before, before) == []
    (change,) = file_changes(f"x{suffix}", before, after)
    assert (change["row"], change["column"]) == (f"r{row}", f"c{column}")
    assert change["new"] == change["old"] + "7"


@given(st.text(), st.text())
def test_any_two_texts_have_changes_exactly_if_their_lines_differ(one, other):
    assert file_changes("x.md", one.encode(), one.encode()) == []
    if parse("x.md", one) != parse("x.md", other):
        assert file_changes("x.md", one.encode(), other.encode()) or _same_cells(one, other)


def _same_cells(one: str, other: str) -> bool:
    """Whether the tables differ in cells that no heading names alone."""
    return parse("x.md", one)[1] == parse("x.md", other)[1]


def test_rows_columns_tables_and_lines_by_hand():
    old = "F1 of 3 runs.\n\n| a | x |\n|:--|--:|\n| p | 1 |\n| q | 2 |\n\n| b | y |\n|:--|--:|\n| p | 1 |\n"
    new = "F1 of 4 runs.\n\n| a | x | z |\n|:--|--:|--:|\n| p | 1 | 5 |\n| r | 3 | 4 |\n\n| b | y |\n|:--|--:|\n"
    new += "| p | 2 |\n"
    assert file_changes("t.md", old.encode(), new.encode()) == [
        {"table": "t.md, table 1", "row": "p", "column": "z", "new": "5"},
        {"table": "t.md, table 1", "row": "q", "old": "2"},
        {"table": "t.md, table 1", "row": "r", "new": "3 | 4"},
        {"table": "t.md, table 2", "row": "p", "column": "y", "old": "1", "new": "2"},
        {"table": "t.md", "old": "F1 of 3 runs.", "new": "F1 of 4 runs."},
    ]


# --- the page and the archive ----------------------------------------------------------------------------------------


def test_the_page_shows_status_count_and_manifest(tmp_path, kept, results):
    study = write_study(tmp_path / "small")
    (results / "provenance.json").unlink()
    assert "no results of this study are kept under a record" in render_page(study, tmp_path / "small")
    page = render_page(study, results, read_record(kept, ROOT))
    assert "Record: CURRENT, 0 corrections." in page and "6 files in" in page
    assert "5 of them are made in these results, and are the same" in page
    assert sha256_file(kept / TABLE) in page and "were corrected" not in page
    edit(kept / TABLE, "39.2 ± 1.7", "39.3 ± 1.7")
    assert "changed without an entry" in render_page(study, results, read_record(kept, ROOT))
    update(kept, results)
    say_why(kept)
    page = render_page(study, results, read_record(kept, ROOT))
    assert "Record: CORRECTED, 1 correction." in page and "A digit was lost." in page and "39.3 ± 1.7" in page
    assert 'were corrected. <a href="#record">Record: CORRECTED, 1 correction</a>' in page
    assert f"1 differ from the kept ones: {TABLE}" in page


def test_the_archive_of_a_study_has_its_record(tmp_path, monkeypatch, kept):
    monkeypatch.chdir(tmp_path)
    study = workflow_study()
    for path in study.checkpoints:
        write_training(study, path)
        write_predictions(study, path)
    write_json(Path(study.results, "provenance.json"), study_provenance(study, []))
    Path("Snakefile").touch()
    subprocess.run([*GIT, "add", "Snakefile"], check=True)
    names = write_crate(study, Path("."), Path("crate.zip"), read_record(kept, ROOT))
    folder = "docs/results/small"
    assert {f"{folder}/{RECORD}", f"{folder}/{TABLE}"} < set(names)
    with zipfile.ZipFile("crate.zip") as archive:
        graph = json.loads(archive.read("ro-crate-metadata.json"))["@graph"]
        assert archive.read(f"{folder}/{RECORD}") == (kept / RECORD).read_bytes()
    (entity,) = [entity for entity in graph if entity["@id"] == f"{folder}/{RECORD}"]
    assert entity["sha256"] == sha256_file(kept / RECORD) and "correction record" in entity["description"]
    assert not any(name.startswith("docs/") for name in write_crate(study, Path("."), Path("other.zip")))
