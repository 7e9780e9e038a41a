"""Tables of the difference between two schedules by bucket of examples (analysis/buckets.py)."""

from collections.abc import Mapping, Sequence

from crosstune.analysis.buckets import FEWEST, Bucket
from crosstune.analysis.estimates import Estimate
from crosstune.analysis.results import Panel
from crosstune.core.text import count, decimal
from crosstune.reporting.tables.formats import TextTable

HEAD = ["bucket", "languages", "examples", "{a}", "{b}", "difference", "against the rest", "Holm's p"]

FIELDS = [
    *("attribute", "bucket", "languages", "examples", "a", "b"),
    *("difference", "low", "high", "against_rest", "rest_low", "rest_high", "p", "holm"),
]

MOST_NAMED = 3  # buckets in the sentence


def bucket_table(entry: Mapping, panel: Panel, buckets: Sequence[Bucket]) -> TextTable:
    """The table of one entry on its panel, with one model."""
    confidence, pilot = entry["confidence"], panel.study.pilot
    rows = [
        [
            f"{bucket.attribute}: {bucket.name}",
            str(len(bucket.languages)),
            str(bucket.examples),
            *(decimal(score, 1) for score in bucket.scores),
            _estimate_text(bucket.difference, confidence),
            _estimate_text(bucket.against_rest, confidence),
            "n/a" if bucket.holm is None else decimal(bucket.holm, 3),
        ]
        for bucket in buckets
    ]
    lines = [FIELDS, *(_line(bucket, confidence) for bucket in buckets)]
    head = [name.format(a=panel.schedule_title(entry["a"]), b=panel.schedule_title(entry["b"])) for name in HEAD]
    caption = describe_buckets(entry, panel, "A pilot decides nothing." if pilot else strongest(entry, panel, buckets))
    return TextTable(f"{entry['name']}.{panel.model}", caption, head, rows, lines)


def describe_buckets(entry: Mapping, panel: Panel, finding: str) -> str:
    """The caption: what is compared, what is left out, and the `finding`."""
    a, b, label = panel.schedule_title(entry["a"]), panel.schedule_title(entry["b"]), bucket_label(entry, panel)
    sentences = [
        f"{label} on {panel.title}, model {panel.model_title}: {a} less {b} by bucket of "
        f"examples, with {100 * entry['confidence']:g}% intervals for other seeds and examples.",
        f"Numbers are in {count(entry['bins'], 'equal part')} of each language, from the lowest (1) to the highest.",
        f"A language takes part with {FEWEST} examples in the bucket and as many outside.",
        "Means over languages are macro-averages. Against the rest: the difference less that on the other examples.",
        finding,
    ]
    return " ".join(sentences)


def bucket_label(entry: Mapping, panel: Panel) -> str:
    """The name of the metric that is compared."""
    return panel.labels[entry["panels"][0]["metric"]]


def strongest(entry: Mapping, panel: Panel, buckets: Sequence[Bucket]) -> str:
    """A sentence: the buckets whose difference is another than on the other examples, by Holm's p over all buckets."""
    if not any(bucket.holm is not None for bucket in buckets):
        return "Below two seeds nothing is tested."
    sure = sorted((b for b in buckets if is_sure(b, entry["confidence"])), key=lambda b: (b.holm, b.against_rest.p))
    a, b = panel.schedule_title(entry["a"]), panel.schedule_title(entry["b"])
    begin = f"Buckets in which {a} less {b} differs from the other examples: "
    if not sure:
        return f"{begin}none after Holm's correction over {count(len(buckets), 'bucket')}."
    named = [f"{bucket.attribute} {bucket.name} ({_against_rest_text(bucket)})" for bucket in sure[:MOST_NAMED]]
    more = f"; and {len(sure) - MOST_NAMED} more" if len(sure) > MOST_NAMED else ""
    return f"{begin}{'; '.join(named)}{more}, after Holm's correction over {count(len(buckets), 'bucket')}."


def is_sure(bucket: Bucket, confidence: float) -> bool:
    """Whether the difference in a bucket is another than on the other examples, after Holm's correction."""
    return bucket.holm is not None and bucket.holm <= 1 - confidence


def _against_rest_text(bucket: Bucket) -> str:
    """`5.1 points more, p = 0.003`."""
    mean, p = bucket.against_rest.mean, decimal(bucket.holm, 3)
    return (
        f"{decimal(abs(mean), 1)} points {'more' if mean > 0 else 'less'}, p {'< 0.001' if p == '0.000' else f'= {p}'}"
    )


def _estimate_text(estimate: Estimate | None, confidence: float) -> str:
    if estimate is None:
        return "n/a"
    ends = estimate.interval(confidence)
    return f"{decimal(estimate.mean, 1)} [{decimal(ends.low, 1)}, {decimal(ends.high, 1)}]"


def _line(bucket: Bucket, confidence: float) -> list:
    numbers: list[float | None] = [*bucket.scores]
    for estimate in (bucket.difference, bucket.against_rest):
        ends = estimate and estimate.interval(confidence)
        numbers += [estimate and estimate.mean, ends and ends.low, ends and ends.high]
    numbers += [bucket.against_rest and bucket.against_rest.p, bucket.holm]
    text = [decimal(number, 4) for number in numbers]
    return [bucket.attribute, bucket.name, len(bucket.languages), bucket.examples, *text]
