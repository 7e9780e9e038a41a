"""The results of a study's contrasts, in sentences and tables.

A result is an entry of contrasts.json (analysis/contrasts.py). It has three inferences, each with its own interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crosstune.analysis.cells import mean_cell
from crosstune.analysis.estimates import NO_VERDICT, UNJUDGED
from crosstune.analysis.intervals import seeds_to_detect
from crosstune.analysis.results import Panel, StudyResults
from crosstune.core.text import count, decimal, named_first
from crosstune.reporting.tables.formats import (
    csv_text,
    escape,
    markdown_text,
    pipe_table,
    style,
    text_float,
    write_files,
)
from crosstune.reporting.tables.table import CsvLayout, Heading, Table

INFERENCES = {
    "seeds": "fixed languages, seeds random",
    "examples": "fixed languages, seeds and items random",
    "languages": "languages as random effect",
}

"""What each interval takes for random; the first gives the verdict."""

NEEDS = {"seeds": "two seeds", "examples": "two seeds and two items", "languages": "two seeds and two families"}

FEW_FAMILIES = 5

"""Below so many, the report calls the inference with languages as random effect a rough guide."""

COMPONENTS = {
    "seed": "seeds, in all languages alike",
    "family": "families of languages",
    "language": "languages",
    "seed x language": "seeds, in each language its own",
    "example": "items of a language, for all seeds alike",
    "seed x example": "items of a language, for each seed its own",
}


def unreached(entry: Mapping) -> str:
    """What neither schedule of a contrast has reached: `beats the trivial baselines`, or the declared scores."""
    lacking = [
        f"reaches {score['needed']:g} in {score['language']} of {score['panel']} ({decimal(score['reached'], 1)})"
        for score in entry.get("not_reached", [])
    ]
    return " or ".join(lacking) or "beats the trivial baselines"


@dataclass(frozen=True)
class ContrastResult:
    """One contrast with one model: its result, sentences and table rows."""

    study: StudyResults
    entry: dict

    @property
    def contrast(self) -> dict:
        return self.entry["contrast"]

    @property
    def name(self) -> str:
        """The contrast's name for readers: `Joint vs English` where it has none of its own and the schedules have."""
        own, named = self.contrast["name"], (self.a_title, self.b_title) != (self.a, self.b)
        return f"{self.a_title} vs {self.b_title}" if own == f"{self.a}-vs-{self.b}" and named else own

    @property
    def title(self) -> str:
        return f"{self.name}, {self.study.names.model(self.entry['model'])}"

    @property
    def a(self) -> str:
        return self.contrast["a"]

    @property
    def b(self) -> str:
        return self.contrast["b"]

    @property
    def a_title(self) -> str:
        return self.study.names.schedule(self.a)

    @property
    def b_title(self) -> str:
        return self.study.names.schedule(self.b)

    @property
    def difference(self) -> str:
        """`joint − english`."""
        return self.study.names.difference(self.a, self.b)

    @property
    def confidence(self) -> str:
        """`95%`."""
        return f"{100 * self.contrast['confidence']:g}%"

    @property
    def smallest_effect(self) -> str:
        return f"{self.contrast['smallest_effect']:g}"

    @property
    def seeds(self) -> int:
        return len(self.entry["seeds"])

    @property
    def has_seeds(self) -> bool:
        """Whether any seed has both schedules."""
        return bool(self.seeds)

    @cached_property
    def panels(self) -> list[Panel]:
        model = self.entry["model"]
        return [Panel(self.study, model, panel["track"], panel["dataset"]) for panel in self.contrast["panels"]]

    @property
    def measures(self) -> str:
        """`SQuAD v1.1 F1 on qa/worldqa`."""
        panels = zip(self.panels, self.contrast["panels"], strict=True)
        parts = (f"{panel.labels[own['metric']]} on {panel.title}" for panel, own in panels)
        return ", ".join(parts)

    def estimate(self, question: str) -> dict | None:
        return self.entry["questions"][question] if self.has_seeds else None

    def verdict(self, question: str) -> str:
        """One of estimates.VERDICTS; inconclusive without an estimate."""
        estimate = self.estimate(question)
        return estimate["verdict"] if estimate else "inconclusive"

    @cached_property
    def units(self) -> list[dict]:
        """The languages of the contrast with their numbers, in the order of its panels' languages."""
        panels = self.contrast["panels"]
        order = [
            language if len(panels) == 1 else f"{panel['dataset']}.{language}"
            for panel in panels
            for language in named_first(panel["languages"], self.study.names.by_kind.get("languages", ()))
        ]
        units = self.entry.get("languages", [])
        return sorted(units, key=lambda unit: order.index(unit["name"]) if unit["name"] in order else len(order))

    @property
    def language_keys(self) -> list[str]:
        """The codes of the languages of `language_rows`."""
        return [unit["name"].rpartition(".")[2] for unit in self.units]

    # --- sentences ---

    @property
    def main_sentence(self) -> str:
        """The verdict for fixed languages and items, in one sentence with its numbers."""
        if not self.has_seeds:
            return f"Nothing can be said of {self.a_title} and {self.b_title}: no seed has scores of both."
        a, b = self.a_title, self.b_title
        wording = {
            "better": f"{a} is better than {b}",
            "worse": f"{a} is worse than {b}",
            "equivalent": f"{a} and {b} are equivalent: they differ by less than {self.smallest_effect} points",
            "inconclusive": f"The data are inconclusive on {a} against {b}",
            UNJUDGED: f"{a} and {b} are not judged: neither {unreached(self.entry)}",
            NO_VERDICT: f"A pilot gives no verdict on {a} and {b}",
        }
        return f"{wording[self.verdict('seeds')]} in {self.languages}: {self.evidence(self.a)}."

    @property
    def languages(self) -> str:
        return count(len(self.entry["languages"]), "language")

    @property
    def unlearned(self) -> list[str]:
        """The names of the languages in which neither schedule beats the trivial baselines."""
        return [unit["name"] for unit in self.units if not unit["learned"]]

    @property
    def cautions(self) -> list[str]:
        """Sentences on what weakens the verdict: languages below trivial baselines, collapsed seeds."""
        if not self.has_seeds:
            return []
        sentences = []
        if names := self.unlearned:
            sentences.append(
                f"In {len(names)} of {self.languages} neither {self.a_title} nor {self.b_title} beats the trivial "
                f"baselines ({', '.join(map(self.unit_label, names))}). These languages count in the mean, "
                "and “equivalent” is withheld."
            )
        collapsed = self.entry["collapsed"].items()
        shown = {"a": self.a_title, "b": self.b_title}
        if runs := [f"seed {seed} of {shown[role]}" for role, seeds in collapsed for seed in seeds]:
            sentences.append(collapse_sentence(runs))
        return sentences

    def evidence(self, schedule: str) -> str:
        """`2.3 points lower on average (95% CI -4.0 to -0.6, 3 seeds)`, of schedule a, or of b."""
        sign = 1 if schedule == self.a else -1
        mean = sign * self.entry["mean"]
        size = f"{decimal(abs(mean), 1)} points {'higher' if mean >= 0 else 'lower'}"
        if not (estimate := self.estimate("seeds")):
            return f"{size} in the only seed, which cannot tell an effect from chance"
        low, high = (decimal(end, 1) for end in sorted(sign * end for end in estimate["interval"]))
        return f"{size} on average ({self.confidence} CI {low} to {high}, {count(self.seeds, 'seed')})"

    @property
    def further_sentences(self) -> list[str]:
        """The verdicts on other examples, on other languages and on single languages, and the sign-flip test."""
        if not self.has_seeds:
            return []
        sentences = [self._elsewhere(question) for question in ("examples", "languages")]
        if "better" in self.entry:
            sentences.append(self._by_language)
        return [*sentences, self._signs]

    @property
    def _by_language(self) -> str:
        better, worse, total = self.entry["better"], self.entry["worse"], len(self.entry["languages"])
        if not better and not worse:
            return f"Language by language, no difference holds after Holm's correction for all {total}."
        return (
            f"Language by language, {self.a_title} is better in at least {better} and worse in at least {worse} of "
            f"{total}, with an error anywhere at most {self.alpha} of the time."
        )

    def _elsewhere(self, question: str) -> str:
        who = {"examples": "With items random too", "languages": "With languages as random effect"}[question]
        estimate = self.estimate(question)
        if not estimate:
            return f"{who}, nothing can be said: that needs {NEEDS[question]}."
        low, high = (decimal(end, 1) for end in estimate["interval"])
        units = ""
        if question == "languages":
            units = f"; {self.entry['families']} families, which count alike"
            if self.entry["families"] < FEW_FAMILIES:
                units += " and are too few for more than a rough guide"
        numbers = f"{decimal(estimate['mean'], 1)}, {self.confidence} CI {low} to {high}{units}"
        verdict = estimate["verdict"]
        saying = f"{self.a_title} is {verdict}" if verdict in ("better", "worse") else f"they are {verdict}"
        saying = {"inconclusive": "the data are inconclusive", NO_VERDICT: "there is no verdict"}.get(verdict, saying)
        if question == "examples" and self.entry["translated"]:
            numbers += f"; {self.entry['translated']} languages have translations of the same examples"
        return f"{who}, {saying} ({numbers})."

    @property
    def _signs(self) -> str:
        flip = self.entry["sign_flip"]
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
    def power_sentence(self) -> str:
        """The minimum detectable effect; empty for a pilot, which trains less."""
        if self.study.pilot or not (estimate := self.estimate("seeds")):
            return ""
        return (
            f"Minimum detectable effect at 80% power, with {count(self.seeds, 'seed')} and fixed languages: "
            f"{decimal(estimate['detects'], 1)} points; declared smallest effect of interest: {self.smallest_effect}, "
            f"which {seeds_needed(self)} seeds would detect."
        )

    @property
    def missing_sentence(self) -> str:
        """The missing seeds and scores; empty if there are none."""
        planned = len(self.entry["planned"])
        if self.seeds == planned:
            return ""
        return (
            f"{planned - self.seeds} of {count(planned, 'seed')} missing, for want of scores of "
            f"{'; '.join(self.entry['lacking'])}."
        )

    @property
    def caption(self) -> str:
        """The caption: schedules, metric, seeds, languages and confidence of the numbers."""
        planned = self.entry["planned"]
        seeds = ", ".join(map(str, self.entry["seeds"])) or "none"
        families = f" of {self.entry['families']} families" if self.has_seeds else ""
        languages = sum(len(panel["languages"]) for panel in self.contrast["panels"])
        sentences = [
            f"{self.title}: {self.difference} in points of {self.measures}; {self.seeds} of {len(planned)} "
            f"seeds ({seeds}); {count(languages, 'language')}{families}; CI: {self.confidence}; smallest "
            f"effect of interest {self.smallest_effect}.",
            self.missing_sentence,
        ]
        return " ".join(filter(None, sentences))

    def unit_title(self, name: str) -> str:
        """`Name (code)` of a language, after its data set if there are several panels."""
        dataset, _, language = name.rpartition(".")
        return ": ".join(filter(None, [self.study.names.dataset(dataset), self.panels[0].language_title(language)]))

    def unit_label(self, name: str) -> str:
        """The same in short: the display name or code of the language, after its data set: `xquad.sw`."""
        dataset, dot, language = name.rpartition(".")
        return self.study.names.dataset(dataset) + dot + self.study.names.language(language)


