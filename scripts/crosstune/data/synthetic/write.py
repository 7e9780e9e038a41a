"""The files of the synthetic data: unlabelled text, parallel text, question answering, tagged sentences.

qa/{lang}.{split}.json      SQuAD v1.1; validation and test sets are parallel across languages
text/{lang}.txt             one paragraph per line
pairs/{lang}.tsv            a line in the language, a tab, its translation into qen
pos/{lang}.{split}.conllu   CoNLL-U
chaii/train.csv             ChAII's CSV: questions in two languages about longer contexts, not parallel
nli, copa, siqa, ner, tatoeba, lareqa, mewslix, mlqa, tydiqa: see crosstune.data.synthetic.items
world.json                  the spec, the languages and their relatedness
"""

import csv
import io
import itertools
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import write_text
from crosstune.data.synthetic import items
from crosstune.data.synthetic.facts import Fact, FactBase, Paragraph
from crosstune.data.synthetic.languages import LANGUAGES, TASK_LANGUAGES, Lexicon, make_lexicon
from crosstune.data.synthetic.texts import (
    Question,
    Realiser,
    Sentence,
    Token,
    fact_sentence,
    join_tokens,
    marked_answer,
    paragraph_sentences,
    scene_sentence,
)

# Raise it when the files of a spec change: all synthetic files are then written again.
SYNTHETIC_VERSION = 2

PIVOT = "qen"

DEFAULT_SPEC: Mapping[str, int] = {
    "seed": 0,
    "text_high": 4000,
    "text_low": 500,
    "pairs_high": 4000,
    "pairs_low": 300,
    "qa_train": 1600,
    "qa_validation": 50,
    "qa_test": 100,
    "qa_questions": 4,
    "pos_train": 600,
    "pos_validation": 100,
    "pos_test": 200,
    "items_train": 300,
    "items_test": 40,
    "chaii_qhi": 746,
    "chaii_qta": 368,
}

CHAII_COLUMNS = ("id", "context", "question", "answer_text", "answer_start", "language")

CHAII_QUESTION_LANGUAGES = ("qhi", "qta")


def complete_spec(spec: Mapping[str, int]) -> dict[str, int]:
    """The spec with defaults filled in. Raises UserError for unknown keys and for values that are no counts."""
    if not isinstance(spec, Mapping):
        raise UserError(f"expected keys with values, found {spec!r}", "synthetic", "Write it like {seed: 0}.")
    for key, value in spec.items():
        if key not in DEFAULT_SPEC:
            raise UserError(f"unknown key {key!r}", "synthetic", f"Known keys: {', '.join(sorted(DEFAULT_SPEC))}.")
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise UserError(f"not a whole number of at least 0: {value!r}", f"synthetic.{key}")
    if not 1 <= spec.get("qa_questions", 1) <= 4:
        raise UserError("a paragraph has 4 facts to ask for", "synthetic.qa_questions", "Give a number from 1 to 4.")
    return {**DEFAULT_SPEC, **spec}


def generate_files(spec: Mapping[str, int]) -> dict[str, str]:
    """All files of a spec: relative path -> text. Equal specs give equal bytes.

    Keys of the spec: `seed`; for each high- and low-resource language, lines of unlabelled text (`text_high`,
    `text_low`) and of parallel text with qen (`pairs_*`); paragraphs (`qa_train`, `qa_validation`, `qa_test`) and
    `qa_questions` for each of them; sentences (`pos_*`); items of every other task (`items_*`); questions of ChAII's
    file (`chaii_*`). Low-resource languages have no labelled training sets. CHAII_LANGUAGES have only unlabelled and
    parallel text and a test set of questions.
    Raises UserError (see complete_spec).
    """
    return dict(sorted(_files(complete_spec(spec))))


def write_files(spec: Mapping[str, int], out: Path | str) -> None:
    """Write the files of `generate_files(spec)` into the folder `out`."""
    for path, text in generate_files(spec).items():
        write_text(Path(out) / path, text)


