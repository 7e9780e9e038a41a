"""The results of a study's contrasts in words and tables.

Owns: how a verdict is worded, which numbers stand beside it, tables/contrasts.*. Must never know: formulas, where
scores are stored.

A result is an entry of contrasts.json (contrasts.py). It answers three questions, each with an interval of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crosstune.analysis.results import Panel, StudyResults
from crosstune.core.files import write_text
from crosstune.core.text import count, decimal
from crosstune.reporting.tables.formats import csv_text, escape, latex_table, pipe_table

QUESTIONS = {
    "seeds": "these languages, these examples",
    "examples": "these languages, other examples",
    "languages": "languages in general",
}

"""What a verdict is about; seeds are other ones in all of them."""

NEEDS = {"seeds": "two seeds", "examples": "two seeds and two examples", "languages": "two seeds and two families"}

FEW_FAMILIES = 5

"""Below so many, simulated intervals of languages in general were further from their nominal rate
(docs/results/calibration.md)."""

PARTS = {
    "seed": "seeds, in all languages alike",
    "family": "families of languages",
    "language": "languages",
    "seed x language": "seeds, in each language its own",
    "example": "examples of a language, for all seeds alike",
    "seed x example": "examples of a language, for each seed its own",
}


@dataclass(frozen=True)
class Verdict:
    """One contrast with one model: the result and how it is told."""

    study: StudyResults
    result: dict

    @property
    def contrast(self) -> dict:
        return self.result["contrast"]

    @property
    def title(self) -> str:
        return f"{self.contrast['name']}, {self.result['model']}"

    @property
    def a(self) -> str:
        return self.contrast["a"]

    @property
    def b(self) -> str:
        return self.contrast["b"]

    @property
    def confidence(self) -> str:
        """`95%`."""
        return f"{100 * self.contrast['confidence']:g}%"

    @property
    def smallest(self) -> str:
        return f"{self.contrast['smallest_effect']:g}"

    @property
    def seeds(self) -> int:
        return len(self.result["seeds"])

    @property
    def worked(self) -> bool:
        """Whether any seed has both schedules."""
        return bool(self.seeds)

    @cached_property
    def panels(self) -> list[Panel]:
        model = self.result["model"]
        return [Panel(self.study, model, panel["track"], panel["dataset"]) for panel in self.contrast["panels"]]

    @property
    def measures(self) -> str:
        """`SQuAD v1.1 F1 on qa/worldqa`."""
        panels = zip(self.panels, self.contrast["panels"], strict=True)
        return ", ".join(f"{panel.labels[own['metric']]} on {own['track']}/{own['dataset']}" for panel, own in panels)

    def estimate(self, question: str) -> dict | None:
        return self.result["questions"][question] if self.worked else None

    def verdict(self, question: str) -> str:
        """One of estimates.VERDICTS; undecided where there is no estimate."""
        found = self.estimate(question)
        return found["verdict"] if found else "undecided"

    # --- sentences ---

    @property
    def first(self) -> str:
        """The verdict on these languages and examples, in one sentence with its numbers."""
        if not self.worked:
            return f"Nothing can be said of {self.a} and {self.b}: no seed has scores of both."
        wording = {
            "better": f"{self.a} is better than {self.b}",
            "worse": f"{self.a} is worse than {self.b}",
            "equivalent": f"{self.a} and {self.b} are equivalent: they differ by less than {self.smallest} points",
            "undecided": f"Whether {self.a} or {self.b} is better is undecided",
        }
        return f"{wording[self.verdict('seeds')]} in {self.languages}: {self.evidence_of(self.a)}."

    @property
    def languages(self) -> str:
        return count(len(self.result["languages"]), "language")

    def evidence_of(self, schedule: str) -> str:
        """`2.3 points lower on average (95% interval -4.0 to -0.6, S = 3 seeds)`, of schedule a, or of b."""
        sign = 1 if schedule == self.a else -1
        mean = sign * self.result["mean"]
        size = f"{decimal(abs(mean), 1)} points {'higher' if mean >= 0 else 'lower'}"
        if not (found := self.estimate("seeds")):
            return f"{size} in the only seed, which cannot tell an effect from chance"
        low, high = (decimal(end, 1) for end in sorted(sign * end for end in found["interval"]))
        return f"{size} on average ({self.confidence} interval {low} to {high}, S = {self.seeds} seeds)"

    @property
    def further(self) -> list[str]:
        """What the same data say of other examples and of other languages, of single languages, and of signs alone."""
        if not self.worked:
            return []
        found = [self._elsewhere(question) for question in ("examples", "languages")]
        if "holm" in self.result:
            found.append(self._by_language)
        return [*found, self._signs]

    @property
    def _by_language(self) -> str:
        better, worse, total = self.result["better"], self.result["worse"], len(self.result["languages"])
        if not better and not worse:
            return f"Language by language, no difference holds after Holm's correction for all {total}."
        return (
            f"Language by language, {self.a} is better in at least {better} and worse in at least {worse} of {total}, "
            f"with an error anywhere at most {self.alpha} of the time."
        )

    def _elsewhere(self, question: str) -> str:
        who = {"examples": "For other examples of these languages", "languages": "For languages in general"}[question]
        found = self.estimate(question)
        if not found:
            return f"{who} nothing can be said: that needs {NEEDS[question]}."
        low, high = (decimal(end, 1) for end in found["interval"])
        units = ""
        if question == "languages":
            units = f"; {self.result['families']} families, which count alike"
            if self.result["families"] < FEW_FAMILIES:
                units += " and are too few for more than a rough guide"
        numbers = f"{decimal(found['mean'], 1)}, {self.confidence} interval {low} to {high}{units}"
        verdict = found["verdict"]
        saying = f"{self.a} is {verdict}" if verdict in ("better", "worse") else f"they are {verdict}"
        return f"{who} {'it is undecided' if verdict == 'undecided' else saying} ({numbers})."

    @property
    def _signs(self) -> str:
        flip = self.result["sign_flip"]
        if flip["smallest"] > 1 - self.contrast["confidence"] + 1e-12:
            return (
                f"A sign-flip test is not possible with {count(self.seeds, 'seed')}: its smallest p is "
                f"{p_text(flip['smallest'])}."
            )
        return f"The exact sign-flip test over {self.seeds} seeds gives p = {p_text(flip['p'])}."

    @property
    def alpha(self) -> str:
        return f"{100 * (1 - self.contrast['confidence']):g}%"

    @property
    def power(self) -> str:
        """What the design can find."""
        if not (found := self.estimate("seeds")):
            return ""
        return (
            f"With {self.seeds} seeds this design finds a true difference of {decimal(found['detects'], 1)} points in "
            f"these languages in 80% of all cases; the smallest that matters was declared as {self.smallest}."
        )

    @property
    def missing(self) -> str:
        """What runs are not there; empty where all are."""
        planned = len(self.result["planned"])
        if self.seeds == planned:
            return ""
        return (
            f"{planned - self.seeds} of {count(planned, 'seed')} missing, for want of scores of "
            f"{'; '.join(self.result['lacking'])}."
        )

    @property
    def caption(self) -> str:
        """What a reader must know of the numbers."""
        planned = self.result["planned"]
        seeds = ", ".join(map(str, self.result["seeds"])) or "none"
        families = f" of {self.result['families']} families" if self.worked else ""
        languages = sum(len(panel["languages"]) for panel in self.contrast["panels"])
        sentences = [
            f"{self.title}: {self.a} less {self.b} in points of {self.measures}; S = {self.seeds} of {len(planned)} "
            f"seeds ({seeds}); {count(languages, 'language')}{families}; intervals of {self.confidence}; smallest "
            f"effect of interest {self.smallest}.",
            self.missing,
        ]
        return " ".join(filter(None, sentences))

    # --- tables ---

    def question_rows(self) -> tuple[list[str], list[list[str]]]:
        """One row a question: difference with its interval, verdict, p-values, and what the design finds."""
        head = ["what it is about", "verdict", "difference", "interval", "p", "p of equivalence", "finds in 80%"]
        rows = []
        for question, title in QUESTIONS.items():
            found = self.estimate(question)
            if not found:
                rows.append([title, f"needs {NEEDS[question]}", *[""] * (len(head) - 2)])
                continue
            ps = [p_text(found["p"]), p_text(found["equivalence_p"])]
            rows.append([title, found["verdict"], *with_ends(found), *ps, decimal(found["detects"], 1)])
        return head, rows

    def language_rows(self) -> tuple[list[str], list[list[str]]]:
        """One row a language: both scores, their difference with its interval, Holm's p, and a star where it holds."""
        head = ["language", "family", self.a, self.b, "difference", "interval", "p (Holm)", "", "examples"]
        rows = []
        for entry in self.result.get("languages", []):
            found, holm = entry["estimate"], self.result.get("holm", {}).get(entry["name"])
            numbers = with_ends(found) if found else [decimal(entry["difference"], 1), ""]
            star = "*" if holm is not None and holm <= 1 - self.contrast["confidence"] else ""
            scores = [decimal(entry[side], 1) for side in "ab"]
            tests = ["" if holm is None else p_text(holm), star, str(entry["examples"])]
            rows.append([self.title_of(entry["name"]), entry["family"], *scores, *numbers, *tests])
        return head, rows

    def title_of(self, unit: str) -> str:
        """`Name (code)` of a language, behind its data set where there are several panels."""
        dataset, _, language = unit.rpartition(".")
        return ": ".join(filter(None, [dataset, self.panels[0].language_title(language)]))

    def part_rows(self) -> tuple[list[str], list[list[str]]]:
        """The parts of the variance of one seed's difference in one language."""
        parts = self.result.get("components", {})
        total = sum(parts.values())
        rows = [
            [meaning, decimal(parts[name] ** 0.5, 2), f"{100 * parts[name] / total:.0f}%" if total else ""]
            for name, meaning in PARTS.items()
            if name in parts
        ]
        return ["what differs", "standard deviation", "of the variance"], rows


