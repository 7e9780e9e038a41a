"""Synthetic data: regular sound changes, exact answers, disjoint splits, reproducible files."""

import hashlib
import itertools
import json
import random
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.core.errors import UserError
from crosstune.data import readers
from crosstune.data.readers.pieces import DEFAULT_OPTIONS, ReaderOptions
from crosstune.data.record import key_of_example
from crosstune.data.registry import load_registry
from crosstune.data.synthetic import CHAII_LANGUAGES, LANGUAGES, TASK_LANGUAGES, generate_files, relatedness
from crosstune.data.synthetic.facts import RELATIONS, SPLIT_SHARES, Fact, FactBase
from crosstune.data.synthetic.languages import SCRIPTS, UPOS, evolve, make_lexicon, similarity, to_script
from crosstune.data.synthetic.texts import (
    Question,
    Realiser,
    fact_sentence,
    join_tokens,
    marked_answer,
    paragraph_sentences,
)

REGISTRY = Path(__file__).parents[2] / "registry"
RECORDS = load_registry(REGISTRY)
TINY = {
    "text_high": 12, "text_low": 6, "pairs_high": 8, "pairs_low": 4, "qa_train": 10, "qa_validation": 4, "qa_test": 5,
    "pos_train": 12, "pos_validation": 6, "pos_test": 30, "items_train": 9, "items_test": 8, "chaii_qhi": 12,
    "chaii_qta": 7,
}  # fmt: skip
LOVE, WORK = (next(r for r in RELATIONS if r.name == name) for name in ("love", "work"))
seeds = st.integers(0, 10_000)
codes = st.sampled_from(sorted(LANGUAGES))


@pytest.fixture(scope="module")
def tiny() -> dict[str, str]:
    """Few files of the default seed."""
    return generate_files(TINY)


@pytest.fixture(scope="module")
def more_items() -> dict[str, str]:
    """The same files with more items of the tasks in synthetic.items."""
    return generate_files({**TINY, "items_train": 60, "items_test": 40})


def base_of(seed: int) -> tuple[FactBase, random.Random]:
    return FactBase(make_lexicon(seed), seed), random.Random(seed)


# ------------------------------------------------------------------------------------------------------ languages


@settings(max_examples=20)
@given(seeds)
def test_inherited_words_follow_the_sound_changes(seed):
    lexicon = make_lexicon(seed)
    for code, language in LANGUAGES.items():
        for concept, etymon in lexicon.etyma[code].items():
            assert etymon.coiner in (language.family, language.genus, code)
            assert lexicon.words[code][concept] == evolve(etymon.form, language)
            if etymon.coiner == language.family:
                relatives = [other for other in LANGUAGES if LANGUAGES[other].family == language.family]
                inherited = [lexicon.etyma[other][concept] for other in relatives]
                assert all(e == etymon or e.coiner != language.family for e in inherited)


@given(st.text("ptkbdgmnlrswhaeiou", min_size=1, max_size=8), codes)
def test_sound_changes_are_deterministic(proto, code):
    assert evolve(proto, LANGUAGES[code]) == evolve(proto, LANGUAGES[code])


def test_sound_changes_give_known_words():
    assert [evolve("padir", LANGUAGES[code]) for code in ("qen", "qno", "qis")] == ["fadir", "padir", "patir"]
    assert [evolve("fadiro", LANGUAGES[code]) for code in ("qes", "qit", "qfr")] == ["haziro", "haziru", "fadiré"]
    assert [evolve("paseht", LANGUAGES[code]) for code in ("qhi", "qmr", "qbn")] == ["vaxehr", "vaxewt", "poceht"]
    assert [evolve("kiwopctu", LANGUAGES[code]) for code in ("qta", "qml", "qte")] == [
        "civopctu", "civopcdu", "kiwopsti",
    ]  # fmt: skip


@settings(max_examples=20)
@given(seeds)
def test_no_two_concepts_share_a_word(seed):
    lexicon = make_lexicon(seed)
    for words in lexicon.words.values():
        assert sorted(words) == sorted(UPOS)
        assert len(set(words.values())) == len(words)
        assert not {"a", "an", "the"} & set(words.values())
    assert len({*lexicon.people, *lexicon.places}) == len(lexicon.people) + len(lexicon.places)


