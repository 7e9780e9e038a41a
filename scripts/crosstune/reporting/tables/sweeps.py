"""The choices of sweeps: validation scores of every value that was tried, and the chosen ones."""

from collections.abc import Mapping
from pathlib import Path

from crosstune.analysis.names import DisplayNames
from crosstune.analysis.results import StudyResults, read_json_object
from crosstune.core.text import count, decimal
from crosstune.evaluation.metrics import metric_named
from crosstune.reporting.tables.formats import TextTable, table_files, write_files

# Behind the score of the chosen values.
CHOSEN_MARK = "*"


def sweep_tables(study: StudyResults, results: Path) -> list[TextTable]:
    """A table for each model and track with sweeps: schedules x values. Reads the choices, as far as they exist."""
    groups: dict[tuple[str, str], list[tuple[dict, dict]]] = {}
    for sweep, choice in _made_choices(study, results):
        groups.setdefault((sweep["track"], sweep["model"]), []).append((sweep, choice))
    return [_table(study.names, track, model, found) for (track, model), found in groups.items()]


def chosen_sentences(study: StudyResults, results: Path) -> list[str]:
    """A sentence for each schedule, on the values that were chosen for it."""
    sentences = []
    for sweep, choice in _made_choices(study, results):
        best = choice["candidates"][choice["number"]]
        edge = ", at the edge of the values that were tried" if _at_edge(choice) else ""
        label = f"{study.names.model(sweep['model'])}, {schedule_label(study.names, sweep)}"
        score = f"{metric_label(choice)} {decimal(best['score'], 1)} on validation rows{edge}"
        sentences.append(f"{sweep['track']}, {label}: {values_text(best['values'])} ({score}).")
    return sentences


def schedule_label(names: DisplayNames, sweep: Mapping) -> str:
    """The schedule of a sweep as readers see it, with its fold if there are folds."""
    shown = names.schedule(sweep["schedule"])
    return f"{shown}, fold {sweep['fold']}" if "fold" in sweep else shown


def _made_choices(study: StudyResults, results: Path) -> list[tuple[dict, dict]]:
    """The plan's sweeps whose choices exist, with these, by model, track and schedule in the order of the tables."""

    def place(sweep: Mapping) -> tuple[int, ...]:
        models, tracks = study.plan["models"], study.plan["tracks"]
        schedules = tracks[sweep["track"]]["schedules"]
        return models.index(sweep["model"]), list(tracks).index(sweep["track"]), schedules.index(sweep["schedule"])

    found = [(sweep, read_json_object(results / sweep["choice"])) for sweep in study.plan.get("sweeps", [])]
    return sorted(((sweep, choice) for sweep, choice in found if choice), key=lambda pair: place(pair[0]))


def values_text(values: Mapping[str, float]) -> str:
    """`lr 1e-05, dropout 0.1`."""
    return ", ".join(f"{key} {value:g}" for key, value in values.items())


def metric_label(choice: Mapping) -> str:
    """The name of the score that chose."""
    metric = metric_named(choice["validation"]["metric"])
    return metric.labels[metric.primary]


def write_sweep_tables(study: StudyResults, results: Path, out: Path) -> list[Path]:
    """Write `sweep.<track>.<model>.{csv,md,tex}` of every model and track with sweeps into the folder `out`."""
    contents: dict[str, str] = {}
    for table in sweep_tables(study, results):
        contents |= table_files(table)
    return write_files(contents, out, study.pilot)


def _table(names: DisplayNames, track: str, model: str, found: list[tuple[dict, dict]]) -> TextTable:
    first, rows = found[0][1], []
    head = ["schedule", *(values_text(candidate["values"]) for candidate in first["candidates"])]
    lines: list[list] = [["schedule", "fold", *first["values"], "seed", "score", "chosen"]]
    for sweep, choice in found:
        scores = [decimal(candidate["score"], 1) for candidate in choice["candidates"]]
        scores[choice["number"]] += CHOSEN_MARK
        rows.append([schedule_label(names, sweep), *scores])
        lines += [
            [sweep["schedule"], sweep.get("fold", ""), *(f"{value:g}" for value in candidate["values"].values()),
             seed, decimal(score, 4), "yes" if number == choice["number"] else "no"]
            for number, candidate in enumerate(choice["candidates"])
            for seed, score in candidate["scores"].items()
        ]  # fmt: skip
    title = f"Sweep: {track}, {names.model(model)}"
    return TextTable(f"sweep.{track}.{model}", _caption(names, track, model, found), head, rows, lines, title)


def _caption(names: DisplayNames, track: str, model: str, found: list[tuple[dict, dict]]) -> str:
    sweep, choice = found[0]
    rows, seeds = choice["validation"], sweep["seeds"]
    edges = [schedule_label(names, own) for own, made in found if _at_edge(made)]
    return (
        f"Sweep of {', '.join(choice['values'])} (docs/recipes.md). Model {names.model(model)}, track {track}: "
        f"{metric_label(choice)} on validation rows of {names.whole_dataset(rows['dataset'])} "
        f"({names.languages(rows['languages'])}), mean over {count(len(seeds), 'seed')} "
        f"({', '.join(map(str, seeds))}). {CHOSEN_MARK} chosen for the schedule, with all seeds; only these "
        "checkpoints are tested."
        + (f" At the edge of the values that were tried: {'; '.join(edges)}." if edges else "")
    )


def _at_edge(choice: Mapping) -> bool:
    """Whether a chosen value is the least or greatest that was tried, so that a better one may lie beyond."""
    tried = {key: [candidate["values"][key] for candidate in choice["candidates"]] for key in choice["values"]}
    return any(value in (min(tried[key]), max(tried[key])) for key, value in choice["values"].items())