# --- tables ---


def seeds_needed(result: ContrastResult) -> int:
    """With how many seeds of this standard deviation a t-test detects the smallest effect at 80% power."""
    deviation = result.estimate("seeds")["error"] * math.sqrt(result.seeds)
    return seeds_to_detect(deviation, result.contrast["smallest_effect"], result.contrast["confidence"])


def summary_rows(results: Sequence[ContrastResult]) -> tuple[list[str], list[list[str]]]:
    """One row a contrast: what is compared on what, the difference, the verdict, the seeds that the smallest effect
    needs."""
    head = ["contrast", "difference", "on", "languages", "points", "CI", "verdict", "smallest effect", "seeds needed"]
    rows = []
    for result in results:
        panels, estimate = result.contrast["panels"], result.has_seeds and result.estimate("seeds")
        # A single seed has a difference and no interval.
        points = [decimal(result.entry["mean"], 1), ""] if result.has_seeds else ["", ""]
        names = dict.fromkeys(f"{panel['track']}/{result.study.names.dataset(panel['dataset'])}" for panel in panels)
        numbers = mean_and_interval(estimate) if estimate else points
        needed = str(seeds_needed(result)) if estimate and not result.study.pilot else ""
        name = result.title if len(result.study.plan["models"]) > 1 else result.name
        row = [name, result.difference, ", ".join(names), str(sum(len(panel["languages"]) for panel in panels))]
        rows.append([*row, *numbers, result.verdict("seeds"), result.smallest_effect, needed])
    return head, rows