@settings(max_examples=4)
@given(seeds)
def test_relatedness_is_symmetric_and_follows_the_families(seed):
    lexicon = make_lexicon(seed)
    for a, b in itertools.product(LANGUAGES, repeat=2):
        value = lexicon.relatedness(a, b)
        assert value == lexicon.relatedness(b, a)
        if a == b:
            assert value == 1
        elif LANGUAGES[a].family == LANGUAGES[b].family:
            assert 0.4 < value < 1
        else:
            assert value == 0


def test_a_genus_is_nearer_than_its_family():
    assert relatedness("qit", "qes") > relatedness("qit", "qfr")
    assert relatedness("qno", "qen") > relatedness("qno", "qis")
    assert relatedness("qen", "qno", 3) == make_lexicon(3).relatedness("qen", "qno")


def test_similarity_equals_that_by_hand():
    assert similarity("padir", "fadir") == pytest.approx(0.8)
    assert similarity("ab", "ab") == 1
    assert similarity("ab", "xyz") == 0


@pytest.mark.parametrize(("code", "block"), [
    ("qka", ("\u10d0", "\u10ff")),
    ("qbn", ("\u0561", "\u0586")),
    ("qhi", ("\u0430", "\u044f")),
    ("qta", ("\u03b1", "\u03f3")),
])  # fmt: skip
def test_a_script_is_a_bijection_unchanged_by_normal_forms_and_lower_case(code, block):
    letters = "abgdevzijklmnoprstufqxhcw" + ("" if code == "qka" else "y")
    written = to_script(letters, LANGUAGES[code])
    assert len(set(written)) == len(letters)
    assert all(block[0] <= letter <= block[1] and letter.isalpha() for letter in written)
    assert all(unicodedata.normalize(form, written) == written for form in ("NFC", "NFD", "NFKC", "NFKD"))
    assert written.lower() == written.casefold() == written


@settings(max_examples=10)
@given(seeds)
def test_every_word_can_be_written_in_its_script(seed):
    for code, words in make_lexicon(seed).words.items():
        if LANGUAGES[code].script in SCRIPTS:
            letters = {chr(letter) for letter in SCRIPTS[LANGUAGES[code].script]}
            assert set("".join(words.values())) <= letters, code


def test_the_registry_s_table_describes_the_same_languages(tiny):
    table = yaml.safe_load((REGISTRY / "languages-world.yaml").read_text(encoding="utf-8"))
    assert table == json.loads(tiny["world.json"])["languages"]


# ------------------------------------------------------------------------------------------------------ sentences


@settings(max_examples=50)
@given(seeds, codes, st.booleans(), st.integers(0, 3))
def test_the_answer_is_at_its_offset_and_names_the_fact(seed, code, for_person, index):
    base, rng = base_of(seed)
    lexicon = make_lexicon(seed)
    realiser = Realiser(code, lexicon)
    paragraph = base.paragraph("test", rng)
    fact = paragraph.facts[index]
    tokens = realiser.tokens(*paragraph_sentences(paragraph, Question(fact, for_person)))
    text, start = marked_answer(tokens)
    context = join_tokens(tokens)
    assert context == realiser.text(*paragraph_sentences(paragraph))
    assert context[start : start + len(text)] == text
    wanted = fact.person if for_person else fact.value
    stem = to_script(lexicon.words[code].get(wanted, wanted), LANGUAGES[code])
    assert stem.lower() in text.lower()
    assert len(text.split()) == (2 if fact.quality and not for_person else 1)


@settings(max_examples=30)
@given(seeds)
def test_a_question_has_one_answer(seed):
    base, rng = base_of(seed)
    facts = base.paragraph("test", rng).facts
    assert len({(fact.person, fact.relation) for fact in facts}) == 4
    assert len({(fact.relation, fact.value) for fact in facts}) == 4
    assert len({fact.relation for fact in facts}) == 3


