"""Rule-based translation between the synthetic languages, with their lexicon.

Translation works phrase by phrase. It analyses every word and finds the phrases (a noun with its adjective, numeral,
article, adposition and case). It realises each phrase with the words, endings and inner order of the target language.

- Phrases and verbs of a clause keep the order of the source, and so does the beginning of a question. Between languages
  that agree in both, a translation equals the sentence of the synthetic data in the target language.
- The role of a noun follows from its case or adposition, else from its position in the clause. One kind of sentence is
  ambiguous: `who loves Bana?` in qge also asks whom Bana loves, and is read so.
- A verb agrees with the number of its subject, whether or not the source marks it.
- A source without articles leaves those of the target open: the subject of a verb gets "the", another noun "a", and a
  noun with a numeral none.
- Of two readings of a form the simpler one is used: under some seeds a noun of qka is spelled like a name in a case.
- Unknown words are kept, in the script of the target. Text that is no sentence is translated phrase by phrase.

Markers `[[ ` and ` ]]` around words move to the translations of these words and enclose everything between. An article
or adposition is inside only if that of the source is. A marked answer thus becomes the answer of the synthetic data in
the target language (`marked_answer`). If the target has no word for the marked ones, the markers enclose their phrase.
An unpaired marker, or a pair around nothing, is treated as a word.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import pairwise

from crosstune.core.errors import UserError
from crosstune.data.synthetic.facts import RELATIONS
from crosstune.data.synthetic.languages import (
    CONCEPTS,
    LANGUAGES,
    SCRIPTS,
    UPOS,
    Lexicon,
    SyntheticLanguage,
    make_lexicon,
    to_script,
)
from crosstune.data.synthetic.texts import Phrase, Realiser, Token
from crosstune.data.translation.translators import Translator

OPEN, CLOSE = "[[", "]]"

_END = r"(?:\s|$|\[\[|\]\])"

LINE_PARTS = re.compile(rf"\[\[|\]\]|[.?](?=[.?]*{_END})|(?:(?!\[\[|\]\]|[.?]+{_END})\S)+")  # marker, stop, or word

STOPS = (".", "?")

DEPENDENTS = ("ADP", "DET", "NUM", "ADJ")

LETTERS = {"ADP": "A", "DET": "D", "NUM": "Q", "ADJ": "J", "HEAD": "H"}  # of the patterns of phrases

ROLES = ("subject", "object", "place", "role")

OBJECT_ROLES = {relation.name: relation.role for relation in RELATIONS}

CACHED_SENTENCES = 1 << 16


@dataclass(frozen=True)
class Reading:
    """A reading of a word: a concept or a name, its part of speech, its number, its case affix or ""."""

    concept: str
    upos: str
    plural: bool = False
    marking: str = ""

    @cached_property
    def kind(self) -> str:
        """HEAD for the head of a phrase, else the part of speech."""
        return "HEAD" if self.concept == "where" or self.upos in ("NOUN", "PROPN", "PRON") else self.upos


@dataclass(frozen=True, eq=False)
class Chunk:
    """A phrase with its head, or a word outside phrases: readings and their positions in the sentence, by kind.

    The two readings of a contraction have the same position.
    """

    readings: Mapping[str, Reading]
    places: Mapping[str, int]

    def concept(self, kind: str) -> str:
        return self.readings[kind].concept if kind in self.readings else ""

    @property
    def is_phrase(self) -> bool:
        return "HEAD" in self.readings

    @property
    def is_verb(self) -> bool:
        return "VERB" in self.readings

    @property
    def marking(self) -> str:
        """The mark of the head's role, as in SyntheticLanguage.marking."""
        return self.concept("ADP") or self.readings["HEAD"].marking

    @property
    def is_plural(self) -> bool:
        return "NUM" in self.readings or self.readings["HEAD"].plural


@dataclass(frozen=True)
class Piece:
    """A translated token: the position of its source word, if any, and the positions of that word's chunk."""

    form: str
    stops: bool
    place: int | None
    chunk: tuple[int, ...]


