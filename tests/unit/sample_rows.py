"""Rows of several tasks in the words of the tests' tokenizer, as prepared data sets have them, and their windows."""

from collections.abc import Mapping, Sequence

from crosstune.artifacts.split import row_origin
from crosstune.modeling.contrastive import TranslationPairs, contrastive_config
from crosstune.modeling.features import Windows
from crosstune.modeling.tasks.qa import QuestionAnswering
from crosstune.modeling.tokenization import Tokenizer

RECIPE = {
    "lr": 1e-2, "warmup": 0.1, "decay": "linear", "weight_decay": 0.01, "clip": 1.0, "label_smoothing": 0.0,
    "mask": 0.15, "alpha": 1.0, "optimizer": "reset",
}  # fmt: skip
CONTRASTIVE = {**RECIPE, "contrast": 0.5}
ENCODING = {"max_length": 20, "stride": 6, "question": 6}

SENTENCES = [
    {"id": str(n), "tokens": text.split(), "tags": ["A" if word in ("the", "a") else "B" for word in text.split()]}
    for n, text in enumerate(["the cat sat on the mat", "a dog saw the red house", "who sat"] * 4)
]
CONTEXTS = [
    "the cat sat on the mat who sat where",
    "a dog saw the red house of the dog",
    "who sat on the house of the dog",
    "the red mat is on the house who saw",
]
RETRIEVAL_PAIRS = [
    {"id": "1", "query": "who sat", "key": "1", "candidate": "the cat sat", "context": "", "keys": ["1"]},
    {"id": "2", "query": "where", "key": "2", "candidate": "on the mat", "context": "the cat sat on", "keys": ["2"]},
    {"id": "3", "query": "the cat", "key": "3", "candidate": "the cat sat", "context": "", "keys": ["3"]},
]


def question(id: str, words: Sequence[str], answer: str, **more: str) -> dict:
    """A row of question answering."""
    context = " ".join(words)
    answers = {"text": [answer], "answer_start": [context.index(answer)]}
    return {"id": id, "question": f"where is {answer}", "context": context, "answers": answers, **more}


# The translation of a text has its words in reverse order, twice. The original `4` has no translation.
ORIGINALS = [question(str(n), text.split(), text.split()[n]) for n, text in enumerate(CONTEXTS)]
ORIGINALS.append(question("4", ["a", "mat", "of", "the", "cat"], "mat"))
TRANSLATIONS = [
    question(f"hi-ta:{row['id']}", row["context"].split()[::-1] * 2, row["answers"]["text"][0],
             origin=f"chaii.hi/{row['id']}")
    for row in ORIGINALS[:4]
]  # fmt: skip
QUESTIONS = {"chaii.hi": ORIGINALS, "mt.ta": TRANSLATIONS}


def paired_windows(
    tokenizer: Tokenizer, recipe: Mapping = CONTRASTIVE, rows: Mapping[str, Sequence[dict]] = QUESTIONS
) -> tuple[dict[str, Windows], TranslationPairs]:
    """Windows of question answering by source, and the pairs among them under a recipe."""
    windows = {source: QuestionAnswering().encode(found, tokenizer, ENCODING) for source, found in rows.items()}
    origins = {source: [row_origin(source, row) for row in found] for source, found in rows.items()}
    config = contrastive_config(recipe, ENCODING["max_length"])
    return windows, config.translation_pairs(windows, dict.fromkeys(rows, "qa"), origins, tokenizer.special_ids)


# A stage with every kind of micro-batch.
MIXED_RECIPE = {
    "lr": 1e-3, "warmup": 0.1, "decay": "linear", "weight_decay": 0.01, "clip": 4.0, "label_smoothing": 0.0,
    "mask": 0.3, "optimizer": "reset", "alpha": 0.5, "dropout": 0.0, "negatives": 2, "contrast": 0.5,
    "contrast_negatives": 2, "contrast_temperature_lr": 1e-3,
}  # fmt: skip
MIXED_HEADS = {"mlm": [], "qa": [], "tagging.x": ["A", "B"]}
TEXTS = [{"id": str(n), "text": " ".join(row["tokens"] * (n % 3 + 1))} for n, row in enumerate(SENTENCES)]
MIXED_SOURCES = {
    "chaii.hi": ("qa", ORIGINALS), "mt.ta": ("qa", TRANSLATIONS), "names.en": ("tagging.x", SENTENCES),
    "text.en": ("mlm", TEXTS),
}  # fmt: skip