def with_ends(estimate: dict) -> list[str]:
    """`-2.3` and `[-4.0, -0.6]`."""
    low, high = (decimal(end, 1) for end in estimate["interval"])
    return [decimal(estimate["mean"], 1), f"[{low}, {high}]"]


def p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def verdicts(study: StudyResults) -> list[Verdict]:
    """The results of all contrasts, in the order of the plan."""
    return [Verdict(study, result) for result in study.contrasts]


def declared(panel: Panel, a: str, b: str, languages: Sequence[str]) -> tuple[Verdict, bool] | None:
    """The contrast that compares two schedules in these languages of one panel, and whether it has them the other way
    round; None where the study declares none."""
    wanted = {"track": panel.track, "dataset": panel.dataset, "metric": panel.metric, "languages": set(languages)}
    for found in verdicts(panel.study):
        panels = [own | {"languages": set(own["languages"])} for own in found.contrast["panels"]]
        if found.result["model"] == panel.model and panels == [wanted] and {found.a, found.b} == {a, b}:
            return found, found.a == b
    return None


# --- files -----------------------------------------------------------------------------------------------------------

COLUMNS = ("mean", "low", "high", "error", "freedom", "p", "equivalence_p", "verdict")


def write_verdicts(study: StudyResults, out: Path) -> None:
    """Write contrasts.{csv,md,tex} into the folder `out`, and contrasts.languages.csv; nothing without contrasts."""
    found = verdicts(study)
    if not found:
        return
    write_text(out / "contrasts.csv", questions_csv(found))
    write_text(out / "contrasts.languages.csv", languages_csv(found))
    write_text(out / "contrasts.md", "\n".join(map(verdict_markdown, found)))
    write_text(out / "contrasts.tex", "\n".join(map(verdict_latex, found)))