class Grammar:
    """The analysis of one language."""

    def __init__(self, realiser: Realiser, lexicon: Lexicon):
        self.language = realiser.language
        self._agents = {*lexicon.people, *CONCEPTS["job"], "who"}
        self._readings = _readings(realiser, lexicon)
        self._phrase = re.compile(f"{_phrase_pattern(self.language)}|.", re.DOTALL)
        script = SCRIPTS.get(self.language.script, {})
        self._latin = {letter: latin for latin, letter in script.items()}

    def read(self, words: Sequence[str]) -> list[Chunk]:
        """The chunks of a sentence, which contain every word once and in order."""
        found = [(reading, place) for place, word in enumerate(words) for reading in self._reading(word)]
        letters = "".join(LETTERS.get(reading.kind, "-") for reading, _ in found)
        parts = (found[match.start() : match.end()] for match in self._phrase.finditer(letters))
        return [
            Chunk({word.kind: word for word, _ in part}, {word.kind: place for word, place in part}) for part in parts
        ]

    def _reading(self, word: str) -> tuple[Reading, ...]:
        if word in STOPS:
            return (Reading(word, "PUNCT"),)
        return self._readings.get(word) or (Reading(word.translate(self._latin), "X"),)

    def roles(self, clause: Sequence[Chunk], is_question: bool) -> list[str]:
        """The role of each phrase of a clause, by the first word order that the phrases' markings admit."""
        phrases = [chunk for chunk in clause if chunk.is_phrase]
        verbs = [chunk.concept("VERB") for chunk in clause if chunk.is_verb]
        shape = "".join("V" if chunk.is_verb else "N" for chunk in clause if chunk.is_verb or chunk.is_phrase)
        if verbs:
            role = OBJECT_ROLES.get(verbs[0], "object")
            for order in _orders(self.language, is_question):
                parts = order.replace("V", "")
                if re.sub("[SO]", "N", order) == shape and all(map(self._admits, parts, phrases, [role] * len(parts))):
                    return ["subject" if part == "S" else role for part in parts]
        marked = {marking: role for role, marking in self.language.marking.items() if marking}
        return [marked.get(phrase.marking, "subject") for phrase in phrases]

    def _admits(self, part: str, phrase: Chunk, role: str) -> bool:
        """Whether a phrase can be the subject of a clause (`part` "S") or an object in the role ("O")."""
        if part == "S":
            return phrase.concept("HEAD") in self._agents
        return phrase.concept("HEAD") == "where" or phrase.marking == self.language.marking[role]


class LexiconTranslator(Translator):
    """The translator of synthetic text of one seed."""

    def __init__(self, seed: int):
        self._lexicon = make_lexicon(seed)
        self._speaker = cache(lambda code: Realiser(code, self._lexicon))
        self._grammar = cache(lambda code: Grammar(self._speaker(code), self._lexicon))
        self._sentence = lru_cache(CACHED_SENTENCES)(self._translate_sentence)

    def check(self, source: str, target: str) -> None:
        """Raise UserError for a language that is not synthetic."""
        for code in (source, target):
            if code not in LANGUAGES:
                fix = f"It has: {', '.join(LANGUAGES)}."
                raise UserError(f"the constructed world has no language {code!r}", f"{source}-{target}", fix)

    def translate(self, lines: Sequence[str], source: str, target: str) -> list[str]:
        """The translation of each line. Runs of spaces become one; line feeds stay. Raises UserError as `check`."""
        self.check(source, target)
        return ["\n".join(self._line(part, source, target) for part in line.split("\n")) for line in lines]

    def _line(self, line: str, source: str, target: str) -> str:
        words, runs = _split_markers(LINE_PARTS.findall(line))
        pieces = [
            (start, piece)
            for start, end in _sentences(words)
            for piece in self._sentence(tuple(words[start:end]), source, target)
        ]
        opened, closed = [0] * len(pieces), [0] * len(pieces)
        for run in runs:
            inside = _translating_pieces(pieces, run)
            opened[inside[0]] += 1
            closed[inside[-1]] += 1
        text = ""
        for (_, piece), before, after in zip(pieces, opened, closed, strict=True):
            space = " " if text and (before or not piece.stops) else ""
            text += f"{space}{f'{OPEN} ' * before}{piece.form}{f' {CLOSE}' * after}"
        return text

    def _translate_sentence(self, words: tuple[str, ...], source: str, target: str) -> tuple[Piece, ...]:
        grammar, realiser = self._grammar(source), self._speaker(target)
        chunks = grammar.read(words)
        is_question = words[-1] == "?"
        pieces: list[Piece] = []
        is_plural = False
        for clause in _clauses(chunks):
            has_verb = any(chunk.is_verb for chunk in clause)
            needs_default = has_verb and not grammar.language.article
            phrases = [chunk for chunk in clause if chunk.is_phrase]
            roles = dict(zip(phrases, grammar.roles(clause, is_question), strict=True))
            is_plural = is_plural or any(chunk.is_plural for chunk in phrases if has_verb and roles[chunk] == "subject")
            for chunk in clause:
                if chunk in roles:
                    article = _default_article(chunk, roles[chunk]) if needs_default else chunk.concept("DET")
                    pieces += _phrase_pieces(chunk, roles[chunk], article, realiser)
                else:
                    pieces.append(_word_piece(chunk, is_plural, realiser))
        return tuple(pieces)


