"""The real files: every record of registry/bundle.yaml prepares, and pretraining text holds no evaluation text.

The folder is $CROSSTUNE_BUNDLE, or ../shared/data beside the project; without it these tests are skipped.
"""

import hashlib
import lzma
import os
from pathlib import Path

import pytest
import yaml

from crosstune.core.files import write_jsonl
from crosstune.data.leakage import find_leakage
from crosstune.data.prepare import load_rows, prepare
from crosstune.data.record import key_of_example
from crosstune.data.registry import load_registry

ROOT = Path(__file__).parents[2]
BUNDLE = Path(os.environ.get("CROSSTUNE_BUNDLE", ROOT.parent / "shared" / "data"))
RECORDS = yaml.safe_load((ROOT / "registry/bundle.yaml").read_text())
EVALUATED = ("xquad", "mlqa", "tydiqa", "piaf", "ud", "udpos_xtreme")
MLQA_DEV = {"ar": 517, "de": 512, "en": 1148, "es": 500, "hi": 507, "vi": 511, "zh": 504}
RUN = 40  # letters and digits; see the rule in registry/bundle.yaml

pytestmark = pytest.mark.skipif(
    not (BUNDLE / "MANIFEST.tsv").exists(), reason=f"no real data in {BUNDLE} (set CROSSTUNE_BUNDLE to its folder)"
)


@pytest.fixture(scope="module")
def registry():
    return load_registry(ROOT / "registry")


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_prepares_with_its_rows_and_hashes(registry, tmp_path, name):
    dataset = registry[name]
    for split, entry in dataset.splits.items():
        for lang in entry.languages:
            out = tmp_path / f"{split}.{lang}.jsonl"
            manifest = prepare(dataset, split, lang, {"bundle": BUNDLE}, tmp_path, out)
            assert manifest["rows"] == entry.rows[lang]
            assert tuple(source["sha256"] for source in manifest["sources"]) == entry.sha256[lang]


def test_numbers_that_the_publishers_state(registry):
    assert set(registry["xquad"].splits["test"].rows.values()) == {1190}
    assert registry["mlqa"].splits["test"].rows == MLQA_DEV
    assert registry["tydiqa"].splits["train"].rows["en"] == 3696
    assert registry["ud"].splits["test"].rows["ta"] == 120 + 500


# Every task of XTREME-R but Mewsli-X: the data set, how many languages its test split has, and how many rows in all.
TASKS = {
    "xnli": ("xnli", 15, 15 * 501),
    "xcopa": ("xcopa", 11, 11 * 500),
    "udpos": ("udpos_xtreme", 32, None),
    "panx": ("panx", 47, 41 * 500 + 6 * 100),
    "xquad": ("xquad", 12, 12 * 1190),
    "mlqa": ("mlqa", 7, sum(MLQA_DEV.values())),
    "tydiqa": ("tydiqa", 2, 222 + 275),
    "tatoeba": ("tatoeba_search", 41, 33 * 1000 + 205 + 746 + 575 + 687 + 390 + 307 + 234 + 548),
    "lareqa": ("lareqa", 11, 13_090 + 13_014),
}


@pytest.mark.parametrize("task", TASKS)
def test_the_test_split_of_a_task_has_its_languages_and_rows(registry, task):
    name, languages, rows = TASKS[task]
    assert registry[name].xtreme == task
    split = registry[name].splits["test"]
    assert len(split.languages) == len(split.rows) == len(split.sha256) == languages
    assert rows is None or sum(split.rows.values()) == rows


def row(registry, name, split, lang, number):
    return load_rows(registry[name], split, lang, {"bundle": BUNDLE}, ".")[0][number]


