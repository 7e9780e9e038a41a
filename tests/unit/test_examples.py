"""Examples with the answers of all schedules: what is drawn, shown and escaped."""

import csv
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.study_config import ROOT, study
from helpers.study_results import LANGUAGES, STAGES, plan, read, write_study
from hypothesis import given
from hypothesis import strategies as st

from crosstune.analysis.results import StudyResults
from crosstune.core.errors import UserError
from crosstune.core.files import write_json, write_jsonl
from crosstune.reporting.examples.pages import examples_csv, examples_page, write_examples
from crosstune.reporting.examples.side_by_side import (
    ExampleFiles,
    ShownExample,
    answer_parts,
    drawn_examples,
    drawn_ids,
    marked_context,
)
from crosstune.study.checks import shown_examples
from crosstune.study.specs import config_affecting_results, plan_config
from crosstune.study.targets import evaluated_rows, final_example_scores, final_predictions

HOSTILE = "<script>alert(1)</script>"


def rows_of(language: str, number: int = 8) -> list[dict]:
    """Prepared rows: the answer `gold n` stands at offset 4."""
    return [
        {"id": f"q{n}", "context": f"The gold {n} of {language}.", "question": f"What {n}? {HOSTILE}",
         "answers": {"text": [f"gold {n}"], "answer_start": [4]}}
        for n in range(number)
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path) -> Path:
    """The small study with prepared rows, predictions and scores of examples; joint is always right in qen."""
    write_study(tmp_path / "results/small", plan())
    for language in LANGUAGES:
        write_jsonl(tmp_path / f"data/worldqa/test.{language}.jsonl", rows_of(language))
    for schedule, stages in STAGES.items():
        for seed in (1, 2):
            stage = tmp_path / f"results/small/tiny/seed{seed}/qa/{stages[-1]}"
            scores = []
            for language in LANGUAGES:
                right = schedule == "joint" and language == "qen"
                predictions = [
                    {"id": row["id"], "prediction": row["answers"]["text"][0] if right else f"={schedule} {seed}",
                     "gold": row["answers"]["text"]}
                    for row in rows_of(language)
                ]  # fmt: skip
                write_jsonl(stage / f"predictions/worldqa/{language}.jsonl", predictions)
                scores += [
                    {"lang": language, "id": row["id"], "f1": 100.0 * right, "exact_match": 0.0} for row in predictions
                ]
            write_jsonl(stage / "scores/worldqa.examples.jsonl", scores)
    return tmp_path


def files(folder: Path, seed: int = 1) -> ExampleFiles:
    return ExampleFiles(folder / "data", folder / "results/small", seed)


def drawn(folder: Path, number: int = 3, seed: int = 1) -> list[ShownExample]:
    (panel,) = read(folder / "results/small").panels()
    return drawn_examples(panel, files(folder, seed), number)


# --- the draw --------------------------------------------------------------------------------------------------------


@given(st.sets(st.text(min_size=1), min_size=1, max_size=30), st.integers(0, 5), st.integers(1, 30))
def test_a_larger_number_adds_to_a_smaller_one_and_order_is_of_no_matter(ids, seed, number):
    names = sorted(ids)
    few, more = (drawn_ids(names, seed, "qa", n) for n in (number, number + 5))
    assert more[:number] == few == drawn_ids(names[::-1], seed, "qa", number)
    assert len(few) == min(number, len(ids)) and set(few) <= ids


def test_another_seed_draws_others():
    names = [f"q{n}" for n in range(50)]
    assert len({tuple(drawn_ids(names, seed, "qa", 5)) for seed in range(5)}) == 5


def test_all_languages_and_schedules_have_the_same_examples(folder):
    found = drawn(folder)
    assert len({tuple(own.id for own in found if own.language == lang) for lang in LANGUAGES}) == 1
    assert [own.language for own in found] == [lang for lang in ("qen", "qes", "qna", "qix") for _ in range(3)]
    assert all(set(own.answers) == {"untrained", "english", "joint", "sequential"} for own in found)


def test_answers_and_scores_are_those_of_the_seed(folder):
    found = drawn(folder, seed=2)[0]
    assert found.answers["english"].text == "=english 2" and found.answers["english"].score == 0
    assert found.answers["joint"].text == found.gold and found.answers["joint"].score == 100


def test_there_may_be_fewer_than_asked_for(folder):
    assert len(drawn(folder, number=100)) == 8 * len(LANGUAGES)


def test_a_prediction_without_a_row_is_an_error(folder):
    write_jsonl(folder / "data/worldqa/test.qix.jsonl", rows_of("qix", 1))
    with pytest.raises(UserError, match="has no row, or no prediction"):
        drawn(folder)


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_the_gold_answer_is_marked_where_it_stands():
    assert [part.kind for part in marked_context("The gold.", "gold", [4])] == ["", "gold", ""]
    for answer, starts in (("silver", [4]), ("gold", []), ("gold", [-1]), ("", [0]), ("gold", [99])):
        assert [part.text for part in marked_context("The gold.", answer, starts)] == ["The gold."]


@given(st.text(max_size=30), st.text(max_size=5), st.lists(st.integers(-3, 40), max_size=2))
def test_the_parts_of_a_context_are_the_context(context, answer, starts):
    assert "".join(part.text for part in marked_context(context, answer, starts)) == context


