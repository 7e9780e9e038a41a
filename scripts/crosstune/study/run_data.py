"""The data sets of a run: folds, samples by the draw of its seed, and training rows without those held out.

Schedules and tracks name data sets as the config does, with samples (`worldqa~100`); here they get the names by which
rows are prepared.
"""

from collections.abc import Iterable
from dataclasses import replace

from crosstune.data.part_names import HELD, SAMPLE, Part, split_part, with_draw, without_sample
from crosstune.data.registry import Registry
from crosstune.study.folds import fold_dataset
from crosstune.study.graph import Expansion, Run, Track
from crosstune.study.paths import Source
from crosstune.study.schedules import Schedule, schedule_sources


def run_schedule(registry: Registry, track: Track, schedule: Schedule, seed: int, fold: int) -> Schedule:
    """The schedule with the sources of a run."""

    def source(name: str) -> str:
        dataset, language = Source.parse(name)
        whole, part = split_part(dataset)
        prepared = without_held(registry, track, fold_dataset(registry, whole, fold))
        return str(Source(with_draw(part.of(prepared), seed) if part else prepared, language))

    stages = tuple(replace(stage, sources=tuple(map(source, stage.sources))) for stage in schedule.stages)
    members = tuple(run_schedule(registry, track, member, seed, fold) for member in schedule.members)
    return replace(schedule, stages=stages, members=members)


def run_sources(study: Expansion, run: Run) -> set[str]:
    """The sources of a run."""
    schedule = run_schedule(study.registry, study.tracks[run.track], run.schedule, run.seed, run.fold)
    return set(schedule_sources(schedule))


def largest_samples(sources: Iterable[str]) -> set[str]:
    """The sources without samples that are part of another source."""
    kept: set[str] = set()
    largest: dict[tuple[str, str, int], tuple[int, str]] = {}
    for name in set(sources):
        dataset, language = Source.parse(name)
        whole, part = split_part(dataset)
        if not part or part.kind != SAMPLE:
            kept.add(name)
            continue
        key = (whole, language, part.draw)
        largest[key] = max((part.number, name), largest.get(key, (0, "")))
    samples = {name for (whole, lang, _), (_, name) in largest.items() if str(Source(whole, lang)) not in kept}
    return kept | samples


def evaluated_dataset(registry: Registry, track: Track, dataset: str, fold: int) -> str:
    """The name of an evaluated data set of a track, in a fold if it has folds, and of its part if one is evaluated."""
    return fold_dataset(registry, dataset, fold) + track.parts.get(dataset, "")


# --- rows held out for validation ------------------------------------------------------------------------------------


def held_part(track: Track) -> Part | None:
    """The training rows that a track holds out to select checkpoints; None if it selects on a validation split."""
    held = (track.config.get("select") or {}).get("validation")
    return Part(HELD, held["sample"]) if held else None


def without_held(registry: Registry, track: Track, dataset: str) -> str:
    """The name of a data set without the rows that the track holds out, if they are its own or their translations."""
    part = held_part(track)
    selecting = track.config["select"]["dataset"] if part else ""
    return part.of(dataset) if part and selecting in (dataset, registry.translation_source(dataset)) else dataset


def validation_languages(registry: Registry, track: Track, dataset: str) -> list[str]:
    """The languages whose validation rows of a data set select checkpoints.

    Those that the track names; by default, of held-out training rows those that it trains on, else all.
    """
    split, select = registry[dataset].splits["validation"], track.config["select"]
    if held_part(track):
        chosen = select["validation"].get("languages", "trained")
    else:
        chosen = select.get("languages", split.languages)
    if chosen == "trained":
        sources = [Source.parse(name) for schedule in track.schedules for name in schedule_sources(schedule)]
        chosen = {source.language for source in sources if without_sample(source.dataset) == select["dataset"]}
    return [language for language in split.languages if language in chosen]
