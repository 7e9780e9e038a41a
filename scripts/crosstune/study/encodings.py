"""The encodings of a study: which model reads which rows, under which head and options."""

from dataclasses import dataclass
from pathlib import Path

from crosstune.artifacts.checkpoint import MODEL
from crosstune.study.graph import Expansion
from crosstune.study.heads import own_head
from crosstune.study.paths import PreparedPath, base_path


@dataclass(frozen=True)
class Encoding:
    """Rows of one language of a split, as one model of a track reads them.

    `folder`: the base model's. `head`: name and labels. `options`: the track's `encoding`. `metric`: of the data set.
    """

    model: str
    track: str
    rows: PreparedPath
    folder: Path
    head: dict
    options: dict
    metric: str

    @property
    def names(self) -> dict[str, str]:
        """What identifies it, by name."""
        return {"model": self.model, "track": self.track, **self.rows._asdict()}


def encodings(study: Expansion) -> list[Encoding]:
    """The encodings that the study trains and evaluates, each once."""
    found = {}
    for node in study.checkpoints.values():
        if not node.parents:
            continue
        place = node.location
        model, track = study.config["models"][place.model], study.tracks[place.track]
        trained = list(map(PreparedPath.parse, node.data))
        tested = [PreparedPath(name, "test", lang) for name, languages in node.evaluate.items() for lang in languages]
        folder = Path(base_path(study.name, place.model, model)) / MODEL
        for rows in trained + tested:
            record = study.registry[rows.dataset]
            found[place.model, place.track, rows] = Encoding(
                place.model, place.track, rows, folder, own_head(record).spec, track.config["encoding"], record.metric
            )
    return sorted(found.values(), key=lambda encoding: tuple(encoding.names.values()))
