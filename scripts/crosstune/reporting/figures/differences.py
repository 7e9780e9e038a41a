"""Differences between two schedules by language and by family, with confidence intervals."""

import statistics
from collections.abc import Iterable

import altair as alt

from crosstune.analysis.intervals import CONFIDENCE, interval
from crosstune.analysis.results import Panel
from crosstune.reporting.figures.style import BLUE, GREY, chart_spec

WIDTH = 210

STEP = 17

FAMILY, LANGUAGE = "family", "language"


def compared_schedules(panel: Panel) -> list[tuple[str, str]]:
    """Pairs of schedules: the study's declared contrasts on this data set, then those of the headline, each once."""
    declared = [
        (contrast["a"], contrast["b"])
        for contrast in panel.study.plan.get("contrasts", [])
        if any((entry["track"], entry["dataset"]) == (panel.track, panel.dataset) for entry in contrast["panels"])
    ]
    roles = panel.study.plan.get("headline") or {}
    headline = [(roles.get(a), roles.get(b)) for a, b in (("joint", "single"), ("sequential", "joint"))]
    pairs: list[tuple[str, str]] = []
    for a, b in [*declared, *headline]:
        new = {a, b} <= set(panel.schedules) and (a, b) not in pairs and (b, a) not in pairs
        if new and any(difference_record(panel, a, b, "", "", [language]) for language in panel.languages):
            pairs.append((a, b))
    return pairs


def differences_figure(panel: Panel) -> dict:
    """A chart per pair of schedules, with a row per language and per family of several languages."""
    rows = family_rows(panel)
    data = {
        f"{a} - {b}": [
            record
            for label, kind, languages in rows
            if (record := difference_record(panel, a, b, label, kind, languages))
        ]
        for a, b in compared_schedules(panel)
    }
    labels = [label for label, _, _ in rows]
    charts = [
        difference_chart(name, labels, panel, labelled=place == 0, ranged=any("low" in record for record in records))
        for place, (name, records) in enumerate(data.items())
    ]
    title = f"Differences in {panel.labels[panel.metric]} by language and family, with {CONFIDENCE:.0%} intervals: "
    return chart_spec(alt.hconcat(*charts, spacing=12), data, title + ", ".join(data))


def family_rows(panel: Panel) -> list[tuple[str, str, list[str]]]:
    """(label, kind, languages) of every row; a family of several languages precedes them."""
    families: dict[str, list[str]] = {}
    for language in panel.languages:
        families.setdefault(panel.family(language), []).append(language)
    rows = []
    for family, languages in sorted(families.items()):
        if len(languages) > 1:
            rows.append((f"{family}: mean of {len(languages)}", FAMILY, languages))
        rows += [(panel.language_title(language), LANGUAGE, [language]) for language in languages]
    return rows


def difference_record(panel: Panel, a: str, b: str, label: str, kind: str, languages: Iterable[str]) -> dict | None:
    """The mean difference of one row and its interval over seeds (none for a single seed); None without a value."""
    cells = [panel.cell(schedule, list(languages), panel.metric) for schedule in (a, b)]
    difference = cells[0].difference(cells[1])
    values = difference.values
    if not values:
        return None
    record = {
        "row": label,
        "kind": kind,
        "difference": round(statistics.fmean(values.values()), 4),
        "runs": len(values),
    }
    ends = interval(values, resolution=difference.resolution)
    return record | ({"low": round(ends.low, 4), "high": round(ends.high, 4)} if ends else {})


def difference_chart(name: str, rows: list[str], panel: Panel, labelled: bool, ranged: bool) -> alt.LayerChart:
    """The rows of one pair; `labelled` shows their names, `ranged` their intervals."""
    base = alt.Chart(alt.NamedData(name)).encode(
        y=alt.Y(
            "row:N",
            scale=alt.Scale(domain=rows),
            title=None,
            axis=alt.Axis(labels=labelled, labelLimit=200),
        )
    )
    x = alt.X("difference:Q", title=f"points of {panel.labels[panel.metric]}")
    numbers = ("difference", "low", "high") if ranged else ("difference",)
    zero = alt.Chart(alt.NamedData(name)).mark_rule(color=GREY, strokeDash=[4, 3]).encode(x=alt.datum(0))
    mean = base.mark_point(filled=True, opacity=1, color=BLUE).encode(
        x=x,
        shape=alt.Shape("kind:N", scale=alt.Scale(domain=[FAMILY, LANGUAGE], range=["diamond", "circle"]), legend=None),
        size=alt.condition(f"datum.kind === '{FAMILY}'", alt.value(110), alt.value(45)),
        tooltip=[
            alt.Tooltip("row:N", title="language"),
            *(alt.Tooltip(f"{field}:Q", format="+.1f") for field in numbers),
        ],
    )
    ends = alt.X("low:Q", title=f"points of {panel.labels[panel.metric]}")
    lines = [base.mark_rule(strokeWidth=1.5, color=BLUE).encode(x=ends, x2="high:Q")] if ranged else []
    title = alt.TitleParams(name, frame="group")
    return alt.layer(zero, *lines, mean).properties(width=WIDTH, height=STEP * len(rows), title=title)