def summary_caption(results: Sequence[ContrastResult]) -> str:
    """The caption of the summary."""
    confidences = ", ".join(dict.fromkeys(result.confidence for result in results))
    return (
        f"All declared contrasts. Points: mean difference over seeds, with its {confidences} CI; the first schedule is "
        "better above 0. Seeds needed: with so many a t-test detects the smallest effect at 80% power, if differences "
        "vary between seeds as here."
    )


def question_rows(result: ContrastResult) -> tuple[list[str], list[list[str]]]:
    """One row an inference: verdict, difference with its CI, p-values, minimum detectable effect."""
    head = ["inference", "verdict", result.difference, f"{result.confidence} CI", "p", "TOST p", "MDE (80% power)"]
    rows = []
    for question, title in INFERENCES.items():
        estimate = result.estimate(question)
        if not estimate:
            rows.append([title, f"needs {NEEDS[question]}", *[""] * (len(head) - 2)])
            continue
        ps = [p_text(estimate["p"]), p_text(estimate["equivalence_p"])]
        rows.append([title, estimate["verdict"], *mean_and_interval(estimate), *ps, decimal(estimate["detects"], 1)])
    return head, rows


def language_rows(result: ContrastResult) -> tuple[list[str], list[list[str]]]:
    """One row a language: both scores, their difference with its CI, Holm's p with a star if it is small."""
    head = ["language", "family", result.a_title, result.b_title, "trivial baseline", result.difference,
            f"{result.confidence} CI", "p (Holm)", "items"]  # fmt: skip
    rows = []
    for unit in result.units:
        estimate, holm = unit["estimate"], result.entry.get("holm", {}).get(unit["name"])
        numbers = mean_and_interval(estimate) if estimate else [decimal(unit["difference"], 1), ""]
        significant = holm is not None and holm <= 1 - result.contrast["confidence"]
        star = " *" if significant and not result.study.pilot else ""
        scores = [decimal(unit[side], 1) for side in ("a", "b", "baseline")]
        tests = ["" if holm is None else p_text(holm) + star, str(unit["examples"])]
        rows.append([result.unit_title(unit["name"]), unit["family"], *scores, *numbers, *tests])
    return head, rows


