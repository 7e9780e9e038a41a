"""The difference between two schedules by bucket of examples, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crosstune.analysis.buckets import Bucket
from crosstune.analysis.results import Panel
from crosstune.reporting.figures.axes import INDENT, RowChart, difference_axis
from crosstune.reporting.figures.drawing import text_width
from crosstune.reporting.figures.figure import Figure, LegendEntry
from crosstune.reporting.figures.forest import difference_text
from crosstune.reporting.figures.subjects import about_data, about_pair
from crosstune.reporting.tables.buckets import bucket_label, is_sure


@dataclass(frozen=True)
class BucketRow:
    """The difference in one bucket; ends are None below two seeds.

    `sure`: whether Holm's procedure finds another difference than elsewhere.
    """

    attribute: str
    name: str
    mean: float
    low: float | None
    high: float | None
    sure: bool

    @property
    def text(self) -> str:
        return difference_text(self.mean, self.low, self.high)


def bucket_row(bucket: Bucket, confidence: float, pilot: bool = False) -> BucketRow:
    """The row of a bucket. Nothing is sure in a `pilot`."""
    a, b = bucket.scores
    ends = bucket.difference and bucket.difference.interval(confidence)
    low, high = (ends.low, ends.high) if ends else (None, None)
    sure = not pilot and is_sure(bucket, confidence)
    return BucketRow(bucket.attribute, bucket.name, a - b, low, high, sure)


def buckets_figure(entry: Mapping, panel: Panel, buckets: Sequence[Bucket]) -> Figure:
    """A row for every bucket of an entry's panel, under its attribute."""
    pilot, label = panel.study.pilot, bucket_label(entry, panel)
    rows = [bucket_row(bucket, entry["confidence"], pilot) for bucket in buckets]
    ends = [(row.low, row.high) for row in rows if row.low is not None]
    axis = difference_axis([row.mean for row in rows], ends, f"points of {label}")
    room = 12 + max(text_width(row.text) for row in rows)
    names = [*(f"xxx{row.name}" for row in rows), *{row.attribute for row in rows}]
    chart = RowChart(axis, names, right=room)
    by_attribute: dict[str, list[BucketRow]] = {}
    for row in rows:
        by_attribute.setdefault(row.attribute, []).append(row)
    for attribute, own in by_attribute.items():
        chart.heading(attribute)
        for row in own:
            _draw_row(chart, row)
    title = f"{panel.study.names.difference(entry['a'], entry['b'])} by bucket of examples"
    interval = f"mean with {entry['confidence']:.0%} CI" if ends else "mean"
    legend = [LegendEntry(interval, "wide", "circle+line" if ends else "circle")]
    if any(row.sure for row in rows):
        legend.append(LegendEntry("differs from the other examples (Holm)", "main", "square+line"))
    subject = about_pair(entry["a"], entry["b"]) & about_data(panel)
    drawn = chart.chart(f"{title}, in points of {label}.", zero=True, numbered=True, subject=subject)
    return Figure("buckets", title, "", (drawn,), tuple(legend))


def _draw_row(chart: RowChart, row: BucketRow) -> None:
    kind, shape = ("main", "square") if row.sure else ("wide", "circle")
    y = chart.row(row.name, indent=INDENT)
    if row.low is not None:
        chart.interval(y, row.low, row.high, kind)
    chart.mark(y, row.mean, shape, kind, row.text)
    chart.note(y, row.text)