@pytest.mark.parametrize(("code", "tags"), [
    ("qen", "PROPN VERB PROPN PUNCT"),
    ("qro", "PROPN PROPN VERB PUNCT"),
    ("qge", "VERB PROPN PROPN PUNCT"),
    ("qeu", "PROPN VERB PROPN PUNCT"),
    ("qhi", "PROPN PROPN VERB PUNCT"),
    ("qml", "PROPN PROPN VERB PUNCT"),
])  # fmt: skip
def test_tokens_follow_the_word_order_of_the_language(code, tags):
    fact = Fact("Bana", LOVE, "Miki")
    tokens = Realiser(code, make_lexicon(0)).sentence_tokens(fact_sentence(fact))
    assert " ".join(token.words[0].upos for token in tokens) == tags
    text = join_tokens(tokens)
    if LANGUAGES[code].script == "Latn":
        assert (text.index("Bana") < text.index("Miki")) == (code != "qeu")


def test_an_adposition_may_follow_its_noun():
    sentence = fact_sentence(Fact("Bana", LOVE, "Miki"), Fact("Bana", WORK, "baker", "old"))
    tags = " ".join(token.words[0].upos for token in Realiser("qmr", make_lexicon(0)).sentence_tokens(sentence))
    assert tags == "PROPN VERB PROPN CCONJ VERB ADJ NOUN ADP PUNCT"


def test_objects_may_come_first():
    tokens = Realiser("qml", make_lexicon(0)).sentence_tokens(fact_sentence(Fact("Bana", LOVE, "Miki")))
    assert [token.words[0].lemma for token in tokens][:2] == [
        to_script(name, LANGUAGES["qml"]) for name in ("Miki", "Bana")
    ]


def test_adposition_and_article_contract():
    realiser = Realiser("qfr", make_lexicon(0))
    fused = [
        token for token in realiser.sentence_tokens(fact_sentence(Fact("Bana", WORK, "baker"))) if len(token.words) == 2
    ]
    assert [[word.upos for word in token.words] for token in fused] == [["ADP", "DET"]]
    adposition, article = fused[0].words
    assert fused[0].form == adposition.form[:-1] + article.form


# --------------------------------------------------------------------------------------------------------- splits


@settings(max_examples=20)
@given(seeds)
def test_splits_share_no_fact(seed):
    base, rng = base_of(seed)
    triples = {}
    for split in SPLIT_SHARES:
        paragraphs = [base.paragraph(split, rng) for _ in range(50)]
        triples[split] = {fact.triple for paragraph in paragraphs for fact in paragraph.facts}
        triples[split] |= {base.scene(split, rng).triple for _ in range(50)}
    for a, b in itertools.combinations(triples, 2):
        assert not triples[a] & triples[b]


@settings(max_examples=20)
@given(seeds)
def test_every_split_has_a_share_of_every_relation(seed):
    base, _ = base_of(seed)
    for parts in base.values.values():
        assert all(parts[split] for split in SPLIT_SHARES)
        values = [value for part in parts.values() for value in part]
        assert len(values) == len(set(values))


# ---------------------------------------------------------------------------------------------------------- files


CHAII_CODES = {"qhi": "hiravi", "qta": "tamuli"}
ITEM_OPTIONS = ReaderOptions(
    lang="qen",
    languages=tuple(TASK_LANGUAGES),
    tags=("O", "B-PER", "B-LOC"),
    labels=("entailment", "contradiction", "neutral"),
)


def rows(files: dict[str, str], reader: str, *paths: str, options: ReaderOptions = DEFAULT_OPTIONS) -> list[dict]:
    return readers.read_rows(reader, [(path, files[path]) for path in paths], options)


def of_kind(files: dict[str, str], kind: str) -> list[str]:
    return [path for path in files if path.startswith(f"{kind}/")]


