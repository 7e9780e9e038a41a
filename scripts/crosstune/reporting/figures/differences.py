"""One schedule against another, language by language and family by family, with intervals."""

import statistics
from collections.abc import Iterable

import altair as alt

from crosstune.analysis.intervals import CONFIDENCE, interval
from crosstune.analysis.results import Panel
from crosstune.reporting.figures.style import BLUE, GREY, finished

WIDTH = 210

STEP = 17

FAMILY, LANGUAGE = "family", "language"


def pairs(panel: Panel) -> list[tuple[str, str]]:
    """What is compared: the study's declared contrasts on this data set, then the headline's, each once."""
    declared = [
        (contrast["a"], contrast["b"])
        for contrast in panel.study.plan.get("contrasts", [])
        if any((own["track"], own["dataset"]) == (panel.track, panel.dataset) for own in contrast["panels"])
    ]
    roles = panel.study.plan.get("headline") or {}
    asked = [(roles.get(a), roles.get(b)) for a, b in (("joint", "single"), ("sequential", "joint"))]
    found: list[tuple[str, str]] = []
    for a, b in [*declared, *asked]:
        known = {a, b} <= set(panel.schedules) and (a, b) not in found and (b, a) not in found
        if known and any(difference(panel, a, b, "", "", [language]) for language in panel.languages):
            found.append((a, b))
    return found


def differences_figure(panel: Panel) -> dict:
    """A chart for every pair of schedules; rows are families, by name, each over its languages."""
    rows = family_rows(panel)
    data = {
        f"{a} - {b}": [
            record for label, kind, languages in rows if (record := difference(panel, a, b, label, kind, languages))
        ]
        for a, b in pairs(panel)
    }
    labels = [label for label, _, _ in rows]
    charts = [
        difference_chart(name, labels, panel, labelled=place == 0, ranged=any("low" in record for record in records))
        for place, (name, records) in enumerate(data.items())
    ]
    told = (
        f"Differences in {panel.labels[panel.metric]} by language and family, with {CONFIDENCE:.0%} intervals: "
        + ", ".join(data)
    )
    return finished(alt.hconcat(*charts, spacing=12), data, told)


def family_rows(panel: Panel) -> list[tuple[str, str, list[str]]]:
    """(label, kind, languages) of every row: a family of several languages heads them."""
    families: dict[str, list[str]] = {}
    for language in panel.languages:
        families.setdefault(panel.family(language), []).append(language)
    rows = []
    for family, languages in sorted(families.items()):
        if len(languages) > 1:
            rows.append((f"{family}: mean of {len(languages)}", FAMILY, languages))
        rows += [(panel.title(language), LANGUAGE, [language]) for language in languages]
    return rows


def difference(panel: Panel, a: str, b: str, label: str, kind: str, languages: Iterable[str]) -> dict | None:
    """The mean difference of one row with its interval over seeds; without one where a single seed has both."""
    cells = [panel.cell(schedule, list(languages), panel.metric) for schedule in (a, b)]
    values = cells[0].minus(cells[1]).values
    if not values:
        return None
    record = {
        "row": label,
        "kind": kind,
        "difference": round(statistics.fmean(values.values()), 4),
        "runs": len(values),
    }
    found = interval(values)
    return record | ({"low": round(found.low, 4), "high": round(found.high, 4)} if found else {})


def difference_chart(name: str, rows: list[str], panel: Panel, labelled: bool, ranged: bool) -> alt.LayerChart:
    """The rows of one pair, `labelled` with their names, `ranged` with their intervals."""
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
