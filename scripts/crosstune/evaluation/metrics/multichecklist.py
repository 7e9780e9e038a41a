"""MultiCheckList: test cases passed, and the official error rates.

A case passes only if all its examples are answered as the official script compares answers (`clean`). A case without
examples has failed. The official number is the error rate of a test, 100 less the share of its cases that pass. Beside
it stands the share of single examples, and both for the sound cases alone: those that a right answer can pass.

Numbers of which more is better lead; tables can also show the error rates, each 100 less one of the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crosstune.data.multichecklist.answers import EMPTY, clean
from crosstune.data.multichecklist.templates import CAPABILITIES
from crosstune.evaluation.metrics import qa
from crosstune.evaluation.metrics.metric import Metric

TITLE = "MultiCheckList"

TEST_TITLES = {
    "comp": "comparisons",
    "intens": "intensifiers",
    "prop": "properties",
    "prof": "profession vs nationality",
    "anim": "animal vs vehicle",
    "anim2": "animal vs vehicle v2",
}


@dataclass(frozen=True)
class Number:
    """One number: which tests it covers, by name and all if empty; examples or whole cases; sound cases or all."""

    part: str = ""
    tests: tuple[str, ...] = tuple(TEST_TITLES)
    of_examples: bool = False
    sound_only: bool = False

    @property
    def label(self) -> str:
        return f"{TITLE} {'examples correct' if self.of_examples else 'cases passed'}{self._scope}"

    @property
    def error_label(self) -> str:
        return f"{TITLE} error rate{' of examples' if self.of_examples else ''}{self._scope}"

    @property
    def _scope(self) -> str:
        return (f", {self.part}" if self.part else "") + (", sound cases" if self.sound_only else "")

    def terms(self, record: Mapping) -> tuple[float, float]:
        """A case's terms of numerator and denominator."""
        if record["test"] not in self.tests or (self.sound_only and record["faults"]):
            return 0.0, 0
        if self.of_examples:
            return 100.0 * record["right"], record["examples"]
        return record["passed"], 1


def _numbers() -> dict[str, Number]:
    """The numbers by key, the primary one first."""
    parts = {"passed": Number()}
    parts |= {f"passed_{test}": Number(title, (test,)) for test, title in TEST_TITLES.items()}
    for name in dict.fromkeys(CAPABILITIES.values()):
        tests = tuple(test for test, capability in CAPABILITIES.items() if capability == name)
        parts[f"passed_{name.lower()}"] = Number(name.lower(), tests)
    parts["correct"] = Number(of_examples=True)
    return {
        key + suffix: replace(number, sound_only=bool(suffix))
        for key, number in parts.items()
        for suffix in ("", "_sound")
    }


NUMBERS = _numbers()

STANDARD = ("passed", "passed_sound", "correct", "correct_sound")


def error_key(key: str) -> str:
    """The key of an error rate: `error`, `error_comp_sound`, `error_examples`."""
    return key.replace("correct", "error_examples").replace("passed", "error")


def problem(row: dict) -> str | None:
    """The fault of a prediction row of question answering with a `case`, or None."""
    if fault := qa.problem(row):
        return fault
    case = row.get("case")
    kinds = {"test": str, "number": int, "of": int, "faults": list}
    if not isinstance(case, dict) or any(not isinstance(case.get(key), kind) for key, kind in kinds.items()):
        return f'"case" must be a mapping with {", ".join(kinds)}'
    return None if case["test"] in CAPABILITIES else f"there is no test {case['test']!r}"


def measure(rows: Sequence[dict], lang: str) -> list[dict]:
    """One record per case: {"id", "test", "passed" (0 or 100), "examples", "right", "faults"}.

    The cases without examples are those whose numbers the rows leave out.
    """
    cases: dict[tuple[str, int], list[dict]] = {}
    sizes: dict[str, int] = {}
    for row in rows:
        cases.setdefault((row["case"]["test"], row["case"]["number"]), []).append(row)
        sizes[row["case"]["test"]] = row["case"]["of"]
    return [
        _case_record(test, number, cases.get((test, number), []), lang)
        for test, size in sizes.items()
        for number in range(size)
    ]


def _case_record(test: str, number: int, rows: Sequence[dict], lang: str) -> dict:
    right = sum(is_right(row, lang) for row in rows)
    return {
        "id": f"{test}-{number}",
        "test": test,
        "passed": 100.0 * (right == len(rows) > 0),
        "examples": len(rows),
        "right": right,
        "faults": rows[0]["case"]["faults"] if rows else [EMPTY],
    }


def is_right(row: dict, lang: str) -> bool:
    """Whether the answer equals the expected one after the official normalisation."""
    return any(clean(row["prediction"], lang) == clean(gold, lang) for gold in row["gold"])


def summarise(examples: Sequence[dict]) -> dict:
    """The numbers (0 to 100) and their error rates, those that have any case, and the number `n` of cases."""
    scores = {}
    for key, number in NUMBERS.items():
        above, below = (sum(terms) for terms in zip(*map(number.terms, examples), strict=True))
        if below:
            scores[key] = above / below
    errors = {error_key(key): 100 - value for key, value in scores.items()}
    return scores | errors | {"n": len(examples)}


def ratio_terms(record: dict, key: str) -> tuple[float, float]:
    """A case's terms of a number that is no error rate."""
    return NUMBERS[key].terms(record)


MULTICHECKLIST = Metric(
    {key: NUMBERS[key].label for key in STANDARD},
    problem,
    measure,
    summarise,
    ("passed",),
    ratio_terms=ratio_terms,
    part_labels={key: number.label for key, number in NUMBERS.items() if key not in STANDARD},
    error_labels={error_key(key): number.error_label for key, number in NUMBERS.items()},
)