@settings(max_examples=8)
@given(seeds)
def test_every_file_is_read_by_the_reader_of_its_format(seed):
    files = generate_files({**TINY, "seed": seed})
    read = {"world.json"}
    for kind, reader in (("qa", "squad"), ("pos", "conllu"), ("text", "lines"), ("pairs", "pairs"), ("mlqa", "squad"),
                         ("tydiqa", "squad"), ("nli", "classified"), ("copa", "copa"), ("ner", "columns"),
                         ("lareqa", "lareqa"), ("mewslix", "mewslix")):  # fmt: skip
        for path in of_kind(files, kind):
            lang = path.split("/")[1].split(".")[0]
            options = replace(ITEM_OPTIONS, lang=lang if lang != "test" else "qen")
            assert rows(files, reader, path, options=options if reader != "conllu" else DEFAULT_OPTIONS), path
            read.add(path)
    for lang, code in CHAII_CODES.items():
        options = ReaderOptions(lang=lang, codes=CHAII_CODES)
        assert len(rows(files, "chaii", "chaii/train.csv", options=options)) == TINY[f"chaii_{lang}"], code
        read.add("chaii/train.csv")
    for lang in TASK_LANGUAGES:
        if lang != "qen":
            paths = [f"tatoeba/{lang}-qen.{side}" for side in (lang, "qen")]
            assert len(rows(files, "aligned", *paths)) == TINY["items_test"]
            read.update(paths)
        if LANGUAGES[lang].resource == "high":
            paths = [f"siqa/{lang}.train.jsonl", f"siqa/{lang}.train.lst"]
            assert len(rows(files, "siqa", *paths)) == TINY["items_train"]
            read.update(paths)
    assert read == set(files)


def test_inference_follows_from_the_facts(more_items):
    """Labels follow from the words of qen, where the object ends a clause and `muk` is the conjunction."""
    found = rows(more_items, "classified", "nli/qen.train.tsv", options=ITEM_OPTIONS)
    assert Counter(row["label"] for row in found) == {"entailment": 20, "contradiction": 20, "neutral": 20}
    conjunction = make_lexicon(0).words["qen"]["and"]
    for row in found:
        one, other = row["text"].removesuffix(".").split(f" {conjunction} ")
        clauses = [one.split(), [one.split()[0], *other.split()]]
        claim = row["pair"].removesuffix(".").split()
        same_verb = [clause for clause in clauses if clause[1] == claim[1]]
        assert bool(same_verb) == (row["label"] != "neutral"), row
        if same_verb:
            assert (same_verb[0][-1] == claim[-1]) == (row["label"] == "entailment"), row


def test_the_right_choice_stands_in_the_premise(more_items):
    found = rows(more_items, "copa", "copa/qen.train.jsonl")
    assert {row["label"] for row in found} == {0, 1}
    for row in found:
        premise = set(row["premise"].removesuffix(".").split())
        in_premise = [set(choice.removesuffix(".").split()) <= premise for choice in row["choices"]]
        assert [n for n, inside in enumerate(in_premise) if inside] == [row["label"]], row


def test_people_are_described_once_and_mentioned_by_name(more_items):
    found = [
        row
        for lang in TASK_LANGUAGES
        for row in rows(more_items, "mewslix", "mewslix/test.jsonl", options=replace(ITEM_OPTIONS, lang=lang))
    ]
    people = [row["id"] for row in found if "candidate" in row]
    assert len(people) == len(set(people)) == len(make_lexicon(0).people)
    mentions = [row for row in found if "query" in row]
    assert len(mentions) == 10 * 10
    assert {row["key"] for row in mentions} <= set(people)
    assert all("{ " in row["query"] and " }" in row["query"] for row in mentions)


# SHA-256 of the files that the test below selects.
GOLDEN = "8a34911a9bc2291110e4690be9eb96aac8cb1e08cd85b8bbdde994a0329c3388"


def test_files_of_the_task_languages_never_change(tiny):
    """Results depend on every byte. The digest is that of the data when these ten languages were the only ones."""
    paths = [
        path
        for path in sorted(tiny)
        if path not in ("world.json", "chaii/train.csv") and path.split("/")[1].split(".")[0] not in CHAII_LANGUAGES
    ]
    assert len(paths) == 149
    assert hashlib.sha256("".join(f"{path}\n{tiny[path]}" for path in paths).encode()).hexdigest() == GOLDEN


def test_no_record_mixes_task_languages_with_others():
    records = yaml.safe_load((REGISTRY / "world.yaml").read_text(encoding="utf-8"))
    registry = load_registry(REGISTRY)
    for name in records:
        languages = set(registry[name].languages)
        others = name.startswith("worldchaii") or name.endswith("_mucot")
        assert languages <= set(CHAII_LANGUAGES if others else TASK_LANGUAGES), name
    for name in ("worldqa", "worldpos", "worldtext"):
        assert records[name]["languages"] == list(TASK_LANGUAGES)
    assert records["worldpairs"]["languages"] == list(TASK_LANGUAGES)[1:]
    assert all(records[f"world{kind}_mucot"]["languages"] == list(CHAII_LANGUAGES) for kind in ("qa", "text", "pairs"))
    assert records["worldchaii"]["codes"] == CHAII_CODES
    assert list(CHAII_CODES.values()) == [LANGUAGES[code].name.lower() for code in CHAII_CODES]