def _readings(realiser: Realiser, lexicon: Lexicon) -> dict[str, tuple[Reading, ...]]:
    """Readings by form (two for a contraction), of all forms of the language; of equal forms, the simplest."""
    language = realiser.language
    names = (*lexicon.people, *lexicon.places)
    concepts = {to_script(name, language): name for name in names}
    concepts |= {to_script(word, language): concept for concept, word in lexicon.words[language.code].items()}
    table: dict[str, tuple[Reading, ...]] = {}

    def learn(tokens: Iterable[Token], plural: bool = False, marking: str = "") -> None:
        for token in tokens:
            readings = tuple(Reading(concepts[word.lemma], word.upos, plural, marking) for word in token.words)
            table.setdefault(token.form, readings)

    learn(map(realiser.function_word, UPOS))
    for role in ROLES:
        marking = "" if role == "subject" else language.marking[role]
        affix = marking if "-" in marking else ""
        for concept in (*names, *UPOS):
            upos = UPOS.get(concept, "PROPN")
            if Reading(concept, upos).kind == "HEAD":
                learn(realiser.phrase(Phrase(concept), role), marking=affix)
            if upos == "NOUN":
                learn(realiser.phrase(Phrase(concept, plural=True), role), True, affix)
        for article in CONCEPTS["article"]:
            learn(realiser.phrase(Phrase("dog", article=article), role), marking=affix)
    for concept in CONCEPTS["verb"]:
        learn(realiser.verb(concept, "", True), True)
    for concept in CONCEPTS["quality"]:
        learn(realiser.phrase(Phrase("dog", concept, plural=True), "subject"), True)
    return table


def _phrase_pattern(language: SyntheticLanguage) -> str:
    """A regular expression for a phrase in the letters of LETTERS, built outwards from the head, as by Realiser."""
    before, after = "", ""
    for letter, side in (
        ("J", language.adjective),
        ("Q", "before"),
        ("D", language.article),
        ("A", language.adposition),
    ):
        before = f"{letter}?{before}" if side == "before" else before
        after = f"{after}{letter}?" if side == "after" else after
    return f"{before}H{after}"


def _orders(language: SyntheticLanguage, is_question: bool) -> list[str]:
    """The possible orders of a clause, likeliest first: question word in front, complete, or without a part."""
    order = language.order
    fronted = [part + order.replace(part, "") for part in "OS"] if is_question and language.fronts_questions else []
    return [*fronted, order, order.replace("S", ""), order.replace("O", "")]


def _split_markers(parts: Sequence[str]) -> tuple[list[str], list[range]]:
    """The words of a line, and the runs of words inside markers."""
    words: list[str] = []
    runs: list[range] = []
    markers = [place for place, part in enumerate(parts) if part in (OPEN, CLOSE)]
    pairs = {
        start: end
        for start, end in pairwise(markers)
        if parts[start] == OPEN and parts[end] == CLOSE and end > start + 1
    }
    ends = set(pairs.values())
    for place, part in enumerate(parts):
        if place in pairs:
            runs.append(range(len(words), len(words) + pairs[place] - place - 1))
        elif place not in ends:
            words.append(part)
    return words, runs


def _translating_pieces(pieces: Sequence[tuple[int, Piece]], run: range) -> list[int]:
    """Indices of the tokens that translate a run of words of the line or, if there are none, the words' chunks.

    Each token comes with the start of its sentence. Every word is in a chunk, and every chunk is translated.
    """
    exact = [n for n, (start, piece) in enumerate(pieces) if piece.place is not None and start + piece.place in run]
    return exact or [n for n, (start, piece) in enumerate(pieces) if any(start + at in run for at in piece.chunk)]


def _sentences(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Bounds of sentences: after a full stop or question mark, and at the end of the line."""
    start = 0
    for place, word in enumerate(words, 1):
        if word in STOPS or place == len(words):
            yield start, place
            start = place


def _clauses(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """The clauses of a sentence; a conjunction begins one."""
    clause: list[Chunk] = []
    for chunk in chunks:
        if "CCONJ" in chunk.readings:
            yield clause
            clause = []
        clause.append(chunk)
    yield clause


def _default_article(phrase: Chunk, role: str) -> str:
    """The default article of a phrase, for sources without articles."""
    if phrase.readings["HEAD"].upos != "NOUN":
        return ""
    return "the" if role == "subject" else "" if "NUM" in phrase.readings else "a"


def _phrase_pieces(chunk: Chunk, role: str, article: str, realiser: Realiser) -> Iterator[Piece]:
    """The tokens of a translated phrase; each translates the word of its own part of speech."""
    head = chunk.readings["HEAD"]
    phrase = Phrase(head.concept, chunk.concept("ADJ"), chunk.concept("NUM"), article, plural=head.plural)
    places = tuple(chunk.places.values())
    for token in realiser.phrase(phrase, role):
        upos = token.words[-1].upos
        yield Piece(token.form, False, chunk.places.get(upos if upos in DEPENDENTS else "HEAD"), places)


def _word_piece(chunk: Chunk, is_plural: bool, realiser: Realiser) -> Piece:
    """A translated word outside phrases; a verb agrees with its subject."""
    ((reading, place),) = zip(chunk.readings.values(), chunk.places.values(), strict=True)
    if reading.kind == "VERB":
        form = realiser.verb(reading.concept, "", is_plural or reading.plural)[0].form
    elif reading.kind in ("X", "PUNCT"):
        form = to_script(reading.concept, realiser.language)
    else:
        form = realiser.function_word(reading.concept).form
    return Piece(form, reading.kind == "PUNCT", place, (place,))
