"""Synthetic items for the tasks of XTREME-R other than question answering and part-of-speech tags.

nli       XNLI's TSV: the premise of two facts entails, contradicts, or leaves open a hypothesis
copa      COPA's JSON lines: the premise states one of two choices
siqa      SocialIQa's JSON lines and labels: a question about a paragraph, with three answers
ner       tokens with names of people and places, in WikiANN's format
tatoeba   sentences per line, to be retrieved in another language
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
    """The fact with another value of the same split; None if the split has none."""
    values = [value for value in base.values[fact.person, fact.relation.name][split] if value != fact.value]
    return replace(fact, value=rng.choice(values)) if values else None


def other_relation(base: FactBase, split: str, facts: Sequence[Fact], rng: random.Random) -> Fact | None:
    """A fact about the same person with a relation that `facts` lack; None if the split has none."""
    used = {fact.relation for fact in facts}
    relation = rng.choice([relation for relation in RELATIONS if relation not in used])
    values = base.values[facts[0].person, relation.name][split]
    return Fact(facts[0].person, relation, rng.choice(values)) if values else None


def nli(base: FactBase, split: str, realiser: Realiser, rng: random.Random, count: int) -> str:
    """Lines of premise, hypothesis, label; all labels are equally frequent."""
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
            lines.append(f"{realiser.fact_text(*facts)}\t{realiser.fact_text(hypothesis)}\t{label}\n")
    return "".join(lines)


def copa(base: FactBase, split: str, realiser: Realiser, rng: random.Random, count: int) -> str:
    """The right choice is a fact of the premise; the wrong one has another value or another relation."""
    lines: list[str] = []
    while len(lines) < count:
        facts = two_facts(base, split, rng)
        right = rng.choice(facts)
        kind = rng.choice(["cause", "effect"])
        wrong = other_value(base, split, right, rng) if kind == "effect" else other_relation(base, split, facts, rng)
        if wrong:
            label = rng.randrange(2)
            choices = [right, wrong] if label == 0 else [wrong, right]
            one, other = (realiser.fact_text(choice) for choice in choices)
            record = {"premise": realiser.fact_text(*facts), "choice1": one, "choice2": other, "question": kind}
            lines.append(_line({**record, "label": label, "idx": len(lines)}))
    return "".join(lines)


def siqa(base: FactBase, split: str, realiser: Realiser, rng: random.Random, count: int) -> tuple[str, str]:
    """(questions, labels from 1): questions about a paragraph, with the values of three of its facts as answers."""
    lines, labels = [], []
    for _ in range(count):
        paragraph = base.paragraph(split, rng)
        facts = rng.sample(paragraph.facts, 3)
        answers = [
            marked_answer(realiser.tokens(*paragraph_sentences(paragraph, Question(fact, False))))[0] for fact in facts
        ]
        right = rng.randrange(3)
        record = {"context": realiser.text(*paragraph_sentences(paragraph))}
        record["question"] = realiser.text(Question(facts[right], False).sentence)
        lines.append(_line(record | dict(zip(("answerA", "answerB", "answerC"), answers, strict=True))))
        labels.append(f"{right + 1}\n")
    return "".join(lines), "".join(labels)


def ner(base: FactBase, split: str, realiser: Realiser, rng: random.Random, count: int) -> str:
    """Tokens and tags of sentences, in columns."""
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
    """Distinct pairs of facts, for sentences to translate."""
    return list({two_facts(base, split, rng): None for _ in range(4 * count)})[:count]


def lareqa(paragraphs: dict) -> str:
    """SQuAD's JSON of paragraphs (a mapping) with the bounds of their sentences."""
    for article in paragraphs["data"]:
        for paragraph in article["paragraphs"]:
            bounds, start = [], 0
            for sentence in _split(paragraph["context"]):
                bounds.append([start, start + len(sentence)])
                start += len(sentence) + 1
            paragraph["sentence_breaks"] = bounds
    return json.dumps(paragraphs, ensure_ascii=False, sort_keys=True) + "\n"


def mentions(base: FactBase, split: str, realiser: Realiser, rng: random.Random, count: int) -> Iterable[dict]:
    """Contexts of Mewsli-X, each with one mention of a person in a sentence of two facts."""
    code = next(code for code, language in LANGUAGES.items() if language is realiser.language)
    for number in range(count):
        facts = two_facts(base, split, rng)
        text, form = realiser.fact_text(*facts), to_script(facts[0].person, realiser.language)
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
    description = realiser.fact_text(*facts)
    span = {"start": 0, "end": len(description)}
    name = {"entity_id": person, "title": to_script(person, realiser.language)}
    return {**name, "description": description, "description_language": code, "sentence_spans": [span]}


def mewslix_pairs(base: FactBase, split: str, realiser: Realiser, rng: random.Random, count: int) -> str:
    """Training pairs of a mention and its entity, described in the mention's language."""
    found = mentions(base, split, realiser, rng, count)
    return "".join(
        _line({"contextual_mention": m, "entity": entity(base, m["mention"]["entity_id"], realiser, rng)})
        for m in found
    )


def mewslix_test(base: FactBase, split: str, realisers: Sequence[Realiser], rng: random.Random, count: int) -> str:
    """Mentions in every language, and the entities of all people, each described in one language."""
    found = [mention for realiser in realisers for mention in mentions(base, split, realiser, rng, count)]
    lines = [_line({"context": m["context"], "mentions": [m["mention"]]}) for m in found]
    people = (entity(base, person, realisers[n % len(realisers)], rng) for n, person in enumerate(base.people))
    return "".join([*lines, *map(_line, people)])


def _split(context: str) -> list[str]:
    """The sentences of a context; a full stop ends each."""
    return [f"{part}." for part in context.removesuffix(".").split(". ")]


def _line(record: dict) -> str:
    return json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n"
