"""The difference between two schedules by bucket of examples, with intervals."""

from collections.abc import Mapping, Sequence

import altair as alt

from crosstune.analysis.buckets import Bucket
from crosstune.reporting.figures.style import BLUE, GREY, chart_spec

WIDTH, STEP = 320, 17


def buckets_figure(entry: Mapping, label: str, buckets: Sequence[Bucket]) -> dict:
    """A row for every bucket: the mean difference, with its interval from two seeds on. `label` names the metric."""
    records = [bucket_record(bucket, entry["confidence"]) for bucket in buckets]
    base = alt.Chart(alt.NamedData("buckets")).encode(
        y=alt.Y("bucket:N", sort=None, title=None, axis=alt.Axis(labelLimit=300))
    )
    x = alt.X("difference:Q", title=f"points of {label}")
    zero = alt.Chart(alt.NamedData("buckets")).mark_rule(color=GREY, strokeDash=[4, 3]).encode(x=alt.datum(0))
    marks = base.mark_point(filled=True, opacity=1, color=BLUE, size=45).encode(
        x=x, shape=alt.Shape("sure:N", scale=alt.Scale(domain=["no", "yes"], range=["circle", "diamond"]), legend=None)
    )
    lines = []
    if any("low" in record for record in records):
        ends = alt.X("low:Q", title=f"points of {label}")
        lines = [base.mark_rule(strokeWidth=1.5, color=BLUE).encode(x=ends, x2="high:Q")]
    title = f"{entry['a']} less {entry['b']} by bucket of examples"
    chart = alt.layer(zero, *lines, marks).properties(width=WIDTH, height=STEP * len(records), title=title)
    return chart_spec(chart, {"buckets": records}, f"{title}, in points of {label}.")


def bucket_record(bucket: Bucket, confidence: float) -> dict:
    """The data of one row. `sure`: whether Holm's procedure finds another difference than elsewhere."""
    a, b = bucket.scores
    record = {
        "bucket": f"{bucket.attribute}: {bucket.name}",
        "difference": round(a - b, 4),
        "sure": "yes" if bucket.holm is not None and bucket.holm <= 1 - confidence else "no",
    }
    if bucket.difference is None:
        return record
    ends = bucket.difference.interval(confidence)
    return record | {"low": round(ends.low, 4), "high": round(ends.high, 4)}