def test_sizes_follow_the_spec(tiny):
    assert len(rows(tiny, "lines", "text/qen.txt")) == 12
    assert len(rows(tiny, "lines", "text/qeu.txt")) == 6
    assert len(rows(tiny, "pairs", "pairs/qes.tsv")) == 8
    assert len(rows(tiny, "squad", "qa/qfr.train.json")) == 10 * 4
    assert len(rows(generate_files({**TINY, "qa_questions": 2}), "squad", "qa/qeu.test.json")) == 5 * 2
    assert len(rows(tiny, "conllu", "pos/qka.test.conllu")) == 30


@settings(max_examples=5)
@given(seed=st.integers(1, 10_000))
def test_every_seed_gives_its_own_bytes(tiny, seed):
    files = generate_files({**TINY, "seed": seed})
    assert generate_files({**TINY, "seed": seed}) == files
    assert all(files[path] != tiny[path] for path in files), "the bytes of seed 0"


def test_bytes_do_not_depend_on_the_process(tiny, tmp_path):
    write = "write_files(json.loads(sys.argv[1]), sys.argv[2])"
    program = f"import json, sys; from crosstune.data.synthetic import write_files; {write}"
    environment = {"PYTHONHASHSEED": "123", "PYTHONPATH": str(Path(readers.__file__).parents[3])}
    arguments = [sys.executable, "-c", program, json.dumps(TINY), str(tmp_path)]
    subprocess.run(arguments, check=True, env=environment)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(tiny)
    for path, text in tiny.items():
        assert (tmp_path / path).read_bytes() == text.encode(), path


def test_test_sets_are_parallel(tiny):
    assert len({tuple(row["id"] for row in rows(tiny, "squad", f"qa/{code}.test.json")) for code in LANGUAGES}) == 1
    qes, qit = (rows(tiny, "squad", f"qa/{code}.test.json") for code in ("qes", "qit"))
    names = {*make_lexicon(0).people, *make_lexicon(0).places}
    for one, two in zip(qes, qit, strict=True):
        assert [word for word in one["context"].split() if word.strip(".") in names] == [
            word for word in two["context"].split() if word.strip(".") in names
        ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("worldqa", lambda row: len(row["answers"]["text"])),
        ("worldqa_mucot", lambda row: len(row["answers"]["text"])),
        ("worldmlqa", lambda row: len(row["answers"]["text"])),
        ("worldpos", lambda row: sorted({"PROPN", "NUM"} & set(row["tags"]))),
        ("worldnli", lambda row: row["label"]),
        ("worldcopa", lambda row: row["label"]),
        ("worldner", lambda row: sorted(tag for tag in row["tags"] if tag != "O")),
        ("worldtatoeba", lambda row: row["pair"]),
        ("worldlareqa", lambda row: row["key"]),
    ],
)
def test_records_say_what_translations_of_an_example_have_in_common(more_items, name, content):
    by_language = {lang: examples_by_key(more_items, name, lang) for lang in RECORDS[name].splits["test"].languages}
    first, *others = ({key: content(row) for key, row in found.items()} for found in by_language.values())
    assert others and all(other == first for other in others)


@pytest.mark.parametrize("name", ["worldtydiqa", "worldmewslix"])
def test_other_test_sets_have_different_examples(more_items, name):
    one, other = (examples_by_key(more_items, name, lang) for lang in ("qen", "qes"))
    assert one and other and not set(one) & set(other)


def examples_by_key(files: dict[str, str], name: str, lang: str) -> dict[str, dict]:
    """The test examples of a data set by what their translations have in common."""
    record = RECORDS[name]
    options = replace(ITEM_OPTIONS, lang=lang, tags=record.tags or DEFAULT_OPTIONS.tags)
    found = rows(files, record.reader, *record.file_names(lang, "test"), options=options)
    examples = [row for row in found if "candidate" not in row or "query" in row]
    return {key_of_example(record.parallel, row["id"], place): row for place, row in enumerate(examples)}


