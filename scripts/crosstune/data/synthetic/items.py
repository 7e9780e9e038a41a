"""The constructed world in the formats of the other tasks of XTREME-R, beside questions and tagged sentences.

Owns: what makes an item of inference, choice, names, translation, retrieval, and its file format. Must never know:
grammar, which languages and splits there are.

    nli       XNLI's TSV: what a premise of two facts entails, contradicts, or leaves open
    copa      COPA's JSON lines: which of two statements the premise tells
    siqa      SocialIQa's JSON lines and labels: a question to two facts, with three answers
    ner       tokens with names of people and places, as WikiANN has them
    tatoeba   sentences line by line, to be found again in another language
    lareqa    XQuAD-R: SQuAD's JSON with sentence_breaks
    mewslix   Mewsli-X's JSON lines: people mentioned in sentences, and descriptions of them
"""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from crosstune.data.synthetic.facts import RELATIONS, Fact, FactBase
from crosstune.data.synthetic.languages import LANGUAGES, to_script
from crosstune.data.synthetic.texts import Question, Realiser, fact_sentence, marked_answer, paragraph_sentences

LABELS = ("entailment", "contradiction", "neutral")


def two_facts(base: FactBase, split: str, rng: random.Random) -> tuple[Fact, Fact]:
    """Two facts about one person."""
    return base.paragraph(split, rng).facts[:2]


def other_value(base: FactBase, split: str, fact: Fact, rng: random.Random) -> Fact | None:
    """The fact with another value, of the same split, so that no split tells another's facts; None if there is none."""
    values = [value for value in base.values[fact.person, fact.relation.name][split] if value != fact.value]
    return replace(fact, value=rng.choice(values)) if values else None


def other_relation(base: FactBase, split: str, facts: Sequence[Fact], rng: random.Random) -> Fact | None:
    """A fact about the same person that is none of `facts`, of another relation; None if the split has none."""
    told = {fact.relation for fact in facts}
    relation = rng.choice([relation for relation in RELATIONS if relation not in told])
    values = base.values[facts[0].person, relation.name][split]
    return Fact(facts[0].person, relation, rng.choice(values)) if values else None


def nli(base: FactBase, split: str, realiser: Realiser, rng: random.Random, count: int) -> str:
    """Lines of premise, hypothesis, label; as many of each label."""
    lines: list[str] = []
    while len(lines) < count:
        label = LABELS[len(lines) % len(LABELS)]
        facts = two_facts(base, split, rng)
        fact = rng.choice(facts)
        hypothesis = {
            "entailment": fact,
            "contradiction": other_value(base, split, fact, rng),
            "neutral": other_relation(base, split, facts, rng),
        }[label]
        if hypothesis:
            lines.append(
                f"{realiser.text(fact_sentence(*facts))}\t{realiser.text(fact_sentence(hypothesis))}\t{label}\n"
            )
    return "".join(lines)


def copa(base: FactBase, split: str, realiser: Realiser, rng: random.Random, count: int) -> str:
    """The right choice tells a fact of the premise; the wrong one has another value, or is of another relation."""
    lines: list[str] = []
    while len(lines) < count:
        facts = two_facts(base, split, rng)
        right = rng.choice(facts)
        asked = rng.choice(["cause", "effect"])
        wrong = other_value(base, split, right, rng) if asked == "effect" else other_relation(base, split, facts, rng)
        if wrong:
            label = rng.randrange(2)
            choices = [right, wrong] if label == 0 else [wrong, right]
            one, other = (realiser.text(fact_sentence(choice)) for choice in choices)
            record = {
                "premise": realiser.text(fact_sentence(*facts)),
                "choice1": one,
                "choice2": other,
                "question": asked,
            }
            lines.append(_line({**record, "label": label, "idx": len(lines)}))
    return "".join(lines)


def siqa(base: FactBase, split: str, realiser: Realiser, rng: random.Random, count: int) -> tuple[str, str]:
    """Questions to a paragraph of facts with the values of three of them as answers, and the labels from 1."""
    lines, labels = [], []
    for _ in range(count):
        paragraph = base.paragraph(split, rng)
        told = rng.sample(paragraph.facts, 3)
        answers = [
            marked_answer(realiser.tokens(*paragraph_sentences(paragraph, Question(fact, False))))[0] for fact in told
        ]
        right = rng.randrange(3)
        record = {"context": realiser.text(*paragraph_sentences(paragraph))}
        record["question"] = realiser.text(Question(told[right], False).sentence)
        lines.append(_line(record | dict(zip(("answerA", "answerB", "answerC"), answers, strict=True))))
        labels.append(f"{right + 1}\n")
    return "".join(lines), "".join(labels)