def questions_csv(verdicts: Sequence[Verdict]) -> str:
    """One line per contrast, model and question."""
    head = ["contrast", "a", "b", "model", "over", "metric", "question", *COLUMNS, "detects"]
    head += [
        "smallest_effect",
        "confidence",
        "seeds",
        "planned",
        "languages",
        "families",
        "bootstrap_low",
        "bootstrap_high",
        "sign_flip_p",
    ]
    lines: list[Sequence] = [head]
    for verdict in verdicts:
        contrast, result = verdict.contrast, verdict.result
        panels = contrast["panels"]
        over = [" ".join(f"{panel['track']}/{panel['dataset']}" for panel in panels)]
        own = [contrast["name"], contrast["a"], contrast["b"], result["model"], *over]
        own += [" ".join(panel["metric"] for panel in panels)]
        drawn = result.get("bootstrap", {})
        for question in QUESTIONS:
            design = [contrast["smallest_effect"], contrast["confidence"], verdict.seeds, len(result["planned"])]
            sizes = [sum(len(panel["languages"]) for panel in panels), result.get("families", "")]
            ends = [decimal(end, 4) for end in drawn.get(question) or (None, None)]
            flip = decimal(result["sign_flip"]["p"], 6) if verdict.worked and question == "seeds" else ""
            found = verdict.estimate(question)
            power = decimal(found and found["detects"], 4)
            lines.append([*own, question, *numbers(found), power, *design, *sizes, *ends, flip])
    return csv_text(lines)


