"""Parts of data sets: samples, and training rows held out for validation."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.core.errors import UserError
from crosstune.core.files import read_jsonl
from crosstune.data.leakage import covers, find_leakage, refuse_leaks
from crosstune.data.part_names import HELD, PILOT, SAMPLE, Part, source_label, split_part, whole_name, with_draw
from crosstune.data.parts import part_rows
from crosstune.data.prepare import prepare
from crosstune.data.registry import load_registry
from crosstune.data.sources import PartSource

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True)
PARTS = st.builds(Part, st.just(SAMPLE), st.integers(0, 10**6), st.integers(0, 99)) | st.builds(
    Part, st.sampled_from([HELD, PILOT]), st.integers(0, 10**6)
)


def source(kind: str = SAMPLE, number: int = 3, draw: int = 0, split: str = "train", **changes) -> PartSource:
    return PartSource("toy", split, Part(kind, number, draw), **{"whole": "toy", "parallel": "id", **changes})


def questions(number: int, to_a_context: int = 2, prefix: str = "") -> list[dict]:
    return [
        {"id": f"{prefix}{n}", "context": f"{prefix}context {n // to_a_context}", "question": f"q{n}"}
        for n in range(number)
    ]


def ids(rows: list[dict]) -> list[str]:
    return [row["id"] for row in rows]


class TestNames:
    @given(NAMES, st.lists(PARTS, max_size=3))
    def test_the_name_of_a_part_says_how_it_is_made(self, name, parts):
        full = name
        for part in parts:
            full = part.of(full)
        assert whole_name(full) == name
        for part in reversed(parts):
            full, found = split_part(full)
            assert found == part
        assert split_part(full) == (name, None)

    @given(NAMES, PARTS, st.integers(0, 99))
    def test_only_samples_have_draws(self, name, part, draw):
        found = split_part(with_draw(part.of(name), draw))[1]
        assert found == (Part(SAMPLE, part.number, draw) if part.kind == SAMPLE else part)

    def test_folders_show_the_size_of_a_sample_and_no_draw(self):
        assert source_label("worldqa~held20~100d2.qes") == "worldqa.qes~100"
        assert source_label("worldqa~held20.qes") == "worldqa.qes"
        assert source_label("toy-fold2~5d1.qno") == "toy-fold2.qno~5"


class TestSamples:
    @given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
    def test_a_smaller_sample_is_part_of_a_larger_one(self, first, second, draw):
        rows = questions(30)
        small, large = (
            ids(part_rows(rows, source(number=n, draw=draw), "train", "en")) for n in sorted([first, second])
        )
        assert len(small) == min(first, second) and set(small) <= set(large)
        assert large == sorted(large, key=int)

    def test_every_draw_is_another_one(self):
        draws = {tuple(ids(part_rows(questions(30), source(draw=draw), "train", "en"))) for draw in range(10)}
        assert len(draws) == 10

    def test_a_sample_does_not_depend_on_the_order_of_the_file(self):
        rows = questions(30)
        assert set(ids(part_rows(rows, source(), "train", "en"))) == set(
            ids(part_rows(rows[::-1], source(), "train", "en"))
        )

    @pytest.mark.parametrize(
        ("parallel", "name"),
        [("id", "{n}"), ("id-without-prefix", "test.{lang}:{n}"), ("position", "{lang}{n}")],
    )
    def test_languages_have_the_same_examples(self, parallel, name):
        chosen = []
        for lang in ("en", "hi"):
            rows = [{"id": name.format(n=n, lang=lang), "number": n} for n in range(30)]
            found = part_rows(rows, source(number=7, split="test", parallel=parallel), "test", lang)
            chosen.append([row["number"] for row in found])
        assert chosen[0] == chosen[1] and len(chosen[0]) == 7

    def test_retrieval_counts_questions_and_keeps_the_pool(self):
        rows = [{"id": f"q{n}", "query": "?", "key": f"q{n}"} for n in range(6)]
        rows += [{"id": f"c{n}", "candidate": "!", "context": "", "keys": [f"q{n}"]} for n in range(6)]
        found = part_rows(rows, source(number=2, split="test"), "test", "en")
        assert sum("query" in row for row in found) == 2 and sum("candidate" in row for row in found) == 6

    def test_of_fewer_test_examples_all_are_taken(self):
        rows = [{"id": f"{n}"} for n in range(5)]
        assert part_rows(rows, source(number=7, split="test"), "test", "en") == rows

    def test_a_sample_of_more_than_there_is_is_refused_with_the_number(self):
        with pytest.raises(UserError, match="a sample of 31 is larger than the train split in 'en', of 30") as caught:
            part_rows(questions(30), source(number=31), "train", "en")
        assert caught.value.fix == "sample: 30"

    def test_a_pilot_takes_what_there_is(self):
        assert len(part_rows(questions(30), source(PILOT, 31, split="test"), "test", "en")) == 30
        assert len(part_rows(questions(30), source(PILOT, 4, split="test"), "test", "en")) == 4

    def test_a_pilot_takes_whole_cases_and_numbers_them_anew(self):
        rows = [
            question
            | {"id": f"{test}-{number}-{place}", "case": {"test": test, "number": number, "of": 20, "faults": []}}
            for test in ("comp", "anim")
            for number in range(0, 20, 2)  # the others are cases without examples
            for place, question in enumerate(questions(3))
        ]
        chosen = part_rows(rows, source(PILOT, 20, split="test"), "test", "en")
        cases = {}
        for row in chosen:
            cases.setdefault((row["case"]["test"], row["case"]["number"]), []).append(row)
        assert len(chosen) == 18 and all(len(own) == 3 for own in cases.values())
        for test in {test for test, _ in cases}:
            numbers = sorted(number for own, number in cases if own == test)
            assert numbers == list(range(len(numbers)))
            assert {row["case"]["of"] for row in chosen if row["case"]["test"] == test} == {len(numbers)}
        assert ids(chosen) == [name for name in ids(rows) if name in ids(chosen)]
        assert len(part_rows(rows, source(PILOT, 1, split="test"), "test", "en")) == 3
        whole = part_rows(rows, source(PILOT, 100, split="test"), "test", "en")
        assert ids(whole) == ids(rows)

    def test_training_rows_keep_the_origin_that_translations_name(self):
        (row,) = part_rows(questions(1), source(number=1, whole="squad"), "train", "en")
        assert row["origin"] == "squad.en/0"
        (row,) = part_rows([{"id": "a", "text": "b", "origin": "x.en/1"}], source(number=1), "train", "en")
        assert row["origin"] == "x.en/1"


class TestHeldOutRows:
    @given(st.integers(1, 20), st.integers(1, 4))
    def test_no_text_is_on_both_sides(self, number, to_a_context):
        rows = questions(30, to_a_context)
        train, validation = (part_rows(rows, source(HELD, number), split, "en") for split in ("train", "validation"))
        assert len(validation) == number
        assert not {row["context"] for row in train} & {row["context"] for row in validation}
        assert 30 - number - to_a_context < len(train) <= 30 - number

    @pytest.mark.parametrize(
        ("row", "other"),
        [
            ({"tokens": ["a", "b"], "tags": ["X", "Y"]}, {"tokens": ["z"], "tags": ["X"]}),
            ({"text": "a", "pair": "b"}, {"text": "z", "pair": "b"}),
            ({"premise": "a", "question": "b"}, {"premise": "z", "question": "b"}),
            ({"candidate": "a", "context": "", "query": "b"}, {"candidate": "z", "context": "", "query": "b"}),
        ],
    )
    def test_rows_of_every_task_with_one_text_stay_together(self, row, other):
        rows = [{"id": str(n), **row} for n in range(4)] + [{"id": "x", **other}]
        train, validation = (part_rows(rows, source(HELD, 1), split, "en") for split in ("train", "validation"))
        assert (ids(train), len(validation)) in [(["x"], 1), (["0", "1", "2", "3"], 1)]

    def test_the_whole_test_split_stays(self):
        assert len(part_rows(questions(9), source(HELD, 2, split="test"), "test", "en")) == 9

    @pytest.mark.parametrize(("rows", "number"), [(9, 9), (9, 20), (2, 1)])
    def test_something_must_be_left_to_train_on(self, rows, number):
        with pytest.raises(UserError, match="leave nothing to train on"):
            part_rows(questions(rows), source(HELD, number), "train", "en")


RECORDS = {
    "toy": {
        "task": "text", "title": "Toy", "reader": "pairs", "licence": "none", "parallel": "id-without-prefix",
        "source": {"files": "{lang}.{split}.tsv"}, "languages": ["en", "es"], "splits": {"train": {}, "test": {}},
    },
    "toy_mt": {
        "task": "text", "title": "Toy, translated", "licence": "none", "languages": ["fr"],
        "splits": {"train": {"source": {"translate": "toy", "from": ["en"], "by": "words"}}},
    },
}  # fmt: skip


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A function that prepares a split of the toy data set or of a part, and what it derives from."""
    monkeypatch.chdir(tmp_path)
    for lang in ("en", "es"):
        for split in ("train", "test"):
            lines = (f"{split} {lang} sentence number {n} of many words\t{n}\n" for n in range(20))
            (tmp_path / f"{lang}.{split}.tsv").write_text("".join(lines))
    registry = load_registry(tmp_path, RECORDS)

    def run(name: str, split: str, lang: str) -> list[dict]:
        whole, part = split_part(name)
        if part:
            run(whole, "train" if split == "validation" else split, lang)
        out = tmp_path / f"data/{name}/{split}.{lang}.jsonl"
        prepare(registry[name], split, lang, {}, tmp_path / "data/raw", out)
        return read_jsonl(out)

    return run


