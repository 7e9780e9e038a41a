"""The registry: sources of records, mistakes in them, and the shipped records and language tables."""

import copy
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
import yaml

from crosstune.core.errors import UserError
from crosstune.data.readers import READERS, TABLE
from crosstune.data.record import key_of_example
from crosstune.data.registry import Language, load_languages, load_registry
from crosstune.data.sources import HubSource, SyntheticSource, UrlSource
from crosstune.evaluation.baselines import BASELINES
from crosstune.evaluation.metrics import DIAGNOSTICS, METRICS, XTREME_R

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "schemas/dataset.schema.yaml").read_text())
RECORD = {
    "task": "qa",
    "title": "Toy",
    "source": {"files": "{bundle}/{split}.{lang}.json"},
    "reader": "squad",
    "languages": ["en", "no"],
    "licence": "CC0-1.0",
    "splits": {"train": {}, "test": {"languages": ["en"], "rows": {"en": 3}, "sha256": {"en": "a" * 64}}},
}
REVISION = "0123456789" * 4


def record(**changes):
    """The toy record with some keys changed; None removes a key."""
    changed = copy.deepcopy(RECORD) | changes
    return {"toy": {key: value for key, value in changed.items() if value is not None}}


def toy(tmp_path, **changes):
    return load_registry(tmp_path, record(**changes))["toy"]


# ------------------------------------------------------------------------------------------------------------- sources


def test_patterns_are_filled_with_language_split_and_folder(tmp_path):
    dataset = toy(tmp_path)
    assert dataset.pinned_source("no", "train", {"bundle": "/data"}) == [Path("/data/train.no.json")]
    assert dataset.file_names("no", "train") == ["{bundle}/train.no.json"]


def test_languages_of_a_split_are_its_own_or_the_record_s(tmp_path):
    dataset = toy(tmp_path)
    assert dataset.splits["train"].languages == dataset.languages == ("en", "no")
    assert dataset.splits["test"].languages == ("en",)


def test_a_language_may_have_several_files(tmp_path):
    source = {"files": {"en": "{b}/en", "no": ["{b}/no1", "{b}/no2"]}}
    dataset = toy(tmp_path, source=source)
    assert dataset.pinned_source("no", "train", {"b": "x"}) == [Path("x/no1"), Path("x/no2")]
    assert dataset.pinned_source("en", "train", {"b": "x"}) == [Path("x/en")]


def test_a_split_replaces_the_source_or_adds_to_it(tmp_path):
    source = {"hub": "some/data", "config": "c.{code}", "revision": REVISION, "id_prefix": "{lang}-"}
    splits = {"train": {}, "validation": {"source": {"split": "dev"}}, "test": {"source": {"synthetic": "qa/{lang}"}}}
    dataset = toy(tmp_path, source=source, splits=splits, codes={"en": "eng"})
    source = dataset.pinned_source("en", "train", {})
    assert (source.id, source.revision, source.id_prefix) == ("some/data", REVISION, "en-")
    assert dataset.pinned_source("en", "validation", {}).files[0][1] == "c.eng/dev/*.parquet"
    assert dataset.pinned_source("en", "test", {}) == SyntheticSource((PurePosixPath("qa/en"),))


def test_parquet_files_of_the_hub_have_default_patterns(tmp_path):
    """One choice of patterns: names of the hub's libraries, and those of its converter."""
    source = {"hub": "some/data", "revision": REVISION}
    (choice,) = toy(tmp_path, source=source | {"config": "c.{lang}"}).pinned_source("no", "train", {}).files
    assert choice[:2] == ("c.no/train-?????-of-*.parquet", "c.no/train/*.parquet")
    (choice,) = toy(tmp_path, source=source).pinned_source("no", "train", {}).files
    assert choice[:2] == ("data/train-?????-of-*.parquet", "default/train/*.parquet")


def test_a_record_may_name_files_of_a_repository(tmp_path):
    """Every pattern is a choice of its own and must match. A split's `files` belong to the record's repository."""
    source = {"hub": "some/data", "revision": REVISION, "config": "x", "files": ["{config}/{split}.{lang}*.json", "b"]}
    splits = {"train": {}, "test": {"source": {"files": "{lang}/{split}.json", "split": "dev"}}}
    dataset = toy(tmp_path, source=source, splits=splits)
    assert dataset.pinned_source("en", "train", {}) == HubSource(
        "some/data", REVISION, (("x/train.en*.json",), ("b",))
    )  # fmt: skip
    assert dataset.pinned_source("en", "test", {}).files == (("en/dev.json",),)


