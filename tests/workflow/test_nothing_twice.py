"""A study on a user's own files, edited in ways that change no row, trains nothing again; else it asks first."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

RESULTS = "results/own/tiny"
HOME = f"{RESULTS}/seed1/qa"
QUESTIONS = {
    "en": ("Anna lives in Oslo now .", "Who lives in Oslo ?", "Anna"),
    "de": ("Karl wohnt in Bonn .", "Wer ?", "Karl"),
}


def squad(language: str, split: str, number: int) -> str:
    """A file of SQuAD with `number` questions, each about a paragraph of its own."""
    context, question, answer = QUESTIONS[language]
    paragraphs = [
        {"context": f"{split} {n}: {context}", "qas": [
            {"id": f"{split}{n}", "question": question,
             "answers": [{"text": answer, "answer_start": len(f"{split} {n}: ") + context.index(answer)}]}
        ]}
        for n in range(number)
    ]  # fmt: skip
    return json.dumps({"version": "1.1", "data": [{"title": split, "paragraphs": paragraphs}]})


def study(
    folder: Path, *, name: str = "own", record: dict | None = None, languages=("en",), lr: float = 1e-3, **more
) -> str:
    """Write the config of a study on the files of the folder `mine` and return its name."""
    mine = {
        "task": "qa", "title": "My questions", "reader": "squad", "licence": "mine", "languages": ["en", "de"],
        "source": {"files": "{mine}/{split}.{lang}.json"}, "splits": {"train": {"languages": ["en"]}, "test": {}},
    }  # fmt: skip
    config = {
        "study": name,
        "seeds": [1],
        "folders": {"mine": "mine"},
        "datasets": {"questions": mine | (record or {})},
        "synthetic": {"seed": 3, "text_high": 60, "text_low": 30},
        "models": {"tiny": {"pretrain": {
            "corpus": {"worldtext": ["qen"]}, "vocabulary": 200, "hidden": 16, "layers": 1, "heads": 2,
            "budget": {"updates": 2, "tokens": 256},
        }}},
        "tracks": {"qa": {
            "sources": "questions", "budget": {"updates": 2, "tokens": 256}, "recipe": {"lr": lr},
            "schedules": {"english": ["en"]}, "evaluate": {"questions": list(languages)},
        }},
    }  # fmt: skip
    config["tracks"]["qa"] |= more
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return f"{name}.yaml"


@pytest.fixture(scope="module")
def trained(new_project, snakemake) -> Path:
    folder = new_project("own-files")
    (folder / "mine").mkdir()
    for language in QUESTIONS:
        (folder / f"mine/train.{language}.json").write_text(squad(language, "train", 6))
        (folder / f"mine/test.{language}.json").write_text(squad(language, "test", 3))
    snakemake(folder, "--cores", "2", "--configfile", study(folder))
    return folder


@pytest.fixture
def copy(trained, tmp_path):
    """The finished study, once more."""
    folder = tmp_path / "study"
    shutil.copytree(trained, folder, symlinks=True, ignore=shutil.ignore_patterns("warm-*"))
    return folder


@pytest.fixture
def is_untouched(snakemake, jobs):
    """Check that a config trains and predicts nothing, in the plan and really."""

    def check(folder: Path, config: str, *, predict: int = 0, train: int = 0) -> None:
        before = {path: path.stat().st_mtime_ns for path in folder.glob(f"{RESULTS}/**/stage.json")}
        planned = jobs(snakemake(folder, "-n", "--configfile", config).stdout)
        found = {rule: planned.get(rule, 0) for rule in ("pretrain", "train", "predict")}
        assert found == {"pretrain": 0, "train": train, "predict": predict}
        snakemake(folder, "--cores", "2", "--configfile", config)
        assert {path: path.stat().st_mtime_ns for path in before} == before and before
        assert jobs(snakemake(folder, "-n", "--configfile", config).stdout) == {}

    return check


def test_edits_that_change_no_row_train_nothing(copy, is_untouched, snakemake, jobs):
    """One after the other in the plan, and then all of them really."""

    def rewritten(config: str, old: str, new: str) -> str:
        (copy / config).write_text((copy / config).read_text().replace(old, new))
        return config

    def is_planned_without_training(config: str, edit: str) -> None:
        planned = jobs(snakemake(copy, "-n", "--configfile", config).stdout)
        assert not {"pretrain", "train", "predict", "prepare"} & planned.keys(), edit

    is_planned_without_training(study(copy, record={"title": "Another", "licence": "CC0-1.0"}), "title and licence")
    for path in (copy / "mine").iterdir():
        os.utime(path)
    is_planned_without_training(study(copy), "touched files")
    splits = {"train": {"languages": ["en"]}, "test": {"languages": ["en", "de"]}}
    is_planned_without_training(study(copy, record={"languages": ["en", "de", "fr"], "splits": splits}), "a language")
    (copy / "mine").rename(copy / "elsewhere")
    moved = rewritten(study(copy, record={"title": "Another", "licence": "CC0-1.0"}), "mine: mine", "mine: elsewhere")
    assert not {"pretrain", "train", "predict"} & jobs(snakemake(copy, "-n", "--configfile", moved).stdout).keys()
    is_untouched(copy, moved)
    provenance = json.loads((copy / "results/own/provenance.json").read_text())
    assert provenance["data"]["data/questions/test.en"]["licence"] == "CC0-1.0"
    (copy / "elsewhere").rename(copy / "third")
    plain = study(copy, record={"source": {"files": "third/{split}.{lang}.json"}})
    assert not {"pretrain", "train", "predict"} & jobs(snakemake(copy, "-n", "--configfile", plain).stdout).keys()


def test_a_new_test_language_trains_nothing(copy, is_untouched):
    is_untouched(copy, study(copy, languages=("en", "de")), predict=2)


def test_rows_of_other_content_in_between_train_nothing(copy, is_untouched, snakemake):
    """Another study prepares other rows in the same place; this one makes its own again."""
    shutil.copytree(copy / "mine", copy / "theirs")
    (copy / "theirs/train.en.json").write_text(squad("en", "train", 7))
    config = study(copy, name="other")
    (copy / config).write_text((copy / config).read_text().replace("mine: mine", "mine: theirs"))
    snakemake(copy, "--cores", "2", "--configfile", config)
    is_untouched(copy, study(copy))


@pytest.mark.parametrize("purged", ["data", "data/questions/train.en.json"])
def test_purged_rows_are_made_again_for_new_schedules_only(copy, is_untouched, purged):
    path = copy / purged
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    # Predictions are jobs of their own where the test rows are not there when the plan is made.
    predict = 0 if purged.endswith("json") else 2
    is_untouched(copy, study(copy, schedules={"english": ["en"], "twice": ["en", "en"]}), train=2, predict=predict)


def test_results_copied_without_snakemakes_records_train_nothing(copy, is_untouched):
    shutil.rmtree(copy / ".snakemake")
    for path in sorted(copy.glob("results/**/*"), reverse=True):  # as a copy may leave their times
        os.utime(path)
    is_untouched(copy, study(copy))


def test_tables_copied_without_snakemakes_records_follow_the_plan(copy, snakemake, jobs):
    """Snakemake's own memory would tell that the plan is another one."""
    shutil.rmtree(copy / ".snakemake")
    config = study(copy)
    (copy / config).write_text((copy / config).read_text() + "names: {schedules: {english: English alone}}\n")
    planned = jobs(snakemake(copy, "-n", "--configfile", config).stdout)
    assert {"plan_file", "tables", "report"} <= planned.keys() and "train" not in planned
    snakemake(copy, "--cores", "2", "--configfile", config)
    assert "English alone" in (copy / "results/own/report.html").read_text()
    assert jobs(snakemake(copy, "-n", "--configfile", config).stdout) == {}