def component_rows(result: ContrastResult) -> tuple[list[str], list[list[str]]]:
    """The components of the variance of one seed's difference in one language."""
    parts = result.entry.get("components", {})
    total = sum(parts.values())
    rows = [
        [meaning, decimal(parts[name] ** 0.5, 2), f"{100 * parts[name] / total:.0f}%" if total else ""]
        for name, meaning in COMPONENTS.items()
        if name in parts
    ]
    return ["what differs", "standard deviation", "of the variance"], rows


def collapse_sentence(runs: Sequence[str]) -> str:
    """A caution about collapsed runs."""
    return (
        f"Outlying: {', '.join(runs)} gained less than half of what the best seed of the schedule did. Where trainings "
        "collapse in some seeds, intervals are too narrow."
    )


def mean_and_interval(estimate: dict) -> list[str]:
    """`-2.3` and `[-4.0, -0.6]`."""
    low, high = (decimal(end, 1) for end in estimate["interval"])
    return [decimal(estimate["mean"], 1), f"[{low}, {high}]"]


def p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def contrast_results(study: StudyResults) -> list[ContrastResult]:
    """The results of all contrasts, in the order of the plan."""
    return [ContrastResult(study, entry) for entry in study.contrasts]


def contrast_of_pair(panel: Panel, a: str, b: str, languages: Sequence[str]) -> tuple[ContrastResult, bool] | None:
    """The declared contrast of two schedules in these languages of one panel, and whether it has them in reverse.

    None if the study declares no such contrast.
    """
    wanted = (panel.track, panel.dataset, panel.metric, set(languages))
    for result in contrast_results(panel.study):
        panels = [
            (own["track"], own["dataset"], own["metric"], set(own["languages"])) for own in result.contrast["panels"]
        ]
        if result.entry["model"] == panel.model and panels == [wanted] and {result.a, result.b} == {a, b}:
            return result, result.a == b
    return None