def ner(base: FactBase, split: str, realiser: Realiser, rng: random.Random, count: int) -> str:
    """Tokens and tags in columns."""
    places = {to_script(place, realiser.language) for place in base.places}
    blocks = []
    for _ in range(count):
        rows = []
        for token in realiser.sentence_tokens(fact_sentence(*two_facts(base, split, rng))):
            word = token.words[-1]
            tag = ("B-LOC" if word.lemma in places else "B-PER") if word.upos == "PROPN" else "O"
            rows.append(f"{token.form}\t{tag}\n")
        blocks.append("".join(rows))
    return "\n".join(blocks)


def sentences(base: FactBase, split: str, rng: random.Random, count: int) -> list[tuple[Fact, Fact]]:
    """Pairs of facts for sentences to translate, none twice."""
    return list({two_facts(base, split, rng): None for _ in range(4 * count)})[:count]


def lareqa(paragraphs: dict) -> str:
    """SQuAD's JSON of paragraphs (as a mapping) with the bounds of their sentences."""
    for article in paragraphs["data"]:
        for paragraph in article["paragraphs"]:
            bounds, start = [], 0
            for sentence in _split(paragraph["context"]):
                bounds.append([start, start + len(sentence)])
                start += len(sentence) + 1
            paragraph["sentence_breaks"] = bounds
    return json.dumps(paragraphs, ensure_ascii=False, sort_keys=True) + "\n"


def mentions(base: FactBase, split: str, realiser: Realiser, rng: random.Random, count: int) -> Iterable[dict]:
    """Contexts of Mewsli-X with one mention each: a person in a sentence of two facts."""
    code = next(code for code, language in LANGUAGES.items() if language is realiser.language)
    for number in range(count):
        facts = two_facts(base, split, rng)
        text, form = realiser.text(fact_sentence(*facts)), to_script(facts[0].person, realiser.language)
        start = text.index(form)
        span = {"start": start, "end": start + len(form), "text": form}
        yield {
            "context": {"language": code, "text": text, "sentence_spans": [{"start": 0, "end": len(text)}]},
            "mention": {
                "example_id": f"{split}-{code}-{number}", "entity_id": facts[0].person, "mention_span": span,
            },
        }  # fmt: skip


def entity(base: FactBase, person: str, realiser: Realiser, rng: random.Random) -> dict:
    """The entity of a person, described by two facts of the unlabelled text."""
    code = next(code for code, language in LANGUAGES.items() if language is realiser.language)
    facts: list[Fact] = []
    for relation in rng.sample(RELATIONS, len(RELATIONS)):
        values = base.values[person, relation.name]["text"]
        if values and len(facts) < 2:
            facts.append(Fact(person, relation, rng.choice(values)))
    description = realiser.text(fact_sentence(*facts))
    span = {"start": 0, "end": len(description)}
    name = {"entity_id": person, "title": to_script(person, realiser.language)}
    return {**name, "description": description, "description_language": code, "sentence_spans": [span]}


def mewslix_pairs(base: FactBase, split: str, realiser: Realiser, rng: random.Random, count: int) -> str:
    """Pairs to train on, the description in the mention's language."""
    found = mentions(base, split, realiser, rng, count)
    return "".join(
        _line({"contextual_mention": m, "entity": entity(base, m["mention"]["entity_id"], realiser, rng)})
        for m in found
    )


def mewslix_test(base: FactBase, split: str, realisers: Sequence[Realiser], rng: random.Random, count: int) -> str:
    """Mentions in every language, and all people, each described in one language."""
    found = [mention for realiser in realisers for mention in mentions(base, split, realiser, rng, count)]
    lines = [_line({"context": m["context"], "mentions": [m["mention"]]}) for m in found]
    people = (entity(base, person, realisers[n % len(realisers)], rng) for n, person in enumerate(base.people))
    return "".join([*lines, *map(_line, people)])


def _split(context: str) -> list[str]:
    """The sentences of a context; a full stop ends each."""
    return [f"{part}." for part in context.removesuffix(".").split(". ")]


def _line(record: dict) -> str:
    return json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n"