def test_no_test_paragraph_is_in_training_or_text(tiny):
    for code in LANGUAGES:
        held_out = {row["context"] for row in rows(tiny, "squad", f"qa/{code}.test.json")}
        seen = "".join(tiny[path] for path in tiny if not path.startswith(("qa/" + code + ".test", "world")))
        assert not any(json.dumps(context, ensure_ascii=False)[1:-1] in seen for context in held_out)


@pytest.fixture(scope="module")
def chaii() -> dict[str, list[dict]]:
    files = generate_files({**TINY, "chaii_qhi": 746, "chaii_qta": 368})
    return {
        lang: rows(files, "chaii", "chaii/train.csv", options=ReaderOptions(lang=lang, codes=CHAII_CODES))
        for lang in CHAII_CODES
    }


def test_a_context_of_chaii_is_shared_by_questions(chaii):
    assert {lang: len(found) for lang, found in chaii.items()} == {"qhi": 746, "qta": 368}
    for found in chaii.values():
        shared = Counter(row["context"] for row in found)
        assert set(shared.values()) == {1, 2, 3} and len(shared) < 0.6 * len(found)
        assert {context.count(".") for context in shared} == {2, 4}, "one or two paragraphs of two sentences"
        assert len({(row["context"], row["question"]) for row in found}) == len(found)
    ids = [row["id"] for found in chaii.values() for row in found]
    assert all(re.fullmatch("[0-9a-f]{9}", name) for name in ids) and len(set(ids)) == len(ids)


def test_paragraphs_of_a_document_share_no_person_and_no_value():
    base, rng = base_of(0)
    for size in (2, 3):
        for _ in range(50):
            document = base.document("train", rng, size)
            mentioned = [{x for fact in paragraph.facts for x in (fact.person, fact.value)} for paragraph in document]
            assert len(document) == size
            assert sum(map(len, mentioned)) == len(set().union(*mentioned))


def test_chaii_holds_facts_of_the_training_split_only(chaii):
    """In qta every fact is a name and its object before a verb, whatever follows in the sentence."""
    base, lexicon = FactBase(make_lexicon(0), 0), make_lexicon(0)
    realiser = Realiser("qta", lexicon)
    split_of = {
        realiser.text(fact_sentence(Fact(person, LOVE, value))): split
        for person in base.people
        for split, values in base.values[person, "love"].items()
        for value in values
    }
    lines = {line for row in chaii["qta"] for line in row["context"].split("\n")}
    verb = to_script(lexicon.words["qta"]["love"], LANGUAGES["qta"])
    found = []
    for line in lines:
        for sentence in line.split(". "):
            subject, *_ = sentence.split()
            found += [f"{subject} {loved} {verb}." for loved in re.findall(rf"(\w+) {verb}\b", sentence)]
    assert len(found) > 50 and {split_of[clause] for clause in found} == {"train"}


def test_more_questions_in_one_language_do_not_change_the_other(tiny):
    few, more = (files["chaii/train.csv"] for files in (tiny, generate_files({**TINY, "chaii_qhi": 20})))
    texts = [
        sorted(row["context"] + row["question"] for row in
               rows({"f": text}, "chaii", "f", options=ReaderOptions(lang="qta", codes=CHAII_CODES)))
        for text in (few, more)
    ]  # fmt: skip
    assert texts[0] == texts[1]


def test_one_language_has_multiword_tokens(tiny):
    assert any(line.split("\t")[0].count("-") for line in tiny["pos/qfr.test.conllu"].splitlines() if "-" in line[:4])
    for row in rows(tiny, "conllu", "pos/qfr.test.conllu"):
        assert len(row["tokens"]) == len(row["tags"])


@pytest.mark.parametrize(("spec", "words"), [
    ({"sed": 1}, "unknown key 'sed'"),
    ([1], "keys with values"),
    ({"seed": "1"}, "whole number"),
    ({"qa_test": -1}, "whole number"),
    ({"qa_test": True}, "whole number"),
    ({"chaii_qta": "368"}, "whole number"),
    ({"qa_questions": 5}, "4 facts"),
    ({"qa_questions": 0}, "4 facts"),
])  # fmt: skip
def test_a_bad_spec_is_a_user_error(spec, words):
    with pytest.raises(UserError, match=words):
        generate_files(spec)