def test_wrong_tags_stand_out_and_other_lists_do_not():
    parts = answer_parts({"prediction": ["O", "B-PER"], "gold": ["O", "O"]})
    assert [(part.text, part.kind) for part in parts] == [("O", ""), (" ", ""), ("B-PER", "wrong")]
    ranked = answer_parts({"prediction": ["a", "b", "c", "d"], "gold": ["b"]})
    assert ranked[0].text == "a | b | c | …" and answer_parts({"prediction": 1, "gold": 0})[0].text == "1"


def test_the_page_escapes_marks_and_loads_nothing(folder):
    (panel,) = read(folder / "results/small").panels()
    page = examples_page(panel, drawn(folder), 1)
    assert HOSTILE not in page and "&lt;script&gt;" in page and "<script" not in page
    assert "default-src 'none'" in page and not re.search(r"(src|href)=\"(?!data:)", page)
    assert page.count("<mark>gold ") == 3 * len(LANGUAGES) and page.count('class="answer full"') == 3
    assert page.count('dir="auto"') > 12 and '<h2 id="qna">Naish (qna)</h2>' in page


def test_the_csv_has_keys_and_nothing_that_a_spreadsheet_runs(folder):
    (panel,) = read(folder / "results/small").panels()
    rows = list(csv.DictReader(io.StringIO(examples_csv(panel, drawn(folder)))))
    assert list(rows[0])[:7] == ["language", "id", "context", "question", "gold", "untrained", "untrained_f1"]
    assert rows[0]["english"] == "'=english 1" and rows[0]["joint_f1"] == "100.0000"


def test_display_names_are_on_the_page_and_a_pilot_is_marked(folder):
    names = {"schedules": {"joint": "All at once"}, "languages": {"qna": "Northern"}, "datasets": {"worldqa": "WQA"}}
    whole = read(folder / "results/small")
    shown = StudyResults(whole.plan | {"names": names, "pilot": 8}, whole.scores, whole.baseline_scores)
    paths = write_examples(shown, files(folder), 2, folder / "out")
    assert [path.name for path in paths] == ["qa.worldqa.tiny.html", "qa.worldqa.tiny.csv"]
    page, table = (path.read_text() for path in paths)
    assert ">All at once</th>" in page and ">Northern</h2>" in page and "Examples of WQA" in page and "PILOT" in page
    assert table.splitlines()[0].endswith(",pilot") and "All at once" not in table


def test_tagged_sentences_have_tokens_and_tags(folder):
    whole = plan()
    whole["tracks"]["qa"] |= {"metrics": {"worldqa": "tagging"}, "schedules": ["joint"]}
    whole["primary"] = {"track": "qa", "dataset": "worldqa", "metric": "f1"}
    write_json(folder / "results/small/plan.json", whole)
    stage = folder / f"results/small/tiny/seed1/qa/{STAGES['joint'][-1]}"
    for language in LANGUAGES:
        write_jsonl(
            folder / f"data/worldqa/test.{language}.jsonl", [{"id": "s", "tokens": ["Ann", "ran"], "tags": ["N", "V"]}]
        )
        write_jsonl(
            stage / f"predictions/worldqa/{language}.jsonl",
            [{"id": "s", "prediction": ["N", "N"], "gold": ["N", "V"]}],
        )
    record = {"id": "s", "correct": 1, "tokens": 2, "chunks_correct": 1, "chunks_predicted": 2, "chunks_gold": 2}
    write_jsonl(stage / "scores/worldqa.examples.jsonl", [{"lang": language} | record for language in LANGUAGES])
    found = drawn(folder)[0]
    assert (found.question, found.gold, found.context_text) == ("Ann ran", "N V", "")
    assert found.answers["joint"].score == pytest.approx(50)
    (panel,) = read(folder / "results/small").panels()
    page = examples_page(panel, [found], 1)
    assert '<span class="wrong">N</span>' in page and "Underlined" in page and ">context<" not in page


def test_the_program_writes_the_files(folder):
    command = [sys.executable, str(ROOT / "scripts/examples.py"), "--plan", str(folder / "results/small/plan.json")]
    command += ["--results", str(folder / "results/small"), "--data", str(folder / "data"), "--number", "2"]
    command += ["--seed", "1", "--out", str(folder / "results/small/examples")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.returncode and not done.stderr
    assert len(list((folder / "results/small/examples").iterdir())) == 2


# --- the study -------------------------------------------------------------------------------------------------------


def test_the_key_has_defaults_and_a_seed_of_the_study():
    assert shown_examples(study()) == {"number": 5, "seed": 1}
    assert shown_examples(study(examples={"number": 9, "seed": 2})) == {"number": 9, "seed": 2}
    with pytest.raises(UserError, match="unknown seed '7'") as error:
        study(examples={"seed": 7})
    assert str(error.value).startswith("examples.seed")


def test_the_key_changes_no_other_result():
    plain, changed = study().config, study(examples={"number": 9}).config
    assert config_affecting_results(plain) == config_affecting_results(changed)
    assert plan_config(plain) == plan_config(changed)


def test_the_rule_asks_for_the_last_checkpoints_of_one_seed():
    small = study()
    for paths in (final_predictions(small, 2), final_example_scores(small, 2)):
        assert len(paths) == 4 and all("/seed2/" in path for path in paths)
    assert len(evaluated_rows(small)) == len(small.tracks["qa"].evaluate["worldqa"])
