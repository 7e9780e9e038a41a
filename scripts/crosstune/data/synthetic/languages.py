"""The synthetic languages: sounds, families, regular sound changes, morphology, word order, script.

A family has one proto-word for each concept. A daughter language inherits it through an ordered list of sound changes,
which apply to every word (the regularity of sound change). Some words are younger: a genus or language replaced the
inherited word. Forms are drawn from the seed; sound changes, grammar and script are fixed in this module.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

# fmt: off
CONCEPTS: Mapping[str, tuple[str, ...]] = {
    "verb": ("live", "born", "work", "own", "eat", "play", "love", "see", "buy", "carry"),
    "job": ("baker", "doctor", "farmer", "fisher", "judge", "king", "miller", "painter", "poet", "sailor", "smith",
            "soldier", "teacher", "weaver"),
    "animal": ("bear", "bird", "camel", "cat", "cow", "deer", "dog", "duck", "goat", "horse", "mouse", "pig", "sheep",
               "wolf"),
    "food": ("apple", "bean", "bread", "cheese", "egg", "fig", "honey", "meat", "milk", "nut", "onion", "pear", "rice",
             "soup"),
    "instrument": ("bell", "cymbal", "drum", "fiddle", "flute", "gong", "harp", "horn", "lute", "lyre", "organ", "pipe",
                   "rattle", "zither"),
    "quality": ("big", "black", "old", "red", "small", "white", "young"),
    "adverb": ("often", "today", "here"),
    "numeral": ("two", "three", "seven"),
    "article": ("a", "the"),
    "conjunction": ("and",),
    "adposition": ("in", "as"),
    "pronoun": ("who", "what"),
    "question": ("where",),
}

# fmt: on
THINGS = (*CONCEPTS["animal"], *CONCEPTS["food"], *CONCEPTS["instrument"])

TAGS: Mapping[str, str] = {
    "verb": "VERB",
    "quality": "ADJ",
    "adverb": "ADV",
    "numeral": "NUM",
    "article": "DET",
    "conjunction": "CCONJ",
    "adposition": "ADP",
    "pronoun": "PRON",
    "question": "ADV",
}

UPOS: Mapping[str, str] = {c: TAGS.get(kind, "NOUN") for kind, concepts in CONCEPTS.items() for c in concepts}

SHORT_KINDS = ("article", "conjunction", "adposition", "pronoun", "question")

SHORT_WORDS = frozenset(concept for kind in SHORT_KINDS for concept in CONCEPTS[kind])

GENUS_COINS, LANGUAGE_COINS = 0.12, 0.06

ARTICLES_OF_SQUAD = frozenset({"a", "an", "the"})  # the SQuAD metric drops these, so no language has such words

# One lower-case letter for each Latin one; Unicode's normal forms change none of them.
SCRIPTS: Mapping[str, Mapping[int, int]] = {
    "Geor": str.maketrans("abgdevzijklmnoprstufqxhcw", "აბგდევზიჯკლმნოპრსტუფქხჰცშ"),
    "Armn": str.maketrans("abgdezijlxkhmynoprstvfqucw", "աբգդեզիժլխկհմյնոպրստվֆքըցշ"),
    "Cyrl": str.maketrans("abvgdejziklmnoprstufxchqwy", "абвгдежзиклмнопрстуфхцчщшы"),
    "Grek": str.maketrans("abgdezhqiklmnxoprstufcywvj", "αβγδεζηθικλμνξοπρστυφχψωϝϳ"),
}


@dataclass(frozen=True)
class Phonology:
    """The sounds of a proto-language, and the shapes of its content words and (`short_shapes`) function words."""

    consonants: str
    vowels: str
    final: str
    shapes: tuple[str, ...]
    short_shapes: tuple[str, ...]


@dataclass(frozen=True)
class SyntheticLanguage:
    """One language. `marking` gives the mark of a role: "-x" a suffix, "x-" a prefix, "in" or "as" an adposition.

    `adposition`, `adjective` and `article` are the side of the noun, "before" or "after", of these words.
    """

    code: str
    name: str
    family: str
    genus: str
    resource: str
    order: str
    changes: tuple[tuple[str, str], ...]
    marking: Mapping[str, str]
    plural: str
    verb_plural: str = ""
    script: str = "Latn"
    adposition: str = "before"
    adjective: str = "before"
    adjective_agrees: bool = False
    article: str = ""
    fronts_questions: bool = True
    contracts: bool = False


PHONOLOGIES: Mapping[str, Phonology] = {
    "Aldic": Phonology("ptkbdgmnlrswh", "aeiou", "nrstkl", ("CVCVF", "CVFCV", "CVCVF"), ("CVF", "CV")),
    "Sorvic": Phonology("ptkbdgmnlrsfv", "aeiou", "", ("CVCVCV", "CVCCV", "VCVCV"), ("CV", "VCV")),
    "Kashic": Phonology("ptkbdgmnlrsxqzc", "aeiu", "xnrsz", ("CCVCV", "CVCVF", "CVCCV"), ("CV", "CVF")),
    "Ozka": Phonology("tkbgnlrszx", "aeiou", "kzn", ("VCVCVF", "VCCVCV", "VCVCV"), ("VF", "VC")),
    "Aravic": Phonology("kgcjtdpbmnrlsh", "aiueo", "klmnrst", ("CVCVF", "CVCCVF", "VCCVF"), ("CVF", "VF")),
    "Talmic": Phonology("ptkcmnlrzvw", "aiuo", "", ("CVCVCCV", "VCVCCV", "CVCCVCV"), ("VCV", "VCCV")),
}

WEST_SORVIC = (("f(?=[aeiou])", "h"), ("d(?=[ei])", "z"))

EAST_SORVIC = (("k(?=[ei])", "c"), ("u(?=[lr])", "o"))

INNER_ARAVIC = (("p(?=[aou])", "v"), ("s(?=[ei])", "x"))

SOUTH_TALMIC = (("k(?=[iu])", "c"), ("w", "v"))

# Languages with data for the tasks of XTREME-R.
TASK_LANGUAGES: Mapping[str, SyntheticLanguage] = {
    language.code: language
    for language in (
        SyntheticLanguage(
            "qen", "Aldish", "Aldic", "West Aldic", "high", "SVO", (("p(?=[aeiou])", "f"), ("[ei]$", "")),
            {"object": "", "place": "in", "role": "as"}, "-s", "-en", article="before",
        ),
        SyntheticLanguage(
            "qno", "Noldish", "Aldic", "West Aldic", "low", "SVO", (("[ei]$", ""), ("h", "g")),
            {"object": "", "place": "in", "role": "as"}, "-er", article="after",
        ),
        SyntheticLanguage(
            "qis", "Isdish", "Aldic", "East Aldic", "low", "SVO", (("w", "v"), ("d(?=[aeiou])", "t")),
            {"object": "-a", "place": "in", "role": "as"}, "-or", "-u", adjective="after",
        ),
        SyntheticLanguage(
            "qes", "Sorvan", "Sorvic", "West Sorvic", "high", "SVO", (*WEST_SORVIC, ("v", "b")),
            {"object": "", "place": "in", "role": "as"}, "-s", "-n", article="before", adjective="after",
            adjective_agrees=True,
        ),
        SyntheticLanguage(
            "qit", "Itsan", "Sorvic", "West Sorvic", "low", "SVO", (*WEST_SORVIC, ("o$", "u")),
            {"object": "", "place": "in", "role": "as"}, "-i", "-no", article="before", adjective="after",
            adjective_agrees=True,
        ),
        SyntheticLanguage(
            "qfr", "Fresan", "Sorvic", "East Sorvic", "high", "SVO", (*EAST_SORVIC, ("(?<=[^aeiou])[eo]$", "é")),
            {"object": "", "place": "in", "role": "as"}, "-x", "-nt", article="before", adjective="after",
            contracts=True,
        ),
        SyntheticLanguage(
            "qro", "Rosan", "Sorvic", "East Sorvic", "low", "SOV", (*EAST_SORVIC, ("s(?=[ei])", "ş")),
            {"object": "-m", "place": "in", "role": "as"}, "-le", article="after", adjective="after",
        ),
        SyntheticLanguage(
            "qka", "Kashan", "Kashic", "Kashic", "low", "SOV", (("q", "k"), ("z$", "s")),
            {"object": "-s", "place": "-si", "role": "-ad"}, "-eb", "-en", script="Geor",
            fronts_questions=False,
        ),
        SyntheticLanguage(
            "qge", "Geshan", "Kashic", "Kashic", "low", "VSO", (("x", "w"), ("t(?=[iu])", "c")),
            {"object": "", "place": "na-", "role": "ga-"}, "mi-", script="Geor",
        ),
        SyntheticLanguage(
            "qeu", "Ozka", "Ozka", "Ozka", "low", "OVS", (),
            {"object": "-ri", "place": "-tan", "role": "-gai"}, "-ak", "-te", adjective="after",
            fronts_questions=False,
        ),
    )
}  # fmt: skip

# Two low-resource languages with four relatives, like Hindi and Tamil in experiments with ChAII.
CHAII_LANGUAGES: Mapping[str, SyntheticLanguage] = {
    language.code: language
    for language in (
        SyntheticLanguage(
            "qhi", "Hiravi", "Aravic", "Inner Aravic", "low", "SOV", (*INNER_ARAVIC, ("t$", "r")),
            {"object": "", "place": "in", "role": "as"}, "-on", "-in", script="Cyrl", adposition="after",
            adjective_agrees=True, fronts_questions=False,
        ),
        SyntheticLanguage(
            "qmr", "Maravi", "Aravic", "Inner Aravic", "low", "SVO", (*INNER_ARAVIC, ("h", "w")),
            {"object": "-lac", "place": "in", "role": "as"}, "-ec", "-at", script="Cyrl", adposition="after",
            adjective_agrees=True, fronts_questions=False,
        ),
        SyntheticLanguage(
            "qbn", "Bonari", "Aravic", "Outer Aravic", "low", "SOV", (("a(?=.*[aeiou])", "o"), ("s", "c")),
            {"object": "-kec", "place": "-tej", "role": "as"}, "-guj", script="Armn", adposition="after",
            fronts_questions=False,
        ),
        SyntheticLanguage(
            "qta", "Tamuli", "Talmic", "South Talmic", "low", "SOV", (*SOUTH_TALMIC, ("p(?=[iou])", "b")),
            {"object": "-nai", "place": "-vil", "role": "-hak"}, "-gal", "-nar", script="Grek", fronts_questions=False,
        ),
        SyntheticLanguage(
            "qml", "Mayuli", "Talmic", "South Talmic", "low", "OSV", (*SOUTH_TALMIC, ("t(?=[iu])", "d")),
            {"object": "-nej", "place": "-lil", "role": "-gay"}, "-mar", script="Grek", fronts_questions=False,
        ),
        SyntheticLanguage(
            "qte", "Teluri", "Talmic", "North Talmic", "low", "SOV", (("c", "s"), ("u$", "i")),
            {"object": "-nun", "place": "-dob", "role": "-gas"}, "-luj", "-red", script="Armn", adjective="after",
        ),
    )
}  # fmt: skip

LANGUAGES: Mapping[str, SyntheticLanguage] = {**TASK_LANGUAGES, **CHAII_LANGUAGES}


def evolve(proto: str, language: SyntheticLanguage) -> str:
    """The reflex of a proto-word: the result of the sound changes of `language`, in order."""
    for pattern, replacement in language.changes:
        proto = re.sub(pattern, replacement, proto)
    return proto


def to_script(word: str, language: SyntheticLanguage) -> str:
    """The word in the script of the language, in lower case unless that is Latin."""
    return word.lower().translate(SCRIPTS[language.script]) if language.script in SCRIPTS else word


def attach_affix(stem: str, affix: str) -> str:
    """The stem with a suffix "-x" or a prefix "x-"; unchanged for ""."""
    return affix[:-1] + stem if affix.endswith("-") else stem + affix[1:]


@dataclass(frozen=True)
class Etymon:
    """The origin of a word: its form before the sound changes, and the family, genus or language that coined it."""

    form: str
    coiner: str


@dataclass(frozen=True)
class Lexicon:
    """The words of every language under one seed, in Latin letters, with their etyma: `words[code][concept]`.

    `people` and `places` are international proper names.
    """

    etyma: Mapping[str, Mapping[str, Etymon]]
    words: Mapping[str, Mapping[str, str]]
    people: tuple[str, ...]
    places: tuple[str, ...]

    def relatedness(self, a: str, b: str) -> float:
        """Relatedness of languages `a` and `b`, in [0, 1]: the mean similarity of their words over all concepts.

        Words with the same etymon have the similarity 1 - edit distance / longer length, other words 0. It is
        symmetric, 1 for a language and itself, and 0 between families. This is the lexicostatistic of the Automated
        Similarity Judgment Program, the normalised Levenshtein distance, restricted to cognates, which are known here.
        """
        cognates = [concept for concept in UPOS if self.etyma[a][concept] == self.etyma[b][concept]]
        return sum(similarity(self.words[a][c], self.words[b][c]) for c in cognates) / len(UPOS)


def similarity(a: str, b: str) -> float:
    """1 - Levenshtein distance / length of the longer word, for non-empty words."""
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        current = [i]
        for j, y in enumerate(b, 1):
            current.append(min(previous[j] + 1, current[-1] + 1, previous[j - 1] + (x != y)))
        previous = current
    return 1 - previous[-1] / max(len(a), len(b))


def make_lexicon(seed: int) -> Lexicon:
    """Draw the etyma and proper names of one seed. No two concepts of a language share a word."""
    etyma: dict[str, dict[str, Etymon]] = {code: {} for code in LANGUAGES}
    taken = {code: set(ARTICLES_OF_SQUAD) for code in LANGUAGES}
    for group, share in _coiners():
        daughters = [x for x in LANGUAGES.values() if group in (x.family, x.genus, x.code)]
        rng = random.Random(f"{seed}/words/{group}")
        for concept in UPOS:
            if share == 1 or (concept not in SHORT_WORDS and rng.random() < share):
                form = _fresh_form(rng, concept, daughters, taken)
                for language in daughters:
                    etyma[language.code][concept] = Etymon(form, group)
    words = {code: {c: evolve(e.form, LANGUAGES[code]) for c, e in etyma[code].items()} for code in LANGUAGES}
    people, places = _proper_names(random.Random(f"{seed}/names"))
    return Lexicon(etyma, words, people, places)


def _coiners() -> list[tuple[str, float]]:
    """(coiner, share of words): families coin every word; genera and languages then replace some content words."""
    families = dict.fromkeys(language.family for language in LANGUAGES.values())
    genera = dict.fromkeys(language.genus for language in LANGUAGES.values() if language.genus not in families)
    return [(f, 1.0) for f in families] + [(g, GENUS_COINS) for g in genera] + [(c, LANGUAGE_COINS) for c in LANGUAGES]


def _fresh_form(
    rng: random.Random, concept: str, daughters: list[SyntheticLanguage], taken: dict[str, set[str]]
) -> str:
    """A form whose reflex in every daughter is new and longer than a letter; adds the reflexes to `taken`."""
    sounds = PHONOLOGIES[daughters[0].family]
    letters = {"C": sounds.consonants, "V": sounds.vowels, "F": sounds.final}
    while True:
        shape = rng.choice(sounds.short_shapes if concept in SHORT_WORDS else sounds.shapes)
        form = "".join(rng.choice(letters[kind]) for kind in shape)
        reflexes = {language.code: evolve(form, language) for language in daughters}
        if all(len(reflex) > 1 and reflex not in taken[code] for code, reflex in reflexes.items()):
            for code, reflex in reflexes.items():
                taken[code].add(reflex)
            return form


def _proper_names(rng: random.Random, people: int = 40, places: int = 24) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of people (two syllables) and places (three), the same in all languages except for the script."""
    names: list[str] = []
    while len(names) < people + places:
        syllables = 2 if len(names) < people else 3
        name = "".join(rng.choice("bdgklmnprstv") + rng.choice("aeiou") for _ in range(syllables)).capitalize()
        if name not in names:
            names.append(name)
    return tuple(names[:people]), tuple(names[people:])
