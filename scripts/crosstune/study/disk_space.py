"""The disk space of a study's weights, by what it keeps, and the advice to keep fewer."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crosstune.artifacts.checkpoint import has_weights
from crosstune.study.adapters import sizes_of, stored_parameters
from crosstune.study.graph import Checkpoint, Study
from crosstune.study.model_size import Size, parameters_of
from crosstune.study.retention import POLICIES, RetentionPolicy

BYTES_A_PARAMETER = 4  # weights are stored in fp32

# Weights of so many bytes are more than a usual quota of a home or a project.
LARGE = 100e9


@dataclass(frozen=True)
class Weights:
    """Bytes of a study's weights: all of them, and the most at once. `unknown`: checkpoints of unknown size."""

    all: int
    most: int
    unknown: int


class WeightsOnDisk:
    """The weights of a study's own checkpoints, if one job runs at a time."""

    def __init__(self, study: Study, retention: RetentionPolicy):
        self._study, self._retention = study, retention
        self._policy = study.config["keep_weights"]

    @cached_property
    def _sizes(self) -> dict[str, int | None]:
        """Bytes of each checkpoint; None where the model does not state its parameters."""
        models = sizes_of(self._study.config)
        own = {path: node for path, node in self._study.checkpoints.items() if not node.is_given}
        return {path: _checkpoint_bytes(self._study, node, models) for path, node in own.items()}

    def amounts(self) -> Weights:
        """The bytes by the study's own policy."""
        sizes = list(self._sizes.values())
        return Weights(sum(filter(None, sizes)), self._most(self._policy), sizes.count(None))

    def advice(self, free: int) -> list[str]:
        """A line if the weights to come exceed `free` bytes, or are large; it names what other policies need."""
        amounts = self.amounts()
        if amounts.most <= min(free, LARGE):
            return []
        present = sum(size or 0 for path, size in self._sizes.items() if has_weights(path))
        missing = max(0, amounts.most - present)
        if missing <= free and (self._policy != "all" or missing <= LARGE):
            return []
        verdict = "MORE THAN" if missing > free else "of"
        line = f"weights still to write: about {_gigabytes(missing)}, {verdict} the {_gigabytes(free)} free here"
        smaller = {policy: self._most(policy) for policy in POLICIES if self._most(policy) < amounts.most}
        if smaller:
            needs = ", ".join(f"{policy} {_gigabytes(most)}" for policy, most in smaller.items())
            line += f"; with keep_weights at most at once: {needs}, and the same results"
        return [line]

    def _most(self, policy: str) -> int:
        return self._retention.peak_disk(lambda path: self._sizes.get(path) or 0, policy)


def free_space(folder: Path) -> int:
    """Bytes that are free on the disk of a folder, which need not exist. It knows of no quotas."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def _checkpoint_bytes(study: Study, node: Checkpoint, sizes: Mapping[str, Size]) -> int | None:
    """Bytes of a checkpoint's weights, and of AdamW's two moments if they are kept; of a whole model without heads."""
    model = study.config["models"][node.location.model]
    parameters = stored_parameters(study, node, sizes) if "lora" in model and node.parents else parameters_of(model)
    return parameters and parameters * BYTES_A_PARAMETER * (3 if node.keep_optimizer else 1)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:,.0f} GB" if size >= 10e9 else f"{size / 1e9:.1f} GB"
