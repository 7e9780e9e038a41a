"""Overlaps that are leaks, leaks that stop a study, and entries that allow them."""

from pathlib import Path

import pytest
import yaml

from crosstune.core.errors import UserError
from crosstune.core.files import write_json, write_jsonl
from crosstune.data.leakage import (
    covers,
    find_leakage,
    pair_line,
    pair_status,
    refuse_leaks,
    rows_by_split,
    summary_lines,
)
from crosstune.data.overlap import LIMITS
from crosstune.data.synthetic import write_files
from crosstune.study.build import build_study
from crosstune.study.graph import Study
from crosstune.study.specs import leakage_spec

ROOT = Path(__file__).parents[2]
LONG = "The tower of the old church was built by nine masons in the year of the flood."
SHORT = ["Thank you.", "Yes.", "I do not know."]


def split(folder: Path, name: str, split: str, *texts: str) -> Path:
    """Write prepared rows of one split and their manifest; return the manifest's path."""
    dataset, _, lang = name.rpartition(".")
    path = folder / dataset / f"{split}.{lang}.json"
    write_jsonl(path.with_suffix(".jsonl"), ({"id": f"{split}-{n}", "text": text} for n, text in enumerate(texts)))
    write_json(path, {"dataset": dataset, "split": split, "lang": lang})
    return path


@pytest.fixture
def splits(tmp_path) -> dict[str, Path]:
    """A source that shares a long text with one set, and short texts with two other sets."""
    return rows_by_split(
        [
            split(tmp_path, "mine.en", "train", "Something else.", LONG, *SHORT),
            split(tmp_path, "mine.en", "test", LONG.upper(), "Who?"),
            split(tmp_path, "brief.en", "test", *SHORT, "Where?"),
            split(tmp_path, "copied.en", "test", *SHORT),
        ]
    )


def group(*evaluate: str, stop: bool = True) -> dict:
    return {"train": ["mine.en"], "evaluate": list(evaluate), "stop": stop}


def test_a_leak_stops_and_names_the_line_to_paste(splits):
    found = find_leakage(splits, [group("mine.en", "brief.en", "copied.en")], [])
    assert {pair["evaluate"]: pair["status"] for pair in found["pairs"]} == {
        "mine.en": "leak",
        "brief.en": "chance",  # 3 of 4 short texts
        "copied.en": "leak",  # all of them
    }
    assert found["compared"] == 3
    with pytest.raises(UserError) as refused:
        refuse_leaks(found, ["old.en > mine.en"])
    *lines, _, line = refused.value.fix.split("\n")
    assert lines == [
        'mine.en > copied.en: 3 exact, 0 near of 3 texts; row train-2 is test-0: "Thank you."',
        f'mine.en > mine.en: 1 exact, 0 near of 2 texts; row train-1 is test-0: "{LONG.upper()}"',
    ]
    pasted = yaml.safe_load(line)["allow_leakage"]
    assert pasted == ["mine.en > copied.en", "mine.en > mine.en", "old.en > mine.en"]
    allowed = find_leakage(splits, [group("mine.en", "brief.en", "copied.en")], pasted)
    assert sorted(pair["status"] for pair in allowed["pairs"]) == ["allowed", "allowed", "chance"]
    refuse_leaks(allowed, pasted)
    line, *limits = summary_lines(allowed)
    assert line == "leakage: 3 pairs compared, 2 with leaks (allowed), 1 with short repeats"
    assert limits[1:] == [f"  {limit}" for limit in LIMITS.values()]
    assert summary_lines({"compared": 3, "limits": [], "pairs": []})[0] == "leakage: 3 pairs compared, nothing found"


def test_a_line_names_rows_found_by_ids_and_lengths():
    pair = {"train": "a.de", "evaluate": "a.en", "texts": 9, "exact": 0, "near": 0, "short": 0, "id": 2, "parallel": 9}
    pair["examples"] = [{"how": "id", "train": "x", "evaluate": "y"}]
    assert pair_line(pair) == "a.de > a.en: 0 exact, 0 near of 9 texts, 2 rows by id, 9 parallel rows; row x is y"


@pytest.fixture
def validated(tmp_path) -> dict[str, Path]:
    """Sets of one data set: the validation rows are the test rows, and the training rows hold one of another set."""
    own = [f"{LONG} It has {number} windows." for number in ("two", "four", "ten")]
    return rows_by_split(
        [
            split(tmp_path, "mine.en", "train", "Something else.", LONG),
            split(tmp_path, "mine.en", "validation", *own),
            split(tmp_path, "mine.en", "test", *own),
        ]
    )


def test_selecting_on_test_rows_and_training_on_validation_rows_are_leaks(validated):
    groups = [
        {"train": ["mine.en"], "evaluate": ["mine.en", "validation/mine.en"], "stop": True},
        {"train": ["validation/mine.en"], "evaluate": ["mine.en"], "stop": True},
    ]
    found = find_leakage(validated, groups, [])
    assert {(pair["train"], pair["evaluate"]): (pair["exact"], pair["near"]) for pair in found["pairs"]} == {
        ("mine.en", "mine.en"): (0, 3),
        ("mine.en", "validation/mine.en"): (0, 3),
        ("validation/mine.en", "mine.en"): (3, 0),
    }
    with pytest.raises(UserError, match="trains or selects on texts of its evaluation sets") as refused:
        refuse_leaks(found, [])
    pasted = yaml.safe_load(refused.value.fix.split("\n")[-1])["allow_leakage"]
    assert pasted == ["mine.en > mine.en", "mine.en > validation/mine.en", "validation/mine.en > mine.en"]
    refuse_leaks(find_leakage(validated, groups, pasted), pasted)
    assert [pair["status"] for pair in find_leakage(validated, groups, pasted[:1])["pairs"]].count("leak") == 2