def _files(spec: dict[str, int]) -> Iterator[tuple[str, str]]:
    seed = spec["seed"]
    lexicon = make_lexicon(seed)
    base = FactBase(lexicon, seed)
    realisers = {code: Realiser(code, lexicon) for code in LANGUAGES}
    yield "world.json", _as_json(_description(spec, lexicon))
    for code, realiser in realisers.items():
        resource = LANGUAGES[code].resource
        documents = _documents(base, random.Random(f"{seed}/text/{code}"), spec[f"text_{resource}"])
        yield f"text/{code}.txt", "".join(f"{realiser.text(*document)}\n" for document in documents)
        if code != PIVOT:
            documents = _documents(base, random.Random(f"{seed}/pairs/{code}"), spec[f"pairs_{resource}"])
            lines = (f"{realiser.text(*document)}\t{realisers[PIVOT].text(*document)}\n" for document in documents)
            yield f"pairs/{code}.tsv", "".join(lines)
        for split in ("train", "validation", "test") if resource == "high" else ("test",):
            # Validation and test sets share a stream, so that they are parallel across languages.
            stream = f"{split}.{code}" if split == "train" else split
            rng = random.Random(f"{seed}/qa/{stream}")
            paragraphs = [base.paragraph(split, rng) for _ in range(spec[f"qa_{split}"])]
            yield f"qa/{code}.{split}.json", _squad(stream, paragraphs, spec["qa_questions"], realiser, rng)
            if code in TASK_LANGUAGES:
                rng = random.Random(f"{seed}/pos/{stream}")
                sentences = _tagged_sentences(base, split, rng, spec[f"pos_{split}"])
                yield f"pos/{code}.{split}.conllu", _conllu(stream, sentences, realiser)
    yield from _item_files(spec, base, {code: realisers[code] for code in TASK_LANGUAGES})
    yield "chaii/train.csv", _chaii(spec, base, {code: realisers[code] for code in CHAII_QUESTION_LANGUAGES})


