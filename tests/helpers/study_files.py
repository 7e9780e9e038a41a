"""The files of a finished study, written without training."""

from pathlib import Path

import yaml

from crosstune.core.files import write_json
from crosstune.data.prepare import PREPARE_VERSION
from crosstune.evaluation.scoring import SCORE_VERSION
from crosstune.study.build import build_study
from crosstune.study.graph import Study
from crosstune.study.specs import predict_spec

ROOT = Path(__file__).parents[2]
HOME = "results/small/tiny/seed1/qa"
CODE = {"code": {"commit": "0123456789abcdef", "changed": False}, "lock_sha256": "feed" * 16}
COST = {
    "seconds": 10.0, "device": "a processor", "devices": 0, "cores": 1, "energy_wh": None, "energy_of": [],
    "began": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:00:10+00:00", **CODE,
}  # fmt: skip


def workflow_study(**changes) -> Study:
    """The study of the workflow tests, with changed keys of its config."""
    return build_study(yaml.safe_load((ROOT / "tests/workflow/small.yaml").read_text()) | changes, ROOT)


def write_training(study: Study, path: str, **cost) -> None:
    """The manifest and the cost record of a checkpoint."""
    write_json(Path(path, "stage.json"), {"spec": study.checkpoints[path].spec, "weights": "abc"})
    write_json(Path(path, "cost.json"), COST | cost)


def write_predictions(study: Study, path: str, **cost) -> None:
    """Predictions and scores of a checkpoint on all its evaluation data."""
    for dataset in study.checkpoints[path].evaluate:
        write_json(Path(path, "predictions", f"{dataset}.json"), {"spec": predict_spec(study, path, dataset)})
        write_json(Path(path, "predictions", dataset, "cost.json"), COST | cost)
        write_json(Path(path, "scores", f"{dataset}.json"), {"score_version": SCORE_VERSION})


def write_manifests(manifests: list[str]) -> None:
    """The manifests of prepared splits."""
    for number, path in enumerate(manifests):
        source = {"hub": "an/id", "revision": f"{'c' * 39}{number % 2}", "file": "x.parquet", "sha256": "5" * 64}
        content = {"rows": 10, "sha256": f"{number:064}", "sources": [source]}
        write_json(path, content | {"version": PREPARE_VERSION})
