"""Experiment trackers of a study: what its trainings are told, and whether they are installed (docs/trackers.md)."""

from importlib.util import find_spec

from crosstune.core.errors import UserError
from crosstune.core.files import canonical_json
from crosstune.study.graph import Expansion, Study

# What installs each; TensorBoard's files can also be written by tensorboardX.
PACKAGES = {"tensorboard": "tensorboard==2.21.0", "wandb": "wandb", "mlflow": "mlflow", "trackio": "trackio"}
OTHER_MODULES = {"tensorboard": ("tensorboardX",)}


def tracker_environment(study: Study) -> dict[str, str]:
    """The variable that tells trainings the trackers, also that there are none."""
    value = {"names": study.config.get("trackers", []), "results": study.results}
    return {"CROSSTUNE_TRACKERS": canonical_json(value)}


def check_trackers(study: Expansion) -> None:
    """UserError for a tracker that is not in this environment, if its jobs run here.

    An environment without torch plans jobs that run elsewhere.
    """
    for name in study.config.get("trackers", []) if find_spec("torch") is not None else []:
        if not any(map(find_spec, (name, *OTHER_MODULES.get(name, ())))):
            message = f"the tracker {name} needs the package {name}, which is not installed"
            raise UserError(message, "trackers", f"pip install {PACKAGES[name]}")
