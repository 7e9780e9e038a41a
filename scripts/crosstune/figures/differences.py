"""One schedule against another, language by language and family by family, with intervals."""

import statistics
from collections.abc import Iterable

import altair as alt

from crosstune.collect import Panel
from crosstune.figures.style import GREY, finished
from crosstune.intervals import CONFIDENCE, interval

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
        if {a, b} <= set(panel.schedules) and (a, b) not in found and (b, a) not in found:
            found.append((a, b))
    return found


def differences_figure(panel: Panel) -> dict:
    """A chart for every pair of schedules; rows are families, by name, each over its languages."""
    rows = family_rows(panel)
    charts, data = [], {}
    for place, (a, b) in enumerate(pairs(panel)):
        name = f"{a} - {b}"
        data[name] = [
            record for label, kind, languages in rows if (record := difference(panel, a, b, label, kind, languages))
        ]
        charts.append(difference_chart(name, [label for label, _, _ in rows], panel, labelled=place == 0))
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


def difference_chart(name: str, rows: list[str], panel: Panel, labelled: bool) -> alt.LayerChart:
    """The rows of one pair; only the first has their names."""
    base = alt.Chart(alt.NamedData(name)).encode(
        y=alt.Y(
            "row:N", sort=rows, scale=alt.Scale(domain=rows), title=None, axis=alt.Axis(labels=labelled, labelLimit=200)
        )
    )
    kinds = alt.Scale(domain=[FAMILY, LANGUAGE], range=["diamond", "circle"])
    tip = [
        alt.Tooltip("row:N", title="language"),
        *(alt.Tooltip(f"{field}:Q", format="+.1f") for field in ("difference", "low", "high")),
    ]
    zero = alt.Chart(alt.NamedData(name)).mark_rule(color=GREY, strokeDash=[4, 3]).encode(x=alt.datum(0))
    return alt.layer(
        zero,
        base.mark_rule(strokeWidth=1.5, color="#0072b2").encode(
            x=alt.X("low:Q", title=f"points of {panel.labels[panel.metric]}"), x2="high:Q"
        ),
        base.mark_point(filled=True, opacity=1, color="#0072b2").encode(
            x="difference:Q",
            shape=alt.Shape("kind:N", scale=kinds, legend=None),
            size=alt.Size("kind:N", scale=alt.Scale(domain=[FAMILY, LANGUAGE], range=[110, 45]), legend=None),
            tooltip=tip,
        ),
    ).properties(width=WIDTH, height=STEP * len(rows), title=name)
