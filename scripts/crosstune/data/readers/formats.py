"""Declarations of published tables: what a record would say with `columns`, under the name of a reader."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from crosstune.core.errors import UserError
from crosstune.data.readers.pieces import ReaderOptions

# COPA's kinds of questions, with XTREME's English template in every language.
COPA_QUESTIONS = {"cause": "What was the cause?", "effect": "What was the effect?"}

LINES = {"format": "json"}

# By reader: the options that a record could state itself. A list has one declaration for each number of files.
FORMATS: Mapping[str, Mapping[str, Any] | Sequence[Mapping[str, Any]]] = {
    "chaii": {
        "task": "qa",
        "table": {"format": "csv"},
        "columns": {
            "id": "id",
            "context": "context",
            "question": "question",
            "answers": "answer_text",
            "answer_start": "answer_start",
            "language": "language",
        },
    },
    # XNLI. Its machine-translated training sets spell one label differently.
    "classified": [
        {
            "task": "classification",
            "table": {"format": "tsv"},
            "columns": {"text": 1, "pair": 2, "label": label},
            "values": {"contradictory": "contradiction"},
        }
        for label in (3, {"file": 2, "column": 1})
    ],
    "copa": {
        "task": "choice",
        "table": LINES,
        "columns": {
            "premise": "premise",
            "question": {"column": "question", "values": COPA_QUESTIONS},
            "choices": ["choice1", "choice2"],
            "label": "label",
        },
        "labels": ("0", "1"),
    },
    "siqa": {
        "task": "choice",
        "table": LINES,
        "columns": {
            "premise": "context",
            "question": "question",
            "choices": ["answerA", "answerB", "answerC"],
            "label": {"file": 2, "column": 1},
        },
        "labels": ("1", "2", "3"),
    },
}


def published_options(reader: str, files: Sequence[tuple[str, str]], options: ReaderOptions) -> ReaderOptions:
    """The options of a published table that some files, given as (name, text), have the format of."""
    given = FORMATS[reader]
    if not isinstance(given, Mapping):
        if len(files) > len(given):
            message = f"expected at most {len(given)} files, texts and perhaps labels, found {len(files)}"
            raise UserError(message, files[0][0])
        given = given[len(files) - 1]
    return replace(options, **{"labels": options.labels, **given})
