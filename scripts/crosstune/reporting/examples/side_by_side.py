"""Drawn examples of a panel: what is asked, the gold answer, and the answer of every schedule with its score.

A language's examples are the first ones in an order of ids that a seed decides. So all schedules answer the same ones,
a larger number adds to them, and languages with the same ids have the same examples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.analysis.results import FINAL, Panel
from crosstune.core.errors import UserError
from crosstune.core.files import read_jsonl
from crosstune.core.random_streams import derive
from crosstune.core.text import decimal

# The keys of a row that are shown, by what they are called; of several that mean one thing, a row has one.
CONTEXTS = ("context", "premise")
QUESTIONS = ("question", "text", "query")

# The most items of a ranked list that are shown, and what stands for the others.
MOST_RANKED, MORE = 3, "…"


@dataclass(frozen=True)
class TextPart:
    """A piece of a text; `kind` says why it stands out: `gold`, `wrong` or nothing."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer of a schedule, with its score from 0 to 100 (None: the metric has none of a single example)."""

    parts: tuple[TextPart, ...]
    score: float | None

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)

    @property
    def score_text(self) -> str:
        return decimal(self.score, 0)


@dataclass(frozen=True)
class ShownExample:
    """One row: the language, what is asked, and the answers by schedule."""

    language: str
    id: str
    context: tuple[TextPart, ...]
    question: str
    gold: str
    answers: Mapping[str, Answer]

    @property
    def context_text(self) -> str:
        return "".join(part.text for part in self.context)


@dataclass(frozen=True)
class ExampleFiles:
    """Where rows, predictions and scores are: the folders of data and of the study's results, and the runs' seed."""

    data: Path
    results: Path
    seed: int

    def rows(self, panel: Panel, language: str) -> dict[str, dict]:
        """The prepared test rows of a language, by id."""
        return by_id(self.data / dataset_name(panel) / f"test.{language}.jsonl")

    def predictions(self, panel: Panel, schedule: str, language: str) -> dict[str, dict]:
        """The rows of a schedule's predictions of a language, by id."""
        return by_id(self.results / self.stage(panel, schedule) / f"predictions/{dataset_name(panel)}/{language}.jsonl")

    def scores(self, panel: Panel, schedule: str) -> dict[tuple[str, str], float | None]:
        """The score of every example of a schedule, by language and id."""
        path = self.results / self.stage(panel, schedule) / f"scores/{dataset_name(panel)}.examples.jsonl"
        found = {}
        for record in read_jsonl(path):
            above, below = panel.metric_spec.ratio_terms(record, panel.metric)
            found[record["lang"], record["id"]] = above / below if below else None
        return found

    def stage(self, panel: Panel, schedule: str) -> str:
        """The folder of a schedule's last stage, of the seed's first run."""
        return next(run["stages"][FINAL] for run in panel.runs(schedule) if run["seed"] == self.seed)


def dataset_name(panel: Panel) -> str:
    """The name of the data set in files: of data in folds the first fold."""
    return panel.fold_dataset(panel.folds[0])


def by_id(path: Path) -> dict[str, dict]:
    """The rows of a file of JSON lines by their id."""
    return {row["id"]: row for row in read_jsonl(path)}


def drawn_examples(panel: Panel, files: ExampleFiles, number: int) -> list[ShownExample]:
    """`number` examples of every language, or all if there are fewer.

    Raises UserError for a prediction without a row: the rows were prepared anew since.
    """
    schedules = panel.schedules
    scores = {schedule: files.scores(panel, schedule) for schedule in schedules}
    found = []
    for language in panel.languages:
        rows = files.rows(panel, language)
        predictions = {schedule: files.predictions(panel, schedule, language) for schedule in schedules}
        for name in drawn_ids(predictions[schedules[0]], files.seed, panel.dataset, number):
            if name not in rows or any(name not in own for own in predictions.values()):
                fix = "Run the study again."
                raise UserError(f"{panel.dataset}.{language} has no row, or no prediction, {name!r}", fix=fix)
            answers = {
                schedule: Answer(answer_parts(own[name]), scores[schedule].get((language, name)))
                for schedule, own in predictions.items()
            }
            found.append(example(language, rows[name], next(iter(predictions.values()))[name], answers))
    return found


def drawn_ids(ids: Sequence[str] | Mapping[str, Any], seed: int, dataset: str, number: int) -> list[str]:
    """The first ids of the order of a seed."""
    return sorted(ids, key=lambda name: derive(seed, "shown examples", dataset, name))[:number]


def example(
    language: str, row: Mapping[str, Any], predicted: Mapping[str, Any], answers: dict[str, Answer]
) -> ShownExample:
    """One example from its prepared row and from the gold answer of a row of predictions."""
    context = next((str(row[key]) for key in CONTEXTS if key in row), "")
    question = " / ".join(str(row[key]) for key in (*QUESTIONS, "pair") if key in row)
    if "tokens" in row:
        question = " ".join(row["tokens"])
    elif "choices" in row:
        question += "".join(f" [{number}] {choice}" for number, choice in enumerate(row["choices"]))
    gold = predicted.get("gold")
    first = gold[0] if isinstance(gold, list) and gold and isinstance(gold[0], str) else ""
    starts = row["answers"]["answer_start"] if isinstance(row.get("answers"), Mapping) else []
    shown = " ".join(gold) if "tokens" in row else " | ".join(dict.fromkeys(texts_of(gold)))
    return ShownExample(language, row["id"], marked_context(context, first, starts), question, shown, answers)


def marked_context(context: str, answer: str, starts: Sequence[int]) -> tuple[TextPart, ...]:
    """The context with its first gold answer as a part of its own, if it stands where the row says."""
    start = starts[0] if starts else -1
    if start < 0 or not answer or context[start : start + len(answer)] != answer:
        return (TextPart(context),)
    end = start + len(answer)
    return TextPart(context[:start]), TextPart(answer, "gold"), TextPart(context[end:])


def answer_parts(predicted: Mapping[str, Any]) -> tuple[TextPart, ...]:
    """A predicted answer in parts: of tags, those that differ from the gold ones are wrong."""
    value, gold = predicted.get("prediction"), predicted.get("gold")
    if is_tags(value, gold):
        parts = []
        for place, (own, right) in enumerate(zip(value, gold, strict=True)):
            parts += [TextPart(" ")] if place else []
            parts.append(TextPart(own, "" if own == right else "wrong"))
        return tuple(parts)
    texts = texts_of(value)
    more = [MORE] if len(texts) > MOST_RANKED else []
    return (TextPart(" | ".join([*texts[:MOST_RANKED], *more])),)


def is_tags(value: object, gold: object) -> bool:
    """Whether an answer is a tag for every token."""
    texts = [*value, *gold] if isinstance(value, list) and isinstance(gold, list) else [None]
    return all(isinstance(text, str) for text in texts) and len(value) == len(gold)


def texts_of(value: object) -> list[str]:
    """An answer, or every one of several answers or ranked candidates, as text."""
    values = value if isinstance(value, list) else [value]
    return [str(own) for own in values if own is not None]