def test_a_row_of_every_task(registry):
    """What the files say at these places, read by eye."""
    found = row(registry, "xnli", "test", "sw", 0)
    assert (found["pair"], found["label"]) == ("Sijaongea na yeye tena.", "contradiction")
    found = row(registry, "xcopa", "test", "et", 0)
    assert (found["premise"], found["question"]) == ("Ese oli mullikilesse mässitud.", "What was the cause?")
    assert (found["choices"], found["label"]) == (["See oli õrn.", "See oli väike."], 0)
    found = row(registry, "copa", "validation", "en", 0)
    assert found["choices"][found["label"]] == "Water flowed from the spout."
    found = row(registry, "panx", "train", "en", 0)
    assert list(zip(found["tokens"], found["tags"], strict=True))[3:6] == [
        ("St.", "B-ORG"), ("Lawrence", "I-ORG"), ("River", "I-ORG")
    ]  # fmt: skip
    found = row(registry, "tatoeba_search", "test", "jv", 204)
    assert found["pair"] == "She's hiding in the closet." and found["text"] == "Dhèwèké lagi ndhelik nang jero lemari."
    found = row(registry, "lareqa", "test", "zh", 0)
    assert (found["query"], found["id"]) == ("黑豹队的防守丢了多少分？", f"{found['key']}_zh")  # noqa: RUF001
    assert row(registry, "xquad", "test", "zh", 0)["id"] == found["key"]
    found = row(registry, "piaf_sentences", "train", "fr", 0)
    assert found["candidate"].startswith("Le Ministère de la Jeunesse et des Sports estime à 100 000")
    found = row(registry, "udpos_xtreme", "test", "yo", 0)
    assert len(found["tokens"]) == len(found["tags"])
    assert row(registry, "mlqa", "test", "vi", 0)["answers"]["text"]
    assert row(registry, "tydiqa", "test", "sw", 0)["answers"]["text"]


@pytest.mark.parametrize(
    ("name", "languages", "content", "shared"),
    [
        ("xnli", ("en", "sw"), lambda row: row["label"], 501),
        ("xcopa", ("et", "qu"), lambda row: (row["label"], row["question"]), 500),
        ("xquad", ("en", "th"), lambda row: len(row["answers"]["text"]), 1190),
        ("lareqa", ("en", "th"), lambda row: row["key"], 1190),
        ("mlqa", ("hi", "vi"), lambda row: len(row["answers"]["text"]), None),
    ],
)
def test_records_say_what_translations_of_an_example_have_in_common(registry, name, languages, content, shared):
    found = []
    for lang in languages:
        rows = load_rows(registry[name], "test", lang, {"bundle": BUNDLE}, ".")[0]
        examples = enumerate(row for row in rows if "candidate" not in row)
        found.append({key_of_example(registry[name].parallel, row["id"], n): content(row) for n, row in examples})
    common = set(found[0]) & set(found[1])
    assert all(found[0][key] == found[1][key] for key in common)
    # MLQA's languages share a part of their questions.
    assert len(common) == shared if shared else 100 < len(common) < min(map(len, found))


def test_every_question_of_lareqa_has_an_answer_in_every_language(registry):
    rows = {lang: load_rows(registry["lareqa"], "test", lang, {"bundle": BUNDLE}, ".")[0] for lang in ("en", "th")}
    for of_language in rows.values():
        answered = {key for found in of_language for key in found.get("keys", ())}
        assert answered == {found["key"] for found in of_language if "query" in found} and len(answered) == 1190


