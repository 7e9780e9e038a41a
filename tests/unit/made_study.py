"""The files of a study, as its jobs leave them, written without training anything."""

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
MAKER = {"code": {"commit": "0123456789abcdef", "changed": False}, "lock_sha256": "feed" * 16}
COST = {
    "seconds": 10.0, "device": "a processor", "devices": 0, "cores": 1, "energy_wh": None, "energy_of": [],
    "began": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:00:10+00:00", **MAKER,
}  # fmt: skip


def small_study(**changes) -> Study:
    """The study of the workflow's tests, with other values for keys of its config."""
    return build_study(yaml.safe_load((ROOT / "tests/workflow/small.yaml").read_text()) | changes, ROOT)


def make_training(study: Study, path: str, **cost) -> None:
    """A checkpoint with its manifest, and what it took."""
    write_json(Path(path, "stage.json"), {"spec": study.checkpoints[path].spec, "weights": "abc"})
    write_json(Path(path, "cost.json"), COST | cost)


def make_predictions(study: Study, path: str, **cost) -> None:
    """Predictions of a checkpoint on all that it is evaluated on, and their scores."""
    for dataset in study.checkpoints[path].evaluate:
        write_json(Path(path, "predictions", f"{dataset}.json"), {"spec": predict_spec(study, path, dataset)})
        write_json(Path(path, "predictions", dataset, "cost.json"), COST | cost)
        write_json(Path(path, "scores", f"{dataset}.json"), {"score_version": SCORE_VERSION})


def make_data(manifests: list[str]) -> None:
    """Prepared splits, as their manifests tell of them."""
    for number, path in enumerate(manifests):
        source = {"hub": "an/id", "revision": f"{'c' * 39}{number % 2}", "file": "x.parquet", "sha256": "5" * 64}
        told = {"rows": 10, "sha256": f"{number:064}", "licence": "CC0-1.0", "sources": [source]}
        write_json(path, told | {"version": PREPARE_VERSION})