def test_addresses_come_with_their_hashes(tmp_path):
    source = {"url": "https://h.org/{lang}/{split}.json"}
    hashes = {"en": "a" * 64, "no": "b" * 64}
    dataset = toy(tmp_path, source=source, splits={"train": {"sha256": hashes}})
    assert dataset.pinned_source("no", "train", {}) == UrlSource(("https://h.org/no/train.json",), ("b" * 64,))
    source = {"url": "https://h.org/all.zip", "member": ["{code}/*.json"]}
    dataset = toy(tmp_path, source=source, splits={"train": {"sha256": "a" * 64}}, codes={"en": "eng", "no": "nor"})
    assert dataset.pinned_source("no", "train", {}) == UrlSource(
        ("https://h.org/all.zip",), ("a" * 64,), ("nor/*.json",)
    )


def test_translations_of_an_example_share_its_id_unless_the_record_says_otherwise(tmp_path):
    assert toy(tmp_path).parallel == "id"
    assert toy(tmp_path, parallel="position").parallel == "position"
    source = {"translate": "toy", "from": ["en"], "by": "words"}
    translated = {"task": "qa", "title": "Toy", "licence": "mine", "languages": ["de"], "splits": {"train": {}}}
    registry = load_registry(tmp_path, record() | {"copy": translated | {"source": source}})
    assert registry["copy"].parallel == "id-without-prefix"


@pytest.mark.parametrize(
    ("parallel", "identifier", "key"),
    [
        ("id", "test.et:3", "test.et:3"),
        ("id-without-prefix", "test.et:3", "3"),
        ("id-without-prefix", "hi-mr:en:7", "en:7"),
        ("id-without-prefix", "56bd", "56bd"),
        ("position", "test.et:3", "12"),
    ],
)
def test_what_translations_of_an_example_have_in_common(parallel, identifier, key):
    assert key_of_example(parallel, identifier, 12) == key


def test_records_of_the_folder_and_the_study_are_joined(tmp_path):
    (tmp_path / "one.yaml").write_text(yaml.safe_dump({"one": RECORD}))
    (tmp_path / "languages.yaml").write_text("en: {name: English, family: f, genus: g, script: Latn}")
    registry = load_registry(tmp_path, record())
    assert list(registry) == ["one", "toy"] and len(registry) == 2 and "toy" in registry
    assert load_languages(tmp_path) == {"en": Language("en", "English", "f", "g", "Latn")}


# -------------------------------------------------------------------------------------------------------- mistakes