def contrasts_table(study: StudyResults) -> Table | None:
    """The difference of every contrast by seed, over several panels their unweighted mean; None without contrasts."""
    results = contrast_results(study)
    if not results:
        return None
    rows = tuple(
        Heading(
            result.name,
            result.entry["model"],
            result.contrast["name"],
            group_label=study.names.model(result.entry["model"]),
        )
        for result in results
    )
    cells = []
    for result in results:
        panels = zip(result.panels, result.contrast["panels"], strict=True)
        pairs = [[panel.cell(name, own["languages"], own["metric"]) for name in (result.a, result.b)]
                 for panel, own in panels]  # fmt: skip
        cells.append((mean_cell([a.difference(b) for a, b in pairs], pairs[0][0].planned_runs),))
    # The first line of a contrast in the CSV file has seeds alone random.
    layout = CsvLayout(per_row=len(INFERENCES), fields={"mean": "mean"})
    columns = (Heading("difference", "", "difference"),)
    return Table("contrasts", "", "contrast", rows, columns, tuple(cells), csv=layout)


# --- files -----------------------------------------------------------------------------------------------------------

ESTIMATE_COLUMNS = ("mean", "low", "high", "error", "freedom", "p", "tost_p", "verdict")


def write_contrast_tables(study: StudyResults, out: Path) -> None:
    """Write contrasts.{csv,md,tex} into the folder `out`, and contrasts.languages.csv; nothing without contrasts."""
    if results := contrast_results(study):
        contents = {"contrasts.csv": questions_csv(results), "contrasts.languages.csv": languages_csv(results)}
        contents["contrasts.md"] = "\n".join([*contrast_summary(results), *map(contrast_markdown, results)])
        contents["contrasts.tex"] = "\n".join(map(contrast_latex, results))
        write_files(contents, out, study.pilot)