# Records whose addresses are those of files that the bundle has whole.
WHOLE = {
    "xquad_full": "xquad", "lareqa_full": "lareqa", "xcopa_full": "xcopa", "copa_full": "copa",
    "tatoeba_full": "tatoeba_search",
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_addresses_are_pinned_to_what_the_bundle_has(registry, name):
    for split, entry in registry[name].splits.items():
        assert entry.rows == registry[WHOLE[name]].splits[split].rows
        for lang in entry.languages:
            files = registry[WHOLE[name]].pinned_source(lang, split, {"bundle": BUNDLE})
            found = tuple(hashlib.sha256(lzma.decompress(file.read_bytes())).hexdigest() for file in files)
            assert found == entry.sha256[lang], lang


def test_no_row_of_pretraining_text_holds_text_of_an_evaluation_set(registry):
    """Runs of letters are looked up at every RUN-th place of the evaluation text, so that a run of 2 RUN is found."""
    whole, runs = set(), set()
    for name in EVALUATED:
        for lang in registry[name].splits["test"].languages:
            for row in load_rows(registry[name], "test", lang, {"bundle": BUNDLE}, ".")[0]:
                sides = [row["context"], row["question"]] if "context" in row else [" ".join(row["tokens"])]
                for text in map(letters, sides):
                    whole.add((lang, text))
                    runs.update(text[i : i + RUN] for i in range(0, len(text) - RUN + 1, RUN))
    held = []
    for name in (name for name in RECORDS if registry[name].task == "text"):
        for lang in registry[name].languages:
            for row in load_rows(registry[name], "train", lang, {"bundle": BUNDLE}, ".")[0]:
                for side, side_lang in (("text", lang), ("pair", "en")):
                    text = letters(row.get(side, ""))
                    shared = any(text[i : i + RUN] in runs for i in range(len(text) - RUN + 1))
                    if shared or (len(text) >= 12 and (side_lang, text) in whole):
                        held.append((name, lang, row["id"]))
    assert held == []


def test_what_training_data_share_with_evaluation_sets(registry, tmp_path):
    """SQuAD-es shares articles with XQuAD and no paragraph; TyDiQA's training questions ask what test questions ask."""
    trained = ["squad.en", "squad_es.es", "piaf.fr", "tydiqa.sw", "ud.es", "ud.fr"]
    evaluated = ["xquad.en", "xquad.es", "xquad.de", "mlqa.es", "tydiqa.sw", "ud.es", "ud.fr"]
    splits = {}
    for split, names in (("train", trained), ("test", evaluated)):
        for name in names:
            dataset, _, lang = name.rpartition(".")
            splits[f"{split}/{name}"] = tmp_path / f"{split}.{name}.jsonl"
            write_jsonl(
                splits[f"{split}/{name}"], load_rows(registry[dataset], split, lang, {"bundle": BUNDLE}, ".")[0]
            )
    found = find_leakage(splits, [{"train": trained, "evaluate": evaluated, "stop": True}], [])
    leaks = {
        (pair["train"], pair["evaluate"]): (pair["exact"], pair["near"], pair["id"])
        for pair in found["pairs"]
        if pair["status"] == "leak"
    }
    assert leaks == {
        # Questions of eight words or more, of the 39 in the record's notes; and contexts that share half of their text.
        ("tydiqa.sw", "tydiqa.sw"): (15, 3, 0),
        ("ud.es", "ud.es"): (1, 0, 0),
        ("ud.fr", "ud.fr"): (1, 0, 0),
    }


@pytest.mark.parametrize(
    ("dataset", "train", "evaluated"), [("xnli", "de", "en"), ("xcopa", "qu", "sw"), ("ud", "th", "ar")]
)
def test_test_rows_of_another_language_are_found(registry, tmp_path, dataset, train, evaluated):
    """XNLI, XCOPA and the PUD treebanks state the same in every language, and give rows the same numbers or ids."""
    splits = {f"train/{dataset}.{train}": tmp_path / "train", f"test/{dataset}.{evaluated}": tmp_path / "test"}
    for path, lang in zip(splits.values(), (train, evaluated), strict=True):
        write_jsonl(path, load_rows(registry[dataset], "test", lang, {"bundle": BUNDLE}, ".")[0])
    group = {"train": [f"{dataset}.{train}"], "evaluate": [f"{dataset}.{evaluated}"], "stop": True}
    (pair,) = find_leakage(splits, [group], [])["pairs"]
    assert (pair["parallel"], pair["status"]) == (pair["texts"], "leak")


def letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