MISTAKES = {
    "unknown key": ({"lisence": "x"}, "unknown key 'lisence'.*licence"),
    "unknown key of a split": ({"splits": {"train": {"row": {}}}}, "toy.splits.train: unknown key 'row'.*rows"),
    "unknown split": ({"splits": {"dev": {}}}, "unknown key 'dev'"),
    "missing key": ({"licence": None}, "'licence' is missing"),
    "missing reader": ({"reader": None}, "missing key 'reader'"),
    "missing reader of the hub": (
        {"reader": None, "source": {"hub": "a/b", "files": "x.txt"}},
        "missing key 'reader'",
    ),
    "slice of a split": ({"source": {"hub": "a/b", "split": "train[:10]"}}, "toy.source.split"),
    "folder in a repository": ({"source": {"hub": "a/b", "files": "{bundle}/x"}}, "{bundle} is unknown here"),
    "no address": ({"source": {"url": "ftp://h.org/x"}}, "begins with https://, found 'ftp://h.org/x'"),
    "password": ({"source": {"url": "https://me:secret@h.org/x"}}, "the address holds a password"),
    "archive without member": ({"source": {"url": "https://h.org/x.tar.gz"}}, "an archive needs the key `member`"),
    "member without archive": ({"source": {"url": "https://h.org/x.gz", "member": "a"}}, "needs the key `member`"),
    "hashes for addresses": (
        {"source": {"url": ["https://h.org/1", "https://h.org/2"]}, "splits": {"train": {"sha256": "a" * 64}}},
        "expected one hash for each address of 'en'",
    ),
    "missing codes": ({"reader": "chaii", "codes": {"no": "norsk"}}, "toy.codes: no code for 'en'.*codes: {en: ...}"),
    "key of earlier versions": (
        {"task": "text", "reader": "fields", "fields": [1, 2]},
        "'fields' is now `columns`.*columns: {text: .1, 2.}",
    ),
    "table without an answer": (
        {"reader": None, "columns": {"context": "c", "question": "q"}},
        "toy.columns: qa needs the column 'answers'",
    ),
    "column of another task": (
        {"reader": None, "columns": {"context": "c", "question": "q", "answers": "a", "label": "l"}},
        "toy.columns.label: a row of qa has nothing called 'label'.*It has: context",
    ),
    "unknown column": ({"reader": None, "columns": {"contxt": "c"}}, "toy.columns: 'contxt'"),
    "two columns for one": (
        {"reader": None, "columns": {"context": "c", "question": "q", "answers": ["a", "b"]}},
        "toy.columns.answers: 'answers' is one column",
    ),
    "columns of a format of its own": (
        {"columns": {"context": "c"}},
        "'context' does not fit the reader `squad`.*leave",
    ),
    "columns of token lines by name": (
        {"task": "tagging", "reader": "columns", "columns": {"tags": "ner"}},
        "'ner' does not fit the reader `columns`",
    ),
    "column of CoNLL-U": (
        {"task": "tagging", "reader": "conllu", "columns": {"tags": "head"}},
        "'head' does not fit the reader `conllu`",
    ),
    "tag scheme of questions": ({"tag_scheme": "IOBES"}, "tag_scheme is not for the task qa"),
    "offsets of tags": (
        {"task": "tagging", "reader": "conllu", "answer_start": "find"},
        "answer_start is not for the task tagging",
    ),
    "drop of questions": ({"drop": ["skip"]}, "nothing is called 'skip' here.*unanswerable, unlocated"),
    "drop of texts": ({"task": "text", "reader": "lines", "drop": ["skip"]}, "nothing is called 'skip' here"),
    "separator of two characters": (
        {"reader": None, "columns": {"text": 1}, "table": {"separator": "||"}},
        "toy.table.separator",
    ),
    "missing languages": ({"languages": None, "splits": {"train": {}}}, "missing key 'languages'"),
    "unknown reader": ({"reader": "json"}, "'json' is not one of"),
    "reader of another task": ({"reader": "conllu"}, "'conllu' is not one of .*'squad'"),
    "no source": ({"source": None}, "exactly one of files, folder, synthetic, hub, url and translate"),
    "two sources": (
        {"source": {"files": "a", "synthetic": "b"}},
        "exactly one of files, folder, synthetic, hub, url and translate",
    ),
    "hub and address": ({"source": {"hub": "a/b", "url": "https://b"}}, "exactly one of"),
    "no files for a language": ({"source": {"files": {"en": "a"}}}, "no files for the languages no"),
    "rows of another language": ({"splits": {"train": {"rows": {"fr": 1}}}}, "rows of languages that .* lacks: fr"),
    "hash": ({"splits": {"train": {"sha256": {"en": "abc"}}}}, "toy.splits.train.sha256: .*'abc'"),
    "revision": ({"source": {"hub": "a/b", "revision": "main"}}, "toy.source.revision"),
    "world leaves its folder": ({"source": {"synthetic": "../{lang}"}}, "leaves its folder"),
    "absolute world path": ({"source": {"synthetic": ["/x"]}}, "leaves its folder"),
    "language twice": ({"languages": ["en", "en"]}, "'en' is given twice"),
    "language that leaves its folder": ({"languages": ["../en"]}, "'../en' is not allowed"),
    "no in a list": ({"languages": ["en", False]}, 'YAML reads this .*False.*\n.*"no"'),
    "no as a key": ({"splits": {"train": {"rows": {False: 1}}}}, 'YAML reads this .*False.*\n.*"no"'),
}


