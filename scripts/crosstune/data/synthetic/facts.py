"""Facts about people, and their disjoint shares in the splits.

A fact is a triple (person, relation, value). For each person and relation the values are divided among the splits: no
triple of the test set occurs in training or in unlabelled text. Names recur in different paragraphs, as first names do;
within a paragraph a name is one person. Scenes (the baker sees a dog) are divided in the same way.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crosstune.data.synthetic.languages import CONCEPTS, THINGS, Lexicon

SCENE_VERBS = ("see", "buy", "carry")

SPLIT_SHARES: Mapping[str, float] = {"text": 0.5, "train": 0.25, "validation": 0.1, "test": 0.15}


@dataclass(frozen=True)
class FactRelation:
    """A verb, the role of its object, the kind of its values, and the question word for them."""

    name: str
    role: str
    kind: str
    question_word: str


RELATIONS: tuple[FactRelation, ...] = (
    FactRelation("live", "place", "place", "where"),
    FactRelation("born", "place", "place", "where"),
    FactRelation("work", "role", "job", "what"),
    FactRelation("own", "object", "animal", "what"),
    FactRelation("eat", "object", "food", "what"),
    FactRelation("play", "object", "instrument", "what"),
    FactRelation("love", "object", "person", "who"),
)


@dataclass(frozen=True)
class Fact:
    """`person` is a name. `value` is the name of a place or person, or a concept with a `quality` (or "")."""

    person: str
    relation: FactRelation
    value: str
    quality: str = ""

    @property
    def triple(self) -> tuple[str, str, str]:
        return self.person, self.relation.name, self.value


@dataclass(frozen=True)
class Paragraph:
    """Two people with two facts each. They share one relation, so that the answer depends on the name."""

    facts: tuple[Fact, Fact, Fact, Fact]


@dataclass(frozen=True)
class Scene:
    """One or several people of a trade act on a thing; qualities, numerals and `adverb` may be ""."""

    job: str
    verb: str
    thing: str
    subject_quality: str
    subject_numeral: str
    quality: str
    numeral: str
    definite: bool
    adverb: str

    @property
    def triple(self) -> tuple[str, str, str]:
        return self.job, self.verb, self.thing


class FactBase:
    """The facts of one seed, divided among the splits text, train, validation and test.

    `values` maps (person, relation) and (job, verb) to the values of each split.
    """

    def __init__(self, lexicon: Lexicon, seed: int):
        self.people, self.places = lexicon.people, lexicon.places
        values = {kind: CONCEPTS[kind] for kind in ("job", "animal", "food", "instrument")}
        values |= {"place": lexicon.places, "person": lexicon.people}
        rng = random.Random(f"{seed}/facts")
        self.values = {
            (person, relation.name): _split_values(rng, [value for value in values[relation.kind] if value != person])
            for person in self.people
            for relation in RELATIONS
        }
        self.values |= {(job, verb): _split_values(rng, THINGS) for job in CONCEPTS["job"] for verb in SCENE_VERBS}

    def paragraph(self, split: str, rng: random.Random) -> Paragraph:
        """A paragraph of one split. No value occurs twice in it, and none of its two people is a value."""
        while True:
            facts = self._four_facts(split, rng)
            if facts:
                break
        for start in (0, 2):
            if rng.random() < 0.5:
                facts[start : start + 2] = reversed(facts[start : start + 2])
        return Paragraph(tuple(facts))

    def document(self, split: str, rng: random.Random, size: int) -> tuple[Paragraph, ...]:
        """`size` paragraphs without common people or values, so that every question has one answer."""
        paragraphs: list[Paragraph] = []
        used: set[str] = set()
        while len(paragraphs) < size:
            paragraph = self.paragraph(split, rng)
            mentioned = {name for fact in paragraph.facts for name in (fact.person, fact.value)}
            if not mentioned & used:
                paragraphs.append(paragraph)
                used |= mentioned
        return tuple(paragraphs)

    def _four_facts(self, split: str, rng: random.Random) -> list[Fact]:
        """Two facts about each of two people; none if the split has no unused value for a person."""
        first, second = rng.sample(self.people, 2)
        shared, one, two = rng.sample(RELATIONS, 3)
        pairs = [(first, shared), (first, one), (second, shared), (second, two)]
        used = {first, second}
        facts = []
        for person, relation in pairs:
            free = [v for v in self.values[person, relation.name][split] if v not in used]
            if not free:
                return []
            value = rng.choice(free)
            used.add(value)
            quality = rng.choice(CONCEPTS["quality"]) if relation.kind == "animal" else ""
            facts.append(Fact(person, relation, value, quality))
        return facts

    def scene(self, split: str, rng: random.Random) -> Scene:
        """A random scene of one split."""
        job, verb = rng.choice(CONCEPTS["job"]), rng.choice(SCENE_VERBS)
        return Scene(
            job,
            verb,
            thing=rng.choice(self.values[job, verb][split]),
            subject_quality=_optional(rng, 0.5, "quality"),
            subject_numeral=_optional(rng, 0.3, "numeral"),
            quality=_optional(rng, 0.5, "quality"),
            numeral=_optional(rng, 0.3, "numeral"),
            definite=rng.random() < 0.5,
            adverb=_optional(rng, 0.5, "adverb"),
        )


def _optional(rng: random.Random, chance: float, kind: str) -> str:
    return rng.choice(CONCEPTS[kind]) if rng.random() < chance else ""


def _split_values(rng: random.Random, values: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The values in random order, cut into one part per split in proportion to SPLIT_SHARES."""
    order = rng.sample(values, len(values))
    parts, done = {}, 0.0
    for split, share in SPLIT_SHARES.items():
        start, done = round(done * len(order)), done + share
        parts[split] = tuple(order[start : round(done * len(order))])
    return parts
