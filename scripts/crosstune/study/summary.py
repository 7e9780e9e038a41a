"""A study in a few lines for the user: its trainings, the cost of its schedules, its disk space."""

from crosstune.core.text import count
from crosstune.data.part_names import SAMPLE, split_part
from crosstune.study.adapters import sizes_of
from crosstune.study.disk_space import BYTES_A_PARAMETER, WeightsOnDisk
from crosstune.study.folds import fold_dataset
from crosstune.study.graph import Study
from crosstune.study.heads import evaluation_heads, final_heads
from crosstune.study.recipe import own_recipes
from crosstune.study.retention import RetentionPolicy
from crosstune.study.schedules import shortened
from crosstune.study.sweeps import sweep_lines

# The number of checkpoints that a line names.
MAX_NAMED = 5


def summary(study: Study, retention: RetentionPolicy) -> list[str]:
    """Lines for the user: tracks with their budgets, trainings, disk space, checkpoints to retrain."""
    models, seeds = count(len(study.config["models"]), "model"), count(len(study.config["seeds"]), "seed")
    lines = [f"study {study.name}: {models}, {seeds}"]
    pilot = study.config.get("pilot")
    if pilot:
        parts = f"at most {count(pilot, 'example')} of each test set in each language, a tenth of every budget"
        lines = [f"PILOT of the study {study.config['study']}, in {study.results}: {parts}", *lines]
    for name, recipe in own_recipes(study.config["models"]).items():
        lines.append(
            f"model {name}: its recipe replaces keys of the tracks' recipes: {recipe}; a stage's own keys stay"
        )
    for name, track in study.config["tracks"].items():
        budget = shortened(track["budget"]) if pilot else track["budget"]
        names = study.tracks[name].schedule_names
        length = f"{budget['updates']} updates" if "updates" in budget else f"{budget['epochs']:g} epochs a stage"
        kind = "compute-matched" if budget["matched"] else "NOT compute-matched"
        lines.append(f"track {name}: {', '.join(names)}; each {length} x {budget['tokens']} tokens, {kind}")
        if patience := (track.get("select") or {}).get("patience"):
            stop = f"a stage stops after {count(patience, 'evaluation')} without a higher validation score"
            lines.append(f"  {stop}: costs differ by schedule")
        for schedule in study.tracks[name].schedules:
            if "updates" in budget and not pilot and schedule.total_updates not in (0, budget["updates"]):
                why = ": the sum of its members" if schedule.members else ""
                why = ": a sample of 0 trains nothing" if schedule.curve and not schedule.sample else why
                lines.append(f"  {schedule.name} costs {schedule.total_updates} updates{why}")
        evaluate = study.tracks[name].evaluate
        for schedule in study.tracks[name].schedules:
            heads = final_heads(study.registry, study.tracks[name], schedule)
            scored = evaluation_heads(heads, study.registry, evaluate)
            if absent := [dataset for dataset in evaluate if dataset not in scored]:
                lines.append(f"  {schedule.name} trains no head for {', '.join(absent)} and has no scores there")
        lines += [*_smaller_tests(study, name), *sweep_lines(study.sweeps, name)]
    lines += _adapters(study)
    # A chosen candidate is trained once.
    trainings = sum(bool(node.data) and not node.candidates for node in study.checkpoints.values())
    lines.append(f"{len(study.runs)} runs share {trainings} trainings")
    lines.append(_amounts(study, retention))
    if retrained := retention.pending_retrains:
        names = ", ".join(path.removeprefix(f"{study.results}/") for path in retrained[:MAX_NAMED])
        more = f" and {len(retrained) - MAX_NAMED} more" if len(retrained) > MAX_NAMED else ""
        checkpoints = count(len(retrained), "checkpoint")
        lines.append(f"{checkpoints} must be retrained: a new job needs weights that were removed ({names}{more})")
    return lines


def _smaller_tests(study: Study, name: str) -> list[str]:
    """Lines on test sets that have fewer examples than the track samples, by what their records state."""
    lines = []
    for dataset, part in study.tracks[name].parts.items():
        sampled = split_part(dataset + part)[1]
        stated = study.registry[fold_dataset(study.registry, dataset, 1)].splits["test"].rows
        languages = study.tracks[name].evaluate[dataset]
        fewer = {
            language: stated[language]
            for language in languages
            if stated.get(language, sampled.number) < sampled.number
        }
        if fewer and sampled.kind == SAMPLE:
            numbers = ", ".join(f"{number} in {language}" for language, number in fewer.items())
            lines.append(f"  {dataset} has fewer examples than {sampled.number}, and all are evaluated: {numbers}")
    return lines


def _amounts(study: Study, retention: RetentionPolicy) -> str:
    """The numbers of checkpoints and of prediction files (one per language), and the disk space of the weights."""
    nodes = [node for node in study.checkpoints.values() if not node.is_given]
    predictions = sum(len(languages) for node in nodes for languages in node.evaluate.values())
    weights = WeightsOnDisk(study, retention).amounts()
    text = f"about {weights.all / 1e9:.1f} GB of weights"
    if (policy := study.config["keep_weights"]) != "all":
        text += f", {weights.most / 1e9:.1f} GB at most at once with keep_weights: {policy}"
    if weights.unknown:
        text += f" and {weights.unknown} checkpoints of models that do not state their `parameters`"
    return f"{len(nodes)} checkpoints ({text}), {predictions} files of predictions"


def _adapters(study: Study) -> list[str]:
    """A line for each model with an adapter: the share of its parameters that is trained, and its disk space."""
    lines = []
    for name, size in sizes_of(study.config).items():
        if size.adapter is not None:
            share = f"{size.adapter:,} of {size.parameters:,} parameters"
            disk = f"{_megabytes(size.adapter)} a checkpoint"
            whole = _megabytes(size.parameters)
            lines.append(f"model {name} trains adapters: about {share} besides heads, {disk} instead of {whole}")
    return lines


def _megabytes(parameters: int) -> str:
    """The disk space of parameters."""
    size = parameters * BYTES_A_PARAMETER / 1e6
    return f"{size:,.0f} MB" if size >= 10 else f"{size:.2g} MB"