@pytest.mark.parametrize(("changes", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_in_a_record_is_a_user_error(tmp_path, changes, message):
    with pytest.raises(UserError) as caught:
        toy(tmp_path, **changes)
    assert caught.match(f"(?s){message}") and caught.value.where.startswith("datasets: toy")


@pytest.mark.parametrize("name", ["../toy", "/toy", "a.b", "a/b", ""])
def test_a_name_that_would_leave_its_folder_is_refused(tmp_path, name):
    with pytest.raises(UserError):
        load_registry(tmp_path, {name: RECORD})


def test_a_name_cannot_be_defined_twice(tmp_path):
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(record()))
    with pytest.raises(UserError, match=r"'toy' is already a data set of .*one.yaml"):
        load_registry(tmp_path, record())


def test_unknown_names_and_languages_list_the_known_ones(tmp_path):
    registry = load_registry(tmp_path, record())
    with pytest.raises(UserError, match=r"(?s)unknown data set 'tyo'.*Did you mean 'toy'"):
        registry["tyo"]
    with pytest.raises(UserError, match=r"(?s)unknown data set 'xquad'.*There are: toy"):
        registry["xquad"]
    with pytest.raises(UserError, match=r"(?s)tracks.qa: .*no language 'no' in its test split.*It has: en"):
        registry["toy"].require("no", "test", where="tracks.qa")
    with pytest.raises(UserError, match=r"(?s)no split 'validation'.*It has: train, test"):
        registry["toy"].pinned_source("en", "validation", {})


def test_a_missing_folder_is_named_with_its_fix(tmp_path):
    with pytest.raises(UserError, match=r"(?s)needs the folder 'bundle'.*folders:\n *bundle: "):
        toy(tmp_path).pinned_source("en", "train", {"other": "x"})


def test_a_missing_code_is_named(tmp_path):
    with pytest.raises(UserError, match="`codes` has no entry for 'en'"):
        toy(tmp_path, source={"files": "{code}"}).pinned_source("en", "train", {})


def test_the_network_needs_a_pinned_version(tmp_path):
    for source in ({"hub": "a/b"}, {"hub": "a/b", "revision": None}, {"url": "https://h.org/x"}):
        with pytest.raises(UserError, match=r"(?s)'toy' \(train, en\) is not pinned.*python scripts/pin.py toy"):
            toy(tmp_path, source=source).pinned_source("en", "train", {})


def test_an_unpinned_source_can_be_planned(tmp_path):
    assert toy(tmp_path, source={"hub": "a/b"}).source("en", "train", {}).revision is None
    found = toy(tmp_path, source={"url": "https://h.org/x"}).source("en", "train", {})
    assert found == UrlSource(("https://h.org/x",), ())


def test_a_password_is_not_printed(tmp_path):
    with pytest.raises(UserError) as caught:
        toy(tmp_path, source={"url": "https://me:secret@h.org/x"})
    assert "secret" not in str(caught.value)


def test_a_registry_file_must_be_a_yaml_mapping(tmp_path):
    (tmp_path / "one.yaml").write_text("toy:\n  task: [qa\n")
    with pytest.raises(UserError, match=r"one.yaml:3:1: not valid YAML"):
        load_registry(tmp_path)
    (tmp_path / "one.yaml").write_text("- toy\n")
    with pytest.raises(UserError, match=r"one.yaml: expected entries by name"):
        load_registry(tmp_path)


@pytest.mark.parametrize("text", ["en: {name: English}", "en: {nam: x, family: f, genus: g, script: s}", "en: English"])
def test_a_language_needs_its_keys(tmp_path, text):
    (tmp_path / "languages.yaml").write_text(text)
    with pytest.raises(UserError, match="language 'en' needs the keys name, family"):
        load_languages(tmp_path)


def test_language_tables_quote_no_and_describe_a_language_once(tmp_path):
    (tmp_path / "languages.yaml").write_text("no: {name: Norwegian, family: f, genus: g, script: Latn}")
    with pytest.raises(UserError, match=r"languages\.yaml:1:1: YAML reads no as false"):
        load_languages(tmp_path)
    for name in ("languages.yaml", "languages-b.yaml"):
        (tmp_path / name).write_text('"no": {name: Norwegian, family: f, genus: g, script: Latn}')
    with pytest.raises(UserError, match="'no' is described twice"):
        load_languages(tmp_path)


# ---------------------------------------------------------------------------------------------------- shipped records


def test_every_shipped_record_is_valid_and_its_languages_are_described():
    registry, languages = load_registry(ROOT / "registry"), load_languages(ROOT / "registry")
    used = {lang for dataset in registry.values() for lang in dataset.languages}
    assert used <= set(languages)
    assert [code for code in used if len(code) == 2 and len(languages[code].iso or "") != 3] == []
    assert {"squad", "squad_es", "piaf", "xquad", "mlqa", "tydiqa", "ud", "chaii"} <= set(registry)


def test_every_shipped_file_has_rows_and_a_hash():
    bundle = yaml.safe_load((ROOT / "registry/bundle.yaml").read_text())
    registry = load_registry(ROOT / "registry")
    for name in bundle:
        for split in registry[name].splits.values():
            assert set(split.rows) == set(split.sha256) == set(split.languages), name


def test_every_shipped_record_has_a_source():
    folders = dict.fromkeys(("bundle", "chaii", "fquad", "panx", "mewslix"), "x")
    for dataset in load_registry(ROOT / "registry").values():
        for name, split in dataset.splits.items():
            for lang in split.languages:
                assert dataset.source(lang, name, folders)


def test_chaii_has_1114_rows():
    rows = load_registry(ROOT / "registry")["chaii"].splits["train"].rows
    assert rows == {"hi": 746, "ta": 368} and sum(rows.values()) == 1114
    assert load_registry(ROOT / "registry")["chaii"].codes == {"hi": "hindi", "ta": "tamil"}


def test_schema_and_metrics_name_the_same_tasks_of_xtreme():
    properties = SCHEMA["$defs"]["dataset"]["properties"]
    assert properties["xtreme"]["enum"] == [*XTREME_R, *DIAGNOSTICS]
    assert set(properties["metric"]["enum"]) == set(METRICS) - set(BASELINES)


def test_every_record_is_scored_as_the_task_of_xtreme_that_it_is():
    records = load_registry(ROOT / "registry").values()
    official = XTREME_R | DIAGNOSTICS
    assert [r.name for r in records if r.xtreme and official[r.xtreme] != r.metric] == []
    assert {r.name for r in records if r.metric == "mlqa"} == {"mlqa", "mlqa_full", "mlqa_translated"}


def test_a_metric_of_another_task_is_refused():
    records = {"mine": {"task": "tagging", "metric": "mlqa", "title": "t", "licence": "l", "splits": {"test": {}}}}
    with pytest.raises(UserError, match="The metric is for question answering") as caught:
        load_registry(ROOT / "registry", records)
    assert caught.value.where == "datasets: mine.task"


def test_schema_and_readers_name_the_same_readers_of_every_task():
    assert set(SCHEMA["$defs"]["dataset"]["properties"]["reader"]["enum"]) == set(READERS) - {TABLE}
    for rule in SCHEMA["$defs"]["dataset"]["allOf"]:
        task = rule["if"]["properties"]["task"]["const"]
        fitting = {name for name, reader in READERS.items() if task in reader.tasks}
        assert set(rule["then"]["properties"]["reader"]["enum"]) == fitting - {TABLE}


def test_every_key_of_the_schema_has_a_description():
    for definition in ("dataset", "split", "source"):
        for key, value in SCHEMA["$defs"][definition]["properties"].items():
            target = SCHEMA["$defs"][value["$ref"].rsplit("/", 1)[1]] if "$ref" in value else value
            assert value.get("description") or target.get("description"), f"{definition}.{key}"
        assert SCHEMA["$defs"][definition]["additionalProperties"] is False


def test_parsing_the_registry_imports_nothing_heavy():
    code = "import sys, crosstune.data.registry; print({'torch', 'pandas', 'datasets', 'numpy'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "scripts")},
    )
    assert result.stdout.strip() == "set()"


def test_a_record_is_checked_when_it_is_asked_for(tmp_path):
    """So that a job that needs one does not pay for all; a study's own are checked whether it uses them or not."""
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"good": RECORD, "bad": {**RECORD, "task": "chess"}}))
    registry = load_registry(tmp_path)
    assert registry["good"].task == RECORD["task"] and set(registry) == {"good", "bad"}
    with pytest.raises(UserError, match="chess") as caught:
        registry["bad"]
    assert caught.value.where == f"{tmp_path / 'mine.yaml'}: bad.task"
    with pytest.raises(UserError, match="chess"):
        load_registry(tmp_path, {"other": {**RECORD, "task": "chess"}})