def questions_csv(results: Sequence[ContrastResult]) -> str:
    """One line per contrast, model and question."""
    head = ["contrast", "a", "b", "model", "over", "metric", "question", *ESTIMATE_COLUMNS, "mde",
            "smallest_effect", "confidence", "seeds", "planned", "languages", "families", "bootstrap_low",
            "bootstrap_high", "sign_flip_p"]  # fmt: skip
    lines: list[Sequence] = [head]
    for result in results:
        contrast, entry, panels = result.contrast, result.entry, result.contrast["panels"]
        own = [contrast["name"], contrast["a"], contrast["b"], entry["model"]]
        own += [" ".join(f"{panel['track']}/{panel['dataset']}" for panel in panels)]
        own += [" ".join(panel["metric"] for panel in panels)]
        design = [contrast["smallest_effect"], contrast["confidence"], result.seeds, len(entry["planned"])]
        sizes = [sum(len(panel["languages"]) for panel in panels), entry.get("families", "")]
        for question in INFERENCES:
            estimate = result.estimate(question)
            numbers = [*estimate_numbers(estimate), decimal(estimate and estimate["detects"], 4)]
            ends = [decimal(end, 4) for end in entry.get("bootstrap", {}).get(question) or (None, None)]
            flip = decimal(entry["sign_flip"]["p"], 6) if result.has_seeds and question == "seeds" else ""
            lines.append([*own, question, *numbers, *design, *sizes, *ends, flip])
    return csv_text(lines)


def languages_csv(results: Sequence[ContrastResult]) -> str:
    """One line per contrast, model and language."""
    head = ["contrast", "model", "language", "family", "examples", "score_a", "score_b", "baseline", "difference",
            *ESTIMATE_COLUMNS[1:], "holm_p", "bootstrap_low", "bootstrap_high"]  # fmt: skip
    lines: list[Sequence] = [head]
    for result in results:
        for unit in result.units:
            own = [result.contrast["name"], result.entry["model"], unit["name"], unit["family"], unit["examples"]]
            scores = [decimal(unit[key], 4) for key in ("a", "b", "baseline", "difference")]
            holm = decimal(result.entry.get("holm", {}).get(unit["name"]), 6)
            ends = [decimal(end, 4) for end in unit["bootstrap"] or (None, None)]
            lines.append([*own, *scores, *estimate_numbers(unit["estimate"])[1:], holm, *ends])
    return csv_text(lines)


def estimate_numbers(estimate: dict | None) -> list[str]:
    """The ESTIMATE_COLUMNS of an estimate, empty without one."""
    if not estimate:
        return [""] * len(ESTIMATE_COLUMNS)
    low, high = estimate["interval"]
    values = estimate | {"low": low, "high": high, "tost_p": estimate["equivalence_p"]}
    return [
        values[name] if name == "verdict" else decimal(values[name], 6 if name.endswith("p") else 4)
        for name in ESTIMATE_COLUMNS
    ]


def contrast_summary(results: Sequence[ContrastResult]) -> list[str]:
    """All contrasts as one table of Markdown; nothing for a single one, whose own table says as much."""
    if len(results) < 2:
        return []
    return [markdown_text(summary_caption(results)) + "\n\n" + pipe_table(*summary_rows(results), 3) + "\n"]


def contrast_markdown(result: ContrastResult) -> str:
    """The sentences, then the questions, the languages and the components of the variance."""
    words = [result.main_sentence, *result.cautions, *result.further_sentences, result.power_sentence]
    words = " ".join(words).strip()
    parts = [markdown_text(f"**{result.title}.** {words}"), markdown_text(result.caption)]
    if result.has_seeds:
        parts += [pipe_table(*question_rows(result), 2), pipe_table(*language_rows(result), 2)]
    if result.entry.get("components"):
        parts += [pipe_table(*component_rows(result), 1)]
    return "\n\n".join(parts) + "\n"


def contrast_latex(result: ContrastResult) -> str:
    r"""A `table` float for a document with \usepackage{booktabs}: the questions."""
    head, rows = question_rows(result)
    name = f"contrasts.{result.contrast['name']}.{result.entry['model']}"
    body = [[escape(text) for text in row] for row in rows]
    caption = f"{result.main_sentence} {result.caption}"
    return text_float(name, caption, head, body, 2, style("scriptsize", 2, stretched=True))