CHANGES = {
    "a recipe": "track qa changed: recipe.lr 0.001 -> 0.002; 1 finished checkpoint would be made anew and replaced",
    "a row": "track qa changed: the rows of questions.en; 1 finished checkpoint would be made anew and replaced",
    "a test row": "track qa changed: the rows of questions.en; 1 finished prediction would be made anew and replaced",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_study_asks_before_it_replaces_results(copy, snakemake, jobs, change):
    config = study(copy, lr=2e-3 if change == "a recipe" else 1e-3)
    if change != "a recipe":
        split = "test" if change == "a test row" else "train"
        (copy / f"mine/{split}.en.json").write_text(squad("en", split, 7))
    before = {path: path.read_bytes() for path in copy.glob(f"{RESULTS}/**/*.json")}
    plan = snakemake(copy, "-n", "--configfile", config)
    assert f"\n{CHANGES[change]}\n" in plan.stdout and jobs(plan.stdout)
    done = snakemake(copy, "--cores", "1", "--configfile", config, check=False)
    assert done.returncode and CHANGES[change] in done.stdout and "--config replace=true" in done.stdout
    assert {path: path.read_bytes() for path in before} == before, "nothing ran"
    if change == "a recipe":
        return
    snakemake(copy, "--cores", "1", "--configfile", config, "--config", "replace=true")
    assert jobs(snakemake(copy, "-n", "--configfile", config).stdout) == {}
    assert {path: path.read_bytes() for path in before} != before