class TestRecords:
    def test_a_part_is_prepared_from_the_rows_of_its_data_set(self, prepared, tmp_path):
        rows = prepared("toy~5d3", "train", "en")
        assert len(rows) == 5
        manifest = json.loads((tmp_path / "data/toy~5d3/train.en.json").read_text())
        assert (manifest["dataset"], manifest["rows"]) == ("toy~5d3", 5)
        assert [entry["file"] for entry in manifest["sources"]] == ["toy/train.en.jsonl"]

    def test_of_a_smaller_test_split_all_rows_are_prepared(self, prepared):
        assert len(prepared("toy~30", "test", "en")) == 20
        with pytest.raises(UserError, match="a sample of 30 is larger"):
            prepared("toy~30", "train", "en")

    def test_rows_of_a_sample_are_known_where_those_of_its_data_set_are(self, tmp_path):
        counted = {"test": {"rows": {"en": 20}}, "train": {"rows": {"en": 20, "es": 20}}}
        registry = load_registry(tmp_path, {"toy": RECORDS["toy"] | {"splits": counted}})
        assert registry["toy~30"].splits["test"].rows == {"en": 20}
        assert registry["toy~7"].splits["test"].rows == {"en": 7}
        assert registry["toy~7"].splits["train"].rows == {"en": 7, "es": 7}

    def test_a_sample_of_what_is_left_has_no_held_out_row(self, prepared):
        held = prepared("toy~held4", "validation", "en")
        left = prepared("toy~held4", "train", "en")
        sample = prepared("toy~held4~10d1", "train", "en")
        assert (len(held), len(left), len(sample)) == (4, 16, 10)
        assert set(ids(sample)) <= set(ids(left)) and not set(ids(left)) & set(ids(held))

    def test_a_translation_leaves_out_the_held_out_originals(self, prepared, tmp_path):
        originals = prepared("toy", "train", "en")
        translated = [{**row, "id": f"en-fr:{row['id']}", "origin": f"toy.en/{row['id']}"} for row in originals]
        folder = tmp_path / "data/toy_mt"
        folder.mkdir()
        (folder / "train.fr.jsonl").write_text("".join(json.dumps(row) + "\n" for row in translated))
        (folder / "train.fr.json").write_text(json.dumps({"sha256": "x"}))
        for lang in ("en", "es"):
            prepared("toy~held4", "train", lang)
        registry = load_registry(tmp_path, RECORDS)
        assert "validation" not in registry["toy_mt~held4"].splits
        out = tmp_path / "data/toy_mt~held4/train.fr.jsonl"
        prepare(registry["toy_mt~held4"], "train", "fr", {}, tmp_path / "data/raw", out)
        held = {f"toy.en/{row['id']}" for row in prepared("toy~held4", "validation", "en")}
        kept = {row["origin"] for row in read_jsonl(out)}
        assert len(kept) == 16 and not kept & held

    def test_unknown_data_sets_have_no_parts(self, tmp_path):
        registry = load_registry(tmp_path, RECORDS)
        assert "toy~5" in registry and "toy~held4~5d2" in registry and "toyy~5" not in registry
        with pytest.raises(UserError, match="unknown data set 'toyy~5'"):
            registry["toyy~5"]
        assert registry["toy~5"].base_dataset == "toy" and registry["toy~held4~5d2"].base_dataset == "toy"


class TestLeakage:
    def test_a_held_out_row_that_is_trained_on_is_a_leak(self, prepared, tmp_path):
        prepared("toy~held4", "validation", "en")
        prepared("toy~held4", "train", "en")
        group = {"train": ["toy~held4.en"], "evaluate": ["validation/toy~held4.en"], "stop": True}
        files = {
            "train/toy~held4.en": tmp_path / "data/toy~held4/train.en.jsonl",
            "train/toy.en": tmp_path / "data/toy/train.en.jsonl",
            "validation/toy~held4.en": tmp_path / "data/toy~held4/validation.en.jsonl",
        }
        whole = find_leakage(files, [{**group, "train": ["toy.en"]}], [])
        with pytest.raises(UserError, match="trains or selects on texts") as caught:
            refuse_leaks(whole, [])
        assert "allow_leakage: [toy.en > validation/toy.en]" in caught.value.fix

    def test_an_entry_for_a_data_set_covers_its_parts(self):
        assert covers("toy > xquad", "toy~held4~10d1.en", "xquad~200.hi")
        assert covers("toy.en > validation/toy.en", "toy.en", "validation/toy~held4.en")
        assert not covers("toy.es > xquad", "toy~10d1.en", "xquad~200.hi")