def _item_files(spec: dict[str, int], base: FactBase, realisers: Mapping[str, Realiser]) -> Iterator[tuple[str, str]]:
    """Files of the tasks in `items`. Test sets are parallel, except those of tydiqa and mewslix."""
    for code, realiser in realisers.items():
        for split in ("train", "test") if LANGUAGES[code].resource == "high" else ("test",):
            count = spec[f"items_{split}"]
            stream = f"{split}.{code}" if split == "train" else split

            def rng(kind: str, stream: str = stream) -> random.Random:
                return random.Random(f"{spec['seed']}/{kind}/{stream}")

            yield f"nli/{code}.{split}.tsv", items.nli(base, split, realiser, rng("nli"), count)
            yield f"copa/{code}.{split}.jsonl", items.copa(base, split, realiser, rng("copa"), count)
            yield f"ner/{code}.{split}.tsv", items.ner(base, split, realiser, rng("ner"), count)
            if split == "train":
                questions, labels = items.siqa(base, split, realiser, rng("siqa"), count)
                yield f"siqa/{code}.{split}.jsonl", questions
                yield f"siqa/{code}.{split}.lst", labels
                pairs = items.mewslix_pairs(base, split, realiser, rng("mewslix"), count)
                yield f"mewslix/{code}.{split}.jsonl", pairs
                continue
            pairs = items.sentences(base, split, rng("tatoeba"), count)
            if code != PIVOT:
                for side in (code, PIVOT):
                    lines = "".join(f"{realisers[side].fact_text(*facts)}\n" for facts in pairs)
                    yield f"tatoeba/{code}-{PIVOT}.{side}", lines
            for kind, name in (("lareqa", stream), ("mlqa", stream), ("tydiqa", f"{stream}.{code}")):
                draw = rng(kind, name)
                paragraphs = [base.paragraph(split, draw) for _ in range(count // 2)]
                text = _squad(f"{kind}-{name}", paragraphs, 2, realiser, draw)
                yield f"{kind}/{code}.{split}.json", items.lareqa(json.loads(text)) if kind == "lareqa" else text
    draw = random.Random(f"{spec['seed']}/tydiqa/train")
    paragraphs = [base.paragraph("train", draw) for _ in range(spec["items_train"] // 2)]
    yield f"tydiqa/{PIVOT}.train.json", _squad("tydiqa-train", paragraphs, 2, realisers[PIVOT], draw)
    draw = random.Random(f"{spec['seed']}/mewslix/test")
    people = items.mewslix_test(base, "test", list(realisers.values()), draw, spec["items_test"] // 4)
    yield "mewslix/test.jsonl", people


def _documents(base: FactBase, rng: random.Random, count: int) -> Iterator[tuple[Sentence, ...]]:
    """Paragraphs of the text split, each with a coda: a question and its answer, a repeated fact, or a scene."""
    for _ in range(count):
        paragraph = base.paragraph("text", rng)
        fact = rng.choice(paragraph.facts)
        kind = rng.random()
        if kind < 0.5:
            coda = (_question(fact, rng).sentence, fact_sentence(fact))
        elif kind < 0.75:
            coda = (fact_sentence(fact),)
        else:
            coda = (scene_sentence(base.scene("text", rng)),)
        yield (*paragraph_sentences(paragraph), *coda)


def _question(fact: Fact, rng: random.Random) -> Question:
    return Question(fact, for_person=rng.random() < 0.2)


def _squad(stream: str, paragraphs: list[Paragraph], questions: int, realiser: Realiser, rng: random.Random) -> str:
    """SQuAD v1.1's JSON of paragraphs, with `questions` questions about the four facts of each."""
    rows = []
    for number, paragraph in enumerate(paragraphs):
        qas = []
        for index in sorted(rng.sample(range(4), questions)):
            question = _question(paragraph.facts[index], rng)
            text, start = marked_answer(realiser.tokens(*paragraph_sentences(paragraph, question)))
            answers = [{"text": text, "answer_start": start}]
            identifier = f"{stream}-{number:05d}-{index}"
            qas.append({"id": identifier, "question": realiser.text(question.sentence), "answers": answers})
        rows.append({"context": realiser.text(*paragraph_sentences(paragraph)), "qas": qas})
    return _as_json({"version": "1.1", "data": [{"title": realiser.language.name, "paragraphs": rows}]})


def _chaii(spec: dict[str, int], base: FactBase, realisers: Mapping[str, Realiser]) -> str:
    """ChAII's train.csv: the questions of all languages in random order, with ids like ChAII's."""
    rows = []
    for code, realiser in realisers.items():
        questions = _questions(base, realiser, random.Random(f"{spec['seed']}/chaii/{code}"))
        rows += [(*row, realiser.language.name.lower()) for row in itertools.islice(questions, spec[f"chaii_{code}"])]
    rng = random.Random(f"{spec['seed']}/chaii")
    rng.shuffle(rows)
    names = [f"{name:09x}" for name in rng.sample(range(16**9), len(rows))]
    file = io.StringIO(newline="")
    table = csv.writer(file, lineterminator="\n")
    table.writerow(CHAII_COLUMNS)
    table.writerows((name, *row) for name, row in zip(names, rows, strict=True))
    return file.getvalue()


def _questions(base: FactBase, realiser: Realiser, rng: random.Random) -> Iterator[tuple[str, str, str, int]]:
    """(context, question, answer, offset of the answer) without end, one to three questions about each context.

    A context is one or two paragraphs on one line.
    """
    while True:
        document = base.document("train", rng, rng.choice((1, 2)))
        parts = [realiser.text(*paragraph_sentences(paragraph)) for paragraph in document]
        facts = [(number, fact) for number, paragraph in enumerate(document) for fact in paragraph.facts]
        for number, fact in rng.sample(facts, rng.randint(1, 3)):
            question = _question(fact, rng)
            answer, start = marked_answer(realiser.tokens(*paragraph_sentences(document[number], question)))
            before = sum(len(part) + 1 for part in parts[:number])
            yield " ".join(parts), realiser.text(question.sentence), answer, before + start


def _tagged_sentences(base: FactBase, split: str, rng: random.Random, count: int) -> Iterator[Sentence]:
    """Sentences of the split, half of them scenes and half facts."""
    for _ in range(count):
        if rng.random() < 0.5:
            yield scene_sentence(base.scene(split, rng))
        else:
            yield rng.choice(paragraph_sentences(base.paragraph(split, rng)))


def _conllu(stream: str, sentences: Iterator[Sentence], realiser: Realiser) -> str:
    """CoNLL-U with forms, lemmas and universal parts of speech; all other columns are "_"."""
    blocks = []
    for number, sentence in enumerate(sentences):
        tokens = realiser.sentence_tokens(sentence)
        blocks.append(f"# sent_id = {stream}-{number:05d}\n# text = {join_tokens(tokens)}\n{_conllu_lines(tokens)}\n")
    return "".join(blocks)


def _conllu_lines(tokens: list[Token]) -> str:
    lines, count = [], 0
    for token in tokens:
        if len(token.words) > 1:
            lines.append(f"{count + 1}-{count + len(token.words)}\t{token.form}" + "\t_" * 8)
        for word in token.words:
            count += 1
            lines.append(f"{count}\t{word.form}\t{word.lemma}\t{word.upos}" + "\t_" * 6)
    return "".join(f"{line}\n" for line in lines)


def _description(spec: dict[str, int], lexicon: Lexicon) -> dict:
    languages = {
        code: {
            "name": language.name,
            "family": language.family,
            "genus": language.genus,
            "script": language.script,
            "resource": language.resource,
            "word_order": language.order,
        }
        for code, language in LANGUAGES.items()
    }
    relatedness = {a: {b: round(lexicon.relatedness(a, b), 4) for b in LANGUAGES} for a in LANGUAGES}
    return {"spec": spec, "languages": languages, "relatedness": relatedness}


def _as_json(value: dict) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True) + "\n"
