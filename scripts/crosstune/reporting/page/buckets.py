"""The page's answer to the question where a schedule helps, from the files of rule buckets (docs/buckets.md)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crosstune.analysis.buckets import Bucket
from crosstune.analysis.results import Panel, StudyResults
from crosstune.core.files import read_json
from crosstune.reporting.figures.buckets import buckets_figure
from crosstune.reporting.figures.figure import Figure
from crosstune.reporting.tables.buckets import bucket_label, bucket_table, strongest
from crosstune.reporting.tables.formats import TextTable


@dataclass(frozen=True)
class BucketAnswer:
    """One comparison with one model; `figure` is None without buckets."""

    title: str
    sentence: str
    table: TextTable
    figure: Figure | None
    file: str


def bucket_answers(study: StudyResults, results: Path) -> Iterator[BucketAnswer]:
    """The study's comparisons by bucket, as far as they are computed."""
    for entry in study.plan.get("buckets", []):
        plan = entry["panels"][0]
        for model in study.plan["models"]:
            path = results / "buckets" / f"{entry['name']}.{model}.json"
            if not path.exists():
                continue
            buckets = [Bucket.from_entry(bucket) for bucket in read_json(path)]
            panel = Panel(study, model, plan["track"], plan["dataset"])
            difference = study.names.difference(entry["a"], entry["b"])
            yield BucketAnswer(
                f"{difference}, {bucket_label(entry, panel)} on {panel.title}, {panel.model_title}",
                "A pilot decides nothing." if study.pilot else strongest(entry, panel, buckets),
                bucket_table(entry, panel, buckets),
                buckets_figure(entry, panel, buckets) if buckets else None,
                f"buckets/{path.stem}.svg",
            )
