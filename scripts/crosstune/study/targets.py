"""Files of an expanded study that rules ask for: scores, predictions, baselines, submissions."""

from collections.abc import Collection
from pathlib import Path

from crosstune.artifacts.checkpoint import MANIFEST
from crosstune.study.graph import Expansion, Study
from crosstune.study.heads import own_head
from crosstune.study.paths import PreparedPath, Source
from crosstune.study.run_data import evaluated_dataset, largest_samples, run_sources
from crosstune.study.schedules import UNTRAINED, schedule_sources


def score_files(study: Expansion) -> list[str]:
    """Scores of every checkpoint on every data set that it is evaluated on."""
    return [f"{path}/scores/{name}.json" for path, node in study.checkpoints.items() for name in node.evaluate]


def prediction_files(study: Expansion) -> list[str]:
    """Predictions of every checkpoint on every data set that it is evaluated on."""
    return [f"{path}/predictions/{name}.json" for path, node in study.checkpoints.items() for name in node.evaluate]


def contrast_example_files(study: Study) -> list[str]:
    """Scores of the examples that the study's contrasts compare, and those of the untrained model, if it is scored."""
    compared = {
        (panel["track"], schedule, panel["dataset"])
        for contrast in study.contrasts
        for panel in contrast["panels"]
        for schedule in (contrast["a"], contrast["b"], UNTRAINED)
    }
    return sorted(_example_files(study, compared))


def bucket_files(study: Study) -> list[str]:
    """What the study's comparisons by bucket read: scores of the examples, manifests of the rows and base models."""
    compared = {
        (panel["track"], schedule, panel["dataset"])
        for entry in study.buckets
        for panel in entry["panels"]
        for schedule in (entry["a"], entry["b"])
    }
    rows = {path for entry in study.buckets for path in (*entry["test"].values(), *entry["train"])}
    folders = {folder for entry in study.buckets for folder in entry.get("tokenizers", {}).values()}
    models = {str(Path(folder).parent / MANIFEST) for folder in folders}
    return sorted(_example_files(study, compared) | {path.removesuffix("l") for path in rows} | models)


def _example_files(study: Study, compared: Collection[tuple[str, str, str]]) -> set[str]:
    """Final scores of the examples of (track, schedule, data set), of all runs."""
    return {
        f"{run.stages[-1]}/scores/{name}.examples.jsonl"
        for run in study.runs
        for track, schedule, dataset in compared
        if (run.track, run.schedule.name) == (track, schedule)
        for name in [evaluated_dataset(study.registry, study.tracks[track], dataset, 0)]
    }


def baseline_files(study: Expansion) -> list[str]:
    """Scores of the trivial baselines on every evaluated data set."""
    return [f"{study.results}/baselines/{name}.json" for name in sorted({name for name, _ in evaluated_sets(study)})]


def kept_folder(study: Study) -> str:
    """The folder of the study's kept results and of their correction record (docs/corrections.md)."""
    return study.config.get("corrections") or f"docs/results/{study.name}"


def submission_predictions(study: Expansion) -> list[str]:
    """Final predictions of every run on the data sets that are tasks of XTREME-R."""
    return sorted(
        {
            f"{run.stages[-1]}/predictions/{dataset}.json"
            for run in study.runs
            for dataset in study.checkpoints[run.stages[-1]].evaluate
            if study.registry[dataset].xtreme
        }
    )


def final_predictions(study: Expansion, seed: int) -> list[str]:
    """Final predictions of the runs of one seed, of data in folds of the first fold."""
    return sorted(f"{path}/predictions/{dataset}.json" for path, dataset in final_tests(study, seed))


def final_example_scores(study: Expansion, seed: int) -> list[str]:
    """Final scores of the examples of the same runs."""
    return sorted(f"{path}/scores/{dataset}.examples.jsonl" for path, dataset in final_tests(study, seed))


def final_tests(study: Expansion, seed: int) -> set[tuple[str, str]]:
    """The last checkpoint of every run of one seed, and of the first fold if there are folds, with its data sets."""
    runs = [run for run in study.runs if run.seed == seed and run.fold <= 1]
    return {(run.stages[-1], dataset) for run in runs for dataset in study.checkpoints[run.stages[-1]].evaluate}


def evaluated_rows(study: Expansion) -> list[str]:
    """Manifests of all prepared test rows."""
    tested = evaluated_sets(study)
    return sorted({str(PreparedPath(name, "test", lang)) for name, languages in tested for lang in languages})


def submission_data(study: Expansion) -> list[str]:
    """Prepared rows of the data sets that are tasks of XTREME-R."""
    submitted = [(name, languages) for name, languages in evaluated_sets(study) if study.registry[name].xtreme]
    return sorted({str(PreparedPath(name, "test", lang)) for name, languages in submitted for lang in languages})


def evaluated_sets(study: Expansion) -> list[tuple[str, tuple[str, ...]]]:
    """The evaluated data sets of all tracks, with their languages; of a data set in folds, each fold."""
    return [
        (evaluated_dataset(study.registry, track, dataset, fold), languages)
        for track in study.tracks.values()
        for dataset, languages in track.evaluate.items()
        for fold in (track.folds if study.registry.folds(dataset) else (0,))
    ]


def used_languages(study: Expansion) -> list[str]:
    """The codes of all languages that the study trains on or evaluates, sorted."""
    evaluated = {language for _, languages in evaluated_sets(study) for language in languages}
    return sorted(evaluated | {Source.parse(s).language for run in study.runs for s in schedule_sources(run.schedule)})


def evaluated_languages(study: Expansion, dataset: str) -> list[str]:
    """Languages of a data set that any track evaluates, in the registry's order."""
    evaluated = {language for name, languages in evaluated_sets(study) if name == dataset for language in languages}
    return [language for language in study.registry[dataset].languages if language in evaluated]


def test_manifests(study: Expansion, path: str, dataset: str) -> list[str]:
    """Prepared test rows of a data set that a checkpoint is evaluated on."""
    languages = study.checkpoints[path].evaluate.get(dataset, ())
    return [str(PreparedPath(dataset, "test", language)) for language in languages]


def majority_sources(study: Expansion, dataset: str) -> list[str]:
    """Prepared training rows with the labels of a data set, for the baseline of the most frequent label."""
    registry, head = study.registry, own_head(study.registry[dataset])
    trained = {
        source
        for run in study.runs
        for track in [study.tracks[run.track]]
        if dataset in {evaluated_dataset(registry, track, name, run.fold) for name in track.evaluate}
        for source in run_sources(study, run)
    }
    sources = map(Source.parse, largest_samples(trained))
    own = {source: own_head(registry[source.dataset]) for source in sorted(sources)}
    return [source.manifest for source, other in own.items() if other.serves(head) and other.labels == head.labels]