def test_unlabelled_text_is_reported_and_labelled_rows_stop_the_study(splits):
    found = find_leakage(splits, [group("mine.en", stop=False)], [])
    assert [pair["status"] for pair in found["pairs"]] == ["reported"]
    refuse_leaks(found, [])
    for groups in ([group("mine.en", stop=False), group("mine.en")], [group("mine.en"), group("mine.en", stop=False)]):
        assert [pair["status"] for pair in find_leakage(splits, groups, [])["pairs"]] == ["leak"]


def test_a_pair_of_different_tracks_is_not_compared(splits):
    groups = [group("brief.en"), {"train": [], "evaluate": ["mine.en"], "stop": True}]
    found = find_leakage(splits, groups, [])
    assert [pair["evaluate"] for pair in found["pairs"]] == ["brief.en"]


@pytest.mark.parametrize(
    ("short", "status_"), [(8, "chance"), (9, "leak")], ids=["less than nine of ten", "nine of ten"]
)
def test_many_short_repeats_are_a_leak(short, status_):
    pair = {"exact": 0, "near": 0, "id": 0, "parallel": 0, "short": short, "texts": 10}
    assert pair_status(pair, True, []) == status_


@pytest.mark.parametrize("kind", ["exact", "near", "id", "parallel"])
def test_one_text_or_row_of_another_kind_is_a_leak(kind):
    pair = {"exact": 0, "near": 0, "id": 0, "parallel": 0, "short": 0, "texts": 10}
    assert pair_status(pair, True, []) == "chance"
    assert pair_status(pair | {kind: 1}, True, []) == "leak"


def test_an_entry_covers_a_pair_or_all_languages():
    assert covers("a.en > b.de", "a.en", "b.de")
    assert covers("a > b.de", "a.en", "b.de") and covers("a > b", "a.en", "b.de")
    assert not covers("a.es > b", "a.en", "b.de")
    assert not covers("b > a", "a.en", "b.de")
    assert covers("v1.0 > b", "v1.0.en", "b.de") and not covers("v1 > b", "v1.0.en", "b.de")
    assert covers("validation/a > b", "validation/a-fold2.en", "b.de")
    assert not covers("a > b", "validation/a.en", "b.de") and not covers("validation/a > b", "a.en", "b.de")


def study(**changes) -> Study:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    return build_study({**config, **changes}, ROOT)


def test_a_study_compares_its_tracks_and_its_pretraining_text():
    labelled, text = leakage_spec(study())["groups"]
    assert labelled["train"] == ["worldpos.qen", "worldpos.qes", "worldpos.qfr"]
    assert labelled["stop"] and not text["stop"]
    assert labelled["evaluate"] == text["evaluate"] and len(text["evaluate"]) == 7
    assert {source.split(".")[0] for source in text["train"]} == {"worldtext", "worldpairs"}


def test_a_study_that_selects_compares_its_validation_sets():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["tracks"]["pos"]["select"] = {"dataset": "worldpos", "every": 20, "log_test_scores": True}
    labelled, selecting, text = leakage_spec(build_study(config, ROOT))["groups"]
    validation = ["validation/worldpos.qen", "validation/worldpos.qes", "validation/worldpos.qfr"]
    assert labelled["train"] == ["worldpos.qen", "worldpos.qes", "worldpos.qfr"]
    assert labelled["evaluate"] == [*text["evaluate"], *validation]
    assert selecting == {"train": validation, "evaluate": text["evaluate"], "stop": True}
    allowed = ["validation/worldpos.qen > worldpos", "worldpos > validation/worldpos"]
    build_study({**config, "allow_leakage": allowed}, ROOT)
    with pytest.raises(UserError, match="no track trains or selects on the first"):
        build_study({**config, "allow_leakage": ["validation/worldnli > worldpos"]}, ROOT)


def test_an_entry_without_a_pair_is_a_user_error():
    with pytest.raises(UserError, match="no track trains or selects on the first") as refused:
        study(allow_leakage=["worldpos > worldpos", "worldpos.qka > worldpos"])
    assert refused.value.where == "allow_leakage[1]"
    with pytest.raises(UserError, match="allow_leakage"):
        study(allow_leakage=["worldpos"])


def test_the_synthetic_data_leak_nothing(tmp_path):
    """Questions of three words are repeated by chance; texts are not."""
    from crosstune.data.prepare import load_rows
    from crosstune.data.registry import load_registry

    registry = load_registry(ROOT / "registry")
    write_files(yaml.safe_load((ROOT / "tests/workflow/small.yaml").read_text())["synthetic"], tmp_path / "world")
    names = {"train": ["worldqa.qen", "worldpos.qen", "worldnli.qen", "worldtext.qen", "worldcopa.qen", "worldner.qen"]}
    names["test"] = [f"{dataset}.{lang}" for dataset in ("worldqa", "worldpos", "worldnli", "worldlareqa", "worldcopa",
                     "worldner", "worldtydiqa") for lang in ("qen", "qno")]  # fmt: skip
    splits = {}
    for part, sets in names.items():
        for name in sets:
            dataset, _, lang = name.rpartition(".")
            splits[f"{part}/{name}"] = tmp_path / f"{part}.{name}.jsonl"
            write_jsonl(splits[f"{part}/{name}"], load_rows(registry[dataset], part, lang, {}, tmp_path)[0])
    found = find_leakage(splits, [{"train": names["train"], "evaluate": names["test"], "stop": True}], [])
    assert {pair["status"] for pair in found["pairs"]} == {"chance"}
