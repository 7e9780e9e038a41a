"""Which finished results are what the study asks for, and which ones it would replace.

Snakemake reruns a job if an input is remade, whatever its content. A current result's job therefore takes its inputs as
`ancient`: rows that are prepared again with the same content, or a results folder that was copied, train nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from crosstune.artifacts.checkpoint import MANIFEST, rows_name
from crosstune.core.errors import UserError
from crosstune.core.files import read_json_or_empty
from crosstune.core.text import count
from crosstune.study.content_keys import ContentKeys
from crosstune.study.graph import Checkpoint, Expansion
from crosstune.study.paths import PreparedPath
from crosstune.study.specs import predict_spec

# Keys of a checkpoint's spec that say which stages came before: a change there is reported for those stages.
ANCESTORS = ("parent", "average", "after")

EARLIER = "an earlier stage"

# The number of changes that a line names.
MAX_NAMED = 4

MAX_VALUE_LENGTH = 40


@dataclass
class _Replaced:
    """The finished results of a track that other ones would replace, and the changes behind that."""

    checkpoints: int = 0
    predictions: int = 0
    changes: dict[str, None] = field(default_factory=dict)

    def line(self, home: str) -> str:
        """`track qa changed: recipe.lr 3e-05 -> 5e-05; 12 finished checkpoints are made anew, ...`."""
        own = [change for change in self.changes if change != EARLIER] or [EARLIER]
        more = f" and {len(own) - MAX_NAMED} more" if len(own) > MAX_NAMED else ""
        numbers = {"finished checkpoint": self.checkpoints, "finished prediction": self.predictions}
        made = " and ".join(count(number, noun) for noun, number in numbers.items() if number)
        return f"{home} changed: {', '.join(own[:MAX_NAMED])}{more}; {made} would be made anew and replaced"


class CurrentResults:
    """The finished results of a study, compared with the specs and the rows that it asks for."""

    def __init__(self, study: Expansion, keys: ContentKeys):
        self._study, self._keys = study, keys
        # A study has thousands of checkpoints, and rules ask for each several times.
        self._manifest = cache(read_json_or_empty)
        self.checkpoint = cache(self._is_current)
        self.prediction_changes = cache(self._prediction_changes)
        self.changes = cache(self._changes)
        self.is_outdated = cache(self._is_outdated)

    def predictions(self, path: str, dataset: str) -> bool:
        """Whether a checkpoint's predictions on a data set are finished, and current like the checkpoint."""
        if not (manifest := self._manifest(f"{path}/predictions/{dataset}.json")):
            return False
        languages = self._study.checkpoints[path].evaluate[dataset]
        same_weights = manifest["weights"] == self._manifest(f"{path}/{MANIFEST}").get("weights")
        if set(manifest["languages"]) != set(languages) or not same_weights:
            return False
        return self.checkpoint(path) and not self.prediction_changes(path, dataset)

    def _prediction_changes(self, path: str, dataset: str) -> list[str]:
        """The settings and rows of finished predictions that are others now."""
        if not (manifest := self._manifest(f"{path}/predictions/{dataset}.json")):
            return []
        changes = list(_spec_changes(manifest["spec"], predict_spec(self._study, path, dataset)))
        for language in self._study.checkpoints[path].evaluate[dataset]:
            rows, entry = str(PreparedPath(dataset, "test", language)), manifest["languages"].get(language)
            if entry and not self._keys.is_same(rows, entry["data"], entry.get("content_key")):
                changes.append(f"the rows of {dataset}.{language}")
        return changes

    def translation(self, rows: str, spec: Mapping, manifest: str) -> bool:
        """Whether the translation with a `manifest` is finished, and is that of `rows` (a manifest) by `spec`."""
        done = self._manifest(manifest)
        return done.get("spec") == spec and self._keys.is_same(rows, done["data"], done.get("content_key"))

    def replaced(self) -> list[str]:
        """A line per track, or model, whose finished results the study would replace by others, and why."""
        homes: dict[str, _Replaced] = {}
        for path, node in self._study.checkpoints.items():
            if not node.data:  # given, averaged or untrained: made in seconds, and known by what it is made of
                continue
            home = f"track {node.location.track}" if node.parents else f"model {node.location.model}"
            part = homes.setdefault(home, _Replaced())
            if self.is_outdated(path):
                part.checkpoints += 1
                part.changes.update(dict.fromkeys(self.changes(path)))
                continue
            for changes in filter(None, (self.prediction_changes(path, dataset) for dataset in node.evaluate)):
                part.predictions += 1
                part.changes.update(dict.fromkeys(changes))
        return [part.line(home) for home, part in homes.items() if part.checkpoints or part.predictions]

    def check_replaced(self) -> None:
        """UserError if the study would replace finished results by others: a run asks before it does."""
        if lines := self.replaced():
            name = f"study: {self._study.config['study']}-2"
            fix = f"To replace them: --config replace=true\nTo keep them, give this study another name:\n{name}"
            message = "\n  ".join(["finished results would be replaced", *lines])
            raise UserError(message, self._study.results, fix)

    def _is_current(self, path: str) -> bool:
        """Whether a checkpoint and all its ancestors are finished, with the specs and rows that the study asks for."""
        node = self._study.checkpoints[path]
        # The name of a given model has its revision or hash, and studies that are finished do not need it.
        if node.is_given:
            return True
        finished = bool(self._manifest(f"{path}/{MANIFEST}"))
        return finished and not self.changes(path) and all(map(self.checkpoint, node.parents))

    def _is_outdated(self, path: str) -> bool:
        """Whether a finished checkpoint differs from what the study asks for, or one of its ancestors does."""
        node = self._study.checkpoints[path]
        if node.is_given or not self._manifest(f"{path}/{MANIFEST}"):
            return False
        return bool(self.changes(path)) or any(map(self.is_outdated, node.parents))

    def _changes(self, path: str) -> list[str]:
        """The settings and rows of a finished checkpoint that are others now; those of its ancestors in a word."""
        node = self._study.checkpoints[path]
        if not (manifest := self._manifest(f"{path}/{MANIFEST}")):
            return []
        changes = list(_spec_changes(manifest["spec"], node.spec))
        if manifest["spec"].get("parent") != node.spec.get("parent") and self._begins_with_given(node):
            changes.append(f"the model {node.location.model}")
        elif not changes and manifest["spec"] != node.spec:
            changes = [EARLIER]
        if node.choice and (values := self._manifest(node.choice).get("values")):
            made = manifest.get("chosen", {})
            changes += [f"{key} {made.get(key)} -> {values[key]}" for key in values if made.get(key) != values[key]]
        return changes + [f"the rows of {name}" for name in self._changed_rows(node, manifest)]

    def _begins_with_given(self, node: Checkpoint) -> bool:
        """Whether a checkpoint is the first after a model of the hub or of a folder."""
        return any(self._study.checkpoints[parent].is_given for parent in node.parents)

    def _changed_rows(self, node: Checkpoint, manifest: Mapping) -> Iterator[str]:
        """The names of the rows that a finished checkpoint was trained or evaluated on and that are others now."""
        hashes = {**manifest.get("data", {}), **manifest.get("held_out", {})}
        keys = manifest.get("content_keys", {})
        for path in (*node.data, *node.held_out):
            name = rows_name(*PreparedPath.parse(path))
            if not self._keys.is_same(path, hashes.get(name), keys.get(name)):
                yield name


def _spec_changes(old: Mapping, new: Mapping) -> Iterator[str]:
    """The settings of two specs that differ, as `recipe.lr 3e-05 -> 5e-05`, without those of earlier stages."""
    before, after = (dict(_leaves({k: v for k, v in spec.items() if k not in ANCESTORS})) for spec in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"{name} {_value(before.get(name))} -> {_value(after.get(name))}"


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _leaves(part, f"{name}.{key}" if name else key)
    else:
        yield name, value


def _value(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]}..."
