"""The guides to data: every file that they show is read by every record that they print."""

from pathlib import Path

import pytest
import yaml
from helpers.guides import DOCS, Section, sections

from crosstune.core.errors import UserError
from crosstune.core.files import read_jsonl
from crosstune.data.describe import guess_record
from crosstune.data.prepare import prepare
from crosstune.data.registry import load_languages, load_registry
from crosstune.study.build import build_study
from crosstune.study.data_requirements import DataRequirements
from describe import printed

ROOT = DOCS.parent
OWN = {section.title: section for section in sections("your-data.md")}
FORMATS = {section.title: section for section in sections("published-formats.md")}
TASKS = [title for title, section in OWN.items() if section.files]
BEGINNING = OWN["Your own data"].study

# Numbers of rows, and what is left out, that the formats' samples give.
PUBLISHED = {
    "masakhaner": {"train.luo": 2}, "wnut": {"train.en": 2}, "conll2003": {"train.en": 2},
    "multiconer": {"train.bn": 2}, "uner": {"train.hr": 2},
    "americasnli": {"validation.aym": 1, "validation.bzd": 1, "validation.qu": 1}, "afrisenti": {"train.ha": 3},
    "nusax": {"train.ace": 2}, "sib200": {"train.ha": 2}, "pawsx": {"train.ko": 2},
    "massive": {"train.sw": 2, "validation.sw": 1}, "belebele": {"test.sw": 1}, "xstorycloze": {"test.sw": 1},
    "germanquad_files": {"train.de": 1}, "indicqa": {"test.or": 1},
}  # fmt: skip


def prepared(section: Section, folder: Path, study: dict) -> dict[str, list[dict]]:
    """The rows of a section's data sets, by split and language, of those splits whose files are there."""
    registry = load_registry(folder / "none", study["datasets"])
    found = {}
    for name in registry:
        for split, entry in registry[name].splits.items():
            for lang in entry.languages:
                files = registry[name].source(lang, split, study["folders"])
                if all(path.exists() for path in files):
                    prepare(registry[name], split, lang, study["folders"], folder, folder / "rows.jsonl")
                    found[f"{split}.{lang}"] = read_jsonl(folder / "rows.jsonl")
    return found


@pytest.mark.parametrize("title", [title for title in FORMATS if FORMATS[title].files])
def test_a_published_format_is_read_by_yaml_alone(tmp_path, title):
    section = FORMATS[title]
    folders = section.write(tmp_path)
    study = section.study | {"folders": folders}
    (name,) = study["datasets"]
    found = prepared(section, tmp_path, study)
    assert {key: len(rows) for key, rows in found.items()} == PUBLISHED[name]
    known = load_languages(ROOT / "registry", study.get("languages", {}))
    assert {lang for entry in study["datasets"].values() for lang in entry["languages"]} <= known.keys()


def test_the_formats_are_many():
    names = [name for section in FORMATS.values() for name in section.study.get("datasets", {})]
    assert sorted(names) == sorted(PUBLISHED)


@pytest.mark.parametrize("title", TASKS)
def test_a_guide_s_study_is_planned_and_its_rows_are_prepared(tmp_path, monkeypatch, title):
    section = OWN[title]
    section.write(tmp_path / "my-data")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    study = BEGINNING | section.study
    needed = DataRequirements(build_study(study, ROOT)).needed
    own = {(name, split, lang) for name, split, lang in needed if name in study["datasets"]}
    found = prepared(section, tmp_path, study)
    assert {f"{split}.{lang}" for _, split, lang in own} == set(found) and all(found.values())


@pytest.mark.parametrize("title", [title for title in TASKS if OWN[title].commands])
def test_describe_prints_the_guide_s_record(tmp_path, monkeypatch, title):
    """Up to what the guide says that a person fills in."""
    section = OWN[title]
    section.write(tmp_path / "my-data")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    files, options = section.described
    languages = load_languages(ROOT / "registry")
    guess = guess_record(files, options["name"], languages, options.get("lang", ""))
    (name,), (shown,) = section.study["datasets"], section.study["datasets"].values()
    study = yaml.safe_load(printed(guess, name))
    assert study["folders"] == section.study["folders"]
    same = ("task", "reader", "columns", "table", "languages", "splits")
    assert {key: study["datasets"][name].get(key) for key in same} == {key: shown.get(key) for key in same}


# A record that each fragment of the guide fits into, by a key that it must have.
FITTING = {
    "premise": {"task": "choice"},
    "context": {"task": "qa"},
    "label": {"task": "classification", "labels": ["a", "b"]},
    "tags": {"task": "tagging", "reader": "columns"},
    "tag_scheme": {"task": "tagging", "reader": "columns"},
    "drop": {"task": "tagging", "reader": "columns"},
    "table": {"task": "text", "columns": {"text": "x"}},
}


@pytest.mark.parametrize("text", [text for section in OWN.values() for text in section.fragments])
def test_a_fragment_of_the_guide_is_valid_in_a_record(tmp_path, text):
    fragment = yaml.safe_load(text)
    keys = {**fragment, **fragment.get("columns", {})}
    fitting = next(record for key, record in FITTING.items() if key in keys)
    languages = list(fragment.get("codes", {"sw": ""}))
    whole = {
        "title": "t",
        "licence": "l",
        "languages": languages,
        "splits": {"train": {}},
        "source": {"files": "x.tsv"},
    }
    assert load_registry(tmp_path, {"mine": whole | fitting | fragment})["mine"].name == "mine"


def test_a_guide_has_no_block_that_no_test_reads():
    for section in (*OWN.values(), *FORMATS.values()):
        assert section.blocks == section.text.count("\n```yaml\n"), section.title


def test_a_mistake_in_a_guide_s_record_would_be_seen(tmp_path):
    section = OWN["Pairs of texts"]
    section.write(tmp_path / "my-data")
    record = section.study["datasets"]["pairs"] | {"labels": {"e": "entailment", "n": "neutral"}}
    study = {"datasets": {"pairs": record}, "folders": {"pairs": str(tmp_path / "my-data/nli")}}
    with pytest.raises(UserError, match=r"the label 'c' is outside the set entailment neutral"):
        prepared(section, tmp_path, study)