def languages_csv(found: Sequence[Verdict]) -> str:
    """One line per contrast, model and language."""
    head = ["contrast", "model", "language", "family", "examples", "score_a", "score_b", "difference", *COLUMNS[1:]]
    lines: list[Sequence] = [[*head, "holm_p", "bootstrap_low", "bootstrap_high"]]
    for verdict in found:
        for entry in verdict.result.get("languages", []):
            own = [verdict.contrast["name"], verdict.result["model"], entry["name"], entry["family"], entry["examples"]]
            scores = [decimal(entry[key], 4) for key in ("a", "b", "difference")]
            holm = decimal(verdict.result.get("holm", {}).get(entry["name"]), 6)
            ends = [decimal(end, 4) for end in entry["bootstrap"] or (None, None)]
            lines.append([*own, *scores, *numbers(entry["estimate"])[1:], holm, *ends])
    return csv_text(lines)


def numbers(estimate: dict | None) -> list[str]:
    """The COLUMNS of an estimate, empty where there is none."""
    if not estimate:
        return [""] * len(COLUMNS)
    low, high = estimate["interval"]
    values = estimate | {"low": low, "high": high}
    return [
        values[name] if name == "verdict" else decimal(values[name], 6 if name.endswith("p") else 4) for name in COLUMNS
    ]


def verdict_markdown(verdict: Verdict) -> str:
    """Words first, then the questions, the languages and the parts of the variance."""
    words = " ".join([verdict.first, *verdict.further, verdict.power]).strip()
    parts = [f"**{verdict.title}.** {words}"]
    if verdict.worked:
        parts += [verdict.caption, pipe_table(*verdict.question_rows(), 2), pipe_table(*verdict.language_rows(), 2)]
    else:
        parts += [verdict.caption]
    if verdict.result.get("components"):
        parts += [pipe_table(*verdict.part_rows(), 1)]
    return "\n\n".join(parts) + "\n"


def verdict_latex(verdict: Verdict) -> str:
    r"""A `table` float for a document with \usepackage{booktabs}: the questions."""
    head, rows = verdict.question_rows()
    name = f"contrasts.{verdict.contrast['name']}.{verdict.result['model']}"
    return latex_table(
        name, f"{verdict.first} {verdict.caption}", head, [[escape(cell) for cell in row] for row in rows], 2
    )
