"""Surface realisation: facts, questions and scenes as sentences of the synthetic languages."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from crosstune.data.synthetic.facts import Fact, Paragraph, Scene
from crosstune.data.synthetic.languages import LANGUAGES, UPOS, Lexicon, attach_affix, to_script


@dataclass(frozen=True)
class Word:
    """A syntactic word: form, dictionary form, universal part of speech; `answer` marks words of an answer."""

    form: str
    lemma: str
    upos: str
    answer: bool = False


@dataclass(frozen=True)
class Token:
    """A string between spaces: one word, or two that are fused (a multiword token of CoNLL-U)."""

    form: str
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Phrase:
    """A noun phrase: a noun or question word with its dependents, or a proper name, which is no concept.

    A numeral or `plural` makes it plural.
    """

    concept: str
    quality: str = ""
    numeral: str = ""
    article: str = ""
    answer: bool = False
    plural: bool = False

    @property
    def is_plural(self) -> bool:
        return self.plural or bool(self.numeral)


@dataclass(frozen=True)
class Predicate:
    """A verb, its object in a role, and an adverb or ""."""

    verb: str
    object: Phrase
    role: str
    adverb: str = ""


@dataclass(frozen=True)
class Sentence:
    """A statement of one or more predicates joined by "and", or a question with one predicate."""

    subject: Phrase
    predicates: tuple[Predicate, ...]
    is_question: bool = False


@dataclass(frozen=True)
class Question:
    """A question about the value of a fact (Where does she live?) or about its person (Who lives there?)."""

    fact: Fact
    for_person: bool

    @property
    def sentence(self) -> Sentence:
        if self.for_person:
            return Sentence(Phrase("who"), (_predicate(self.fact),), is_question=True)
        predicate = Predicate(
            self.fact.relation.name, Phrase(self.fact.relation.question_word), self.fact.relation.role
        )
        return Sentence(Phrase(self.fact.person), (predicate,), is_question=True)


def fact_sentence(*facts: Fact, answering: Question | None = None) -> Sentence:
    """Facts about one person as one sentence, with the answer to the question `answering` marked."""
    target = answering.fact if answering else None
    subject = Phrase(facts[0].person, answer=target in facts and answering.for_person)
    return Sentence(subject, tuple(_predicate(fact, fact == target and not answering.for_person) for fact in facts))


def paragraph_sentences(paragraph: Paragraph, answering: Question | None = None) -> tuple[Sentence, Sentence]:
    """One sentence for each of the two people."""
    one, two, three, four = paragraph.facts
    return fact_sentence(one, two, answering=answering), fact_sentence(three, four, answering=answering)


def scene_sentence(scene: Scene) -> Sentence:
    """A scene as a sentence: The two old bakers often see a red dog."""
    subject = Phrase(scene.job, scene.subject_quality, scene.subject_numeral, "the")
    article = "the" if scene.definite else "" if scene.numeral else "a"
    thing = Phrase(scene.thing, scene.quality, scene.numeral, article)
    return Sentence(subject, (Predicate(scene.verb, thing, "object", scene.adverb),))


def _predicate(fact: Fact, answer: bool = False) -> Predicate:
    article = "" if fact.relation.kind in ("place", "person") else "a"
    value = Phrase(fact.value, fact.quality, article=article, answer=answer)
    return Predicate(fact.relation.name, value, fact.relation.role)


def join_tokens(tokens: Sequence[Token]) -> str:
    """The text of tokens: spaces between them, none before a full stop or question mark."""
    return "".join(t.form if t.words[0].upos == "PUNCT" else f" {t.form}" for t in tokens)[1:]


def marked_answer(tokens: Sequence[Token]) -> tuple[str, int]:
    """(text, offset) of the marked words, which are adjacent, in the code points of `join_tokens(tokens)`."""
    marked = [i for i, token in enumerate(tokens) if token.words[-1].answer]
    before = join_tokens(tokens[: marked[0]])
    return join_tokens(tokens[marked[0] : marked[-1] + 1]), len(before) + bool(before)


class Realiser:
    """The surface realiser of one language.

    `phrase(phrase, role)` and `verb(concept, adverb, plural)` give tokens, `function_word(concept)` gives one token; a
    role is "subject" or a key of SyntheticLanguage.marking.
    """

    def __init__(self, code: str, lexicon: Lexicon):
        self.language = LANGUAGES[code]
        self._words = lexicon.words[code]
        # Cached, because all texts consist of the same few hundred phrases.
        self._clause = cache(self._build_clause)
        self.phrase = cache(self._build_phrase)
        self.verb = cache(self._build_verb)
        self.function_word = cache(self._build_function_word)

    def sentence_tokens(self, sentence: Sentence) -> list[Token]:
        """The tokens of a sentence, in the order and with the endings of the language."""
        first, *more = sentence.predicates
        plural = sentence.subject.is_plural
        tokens = [*self._clause(sentence.subject, first, plural, sentence.is_question)]
        for predicate in more:
            tokens += [self.function_word("and"), *self._clause(None, predicate, plural, False)]
        mark = "?" if sentence.is_question else "."
        return [*tokens, Token(mark, (Word(mark, mark, "PUNCT"),))]

    def text(self, *sentences: Sentence) -> str:
        return join_tokens(self.tokens(*sentences))

    def fact_text(self, *facts: Fact) -> str:
        """The text of facts about one person, in one sentence."""
        return self.text(fact_sentence(*facts))

    def tokens(self, *sentences: Sentence) -> list[Token]:
        return [token for sentence in sentences for token in self.sentence_tokens(sentence)]

    def _build_clause(
        self, subject: Phrase | None, predicate: Predicate, plural: bool, is_question: bool
    ) -> tuple[Token, ...]:
        parts = {
            "S": self.phrase(subject, "subject") if subject else (),
            "V": self.verb(predicate.verb, predicate.adverb, plural),
            "O": self.phrase(predicate.object, predicate.role),
        }
        order = self.language.order
        if is_question and self.language.fronts_questions:
            fronted = "S" if subject.concept == "who" else "O"
            order = fronted + order.replace(fronted, "")
        return tuple(token for part in order for token in parts[part])

    def _build_verb(self, concept: str, adverb: str, plural: bool) -> tuple[Token, ...]:
        stem = self._words[concept]
        form = attach_affix(stem, self.language.verb_plural) if plural else stem
        verb = self._token(form, stem, "VERB")
        return (verb, self.function_word(adverb)) if adverb else (verb,)

    def _build_function_word(self, concept: str) -> Token:
        return self._token(self._words[concept], self._words[concept], UPOS[concept])

    def _token(self, form: str, lemma: str, upos: str, answer: bool = False) -> Token:
        form = to_script(form, self.language)
        return Token(form, (Word(form, to_script(lemma, self.language), upos, answer),))

    def _build_phrase(self, phrase: Phrase, role: str) -> tuple[Token, ...]:
        """Build outwards from the noun: quality, numeral, article, adposition."""
        language = self.language
        marking = "" if role == "subject" or phrase.concept == "where" else language.marking[role]
        tokens = [self._noun(phrase, marking if "-" in marking else "")]
        if phrase.quality:
            tokens = _attach_token(tokens, self._adjective(phrase), language.adjective)
        if phrase.numeral:
            tokens = [self.function_word(phrase.numeral), *tokens]
        if phrase.article and language.article:
            tokens = _attach_token(tokens, self.function_word(phrase.article), language.article)
        if marking and "-" not in marking:
            adposition = self.function_word(marking)
            if language.contracts and tokens[0].words[0].upos == "DET":
                tokens[0] = _fuse(adposition, tokens[0])
            else:
                tokens = _attach_token(tokens, adposition, language.adposition)
        return tuple(tokens)

    def _noun(self, phrase: Phrase, case: str) -> Token:
        stem = self._words.get(phrase.concept, phrase.concept)
        form = attach_affix(stem, self.language.plural) if phrase.is_plural else stem
        return self._token(attach_affix(form, case), stem, UPOS.get(phrase.concept, "PROPN"), phrase.answer)

    def _adjective(self, phrase: Phrase) -> Token:
        stem = self._words[phrase.quality]
        agrees = phrase.is_plural and self.language.adjective_agrees
        return self._token(attach_affix(stem, self.language.plural) if agrees else stem, stem, "ADJ", phrase.answer)


def _attach_token(tokens: list[Token], token: Token, side: str) -> list[Token]:
    return [token, *tokens] if side == "before" else [*tokens, token]


def _fuse(first: Token, second: Token) -> Token:
    """The contraction of two tokens: the first loses its last letter (de + le: dle)."""
    return Token(first.form[:-1] + second.form, first.words + second.words)
