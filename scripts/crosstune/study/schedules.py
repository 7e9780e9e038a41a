"""Schedules: parsing a track's `schedules` into lineages of stages with budgets.

A schedule is a list of stages, one after the other; a stage trains on a mixture: `[en, es, fr]` is sequential,
`[en + es + fr]` is joint. A stage's folder lies inside the folder of the stage before it, so that schedules with the
same first stages share their folders and train them once.
"""

import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from crosstune.core.errors import UserError
from crosstune.data.part_names import SAMPLE, Part, source_label
from crosstune.study.recipe import NESTED

UNTRAINED = "untrained"

LONGEST_FOLDER = 120

# Names of recipe keys in stage folders. A renamed key keeps its old one, so that no folder moves.
FOLDER_MARKS = {
    "mlm_probability": "mask",
    "sampling_alpha": "alpha",
    "max_grad_norm": "clip",
    "lr_schedule": "decay",
    "contrastive.weight": "contrast",
    "contrastive.layers": "contrast_layers",
    "contrastive.pooled_text": "contrast_parts",
    "contrastive.temperature": "contrast_temperature",
    "contrastive.temperature_lr": "contrast_temperature_lr",
    "contrastive.active_share": "contrast_share",
    "contrastive.self_pairs": "contrast_self",
    "contrastive.negatives": "contrast_negatives",
    "contrastive.mode": "compat",
    "freeze.embeddings": "freeze_embeddings",
    "freeze.layers": "freeze_layers",
}

# The divisor of a pilot's budgets.
PILOT_SHORTENING = 10

MOST_ORDERED = 6  # items of which all orders are schedules: 720

# Keys of a recipe that give a learning-rate schedule its shape.
LR_SHAPE = ("warmup", "lr_schedule")

STAGE_KEYS = ("train", "updates", "epochs", "replay", "sample")


@dataclass(frozen=True)
class Budget:
    """The budget of every schedule of a track: `updates` in all, or `epochs` in every stage; `tokens` per update."""

    tokens: int
    updates: int | None = None
    epochs: float | None = None
    matched: bool = True


@dataclass(frozen=True)
class StageSpec:
    """Training on one mixture. `sources` are sorted `dataset.language` names, `recipe` differs from the track's.

    `lr_updates`: the updates of its learning-rate schedule, if that spans several stages. `chosen_for`: the schedule
    for which a sweep chooses the values of its recipe.
    """

    sources: tuple[str, ...]
    updates: int | None = None
    epochs: float | None = None
    replay: float = 0.0
    recipe: tuple[tuple[str, object], ...] = ()
    lr_updates: int | None = None
    chosen_for: str = ""

    @property
    def changes(self) -> dict[str, Any]:
        """The stage's own recipe, which differs from the track's, as in the config."""
        nested: dict[str, Any] = {}
        for key, value in self.recipe:
            *outer, inner = key.split(".")
            part = nested.setdefault(outer[0], {}) if outer else nested
            part[inner] = list(value) if isinstance(value, tuple) else value
        return nested

    @property
    def folder(self) -> str:
        """The stage's folder name: mixture, budget, replay and own recipe, as in `qa.en+es~100@300~lr=0.0001`.

        A sample has its size there and no draw, which is that of the seed. A learning-rate schedule over several stages
        has its updates there: with another total the stage is another training.
        """
        mixture = "+".join(f"{name}.{'+'.join(langs)}" for name, langs in by_dataset(map(source_label, self.sources)))
        if len(mixture) > LONGEST_FOLDER:
            digest = hashlib.sha256(mixture.encode()).hexdigest()[:8]
            datasets = "+".join(name for name, _ in by_dataset(map(source_label, self.sources)))
            mixture = f"{datasets[:LONGEST_FOLDER]}.{len(self.sources)}-sources-{digest}"
        budget = f"{self.updates}" if self.updates is not None else f"{self.epochs:g}ep"
        replay = {"replay": self.replay} if self.replay else {}
        span = {"lr_over": self.lr_updates} if self.lr_updates else {}
        span |= {"sweep": self.chosen_for} if self.chosen_for else {}
        # No comma: Snakemake splits a path in the name of a cluster's job at commas.
        own = {FOLDER_MARKS.get(key, key): value for key, value in self.recipe}
        marks = "".join(f"~{key}={_mark(value)}" for key, value in sorted({**replay, **span, **own}.items()))
        return f"{mixture}@{budget}{marks}"


@dataclass(frozen=True)
class Schedule:
    """A name and its lineage of stages; or, with `members`, the average of the members' final weights.

    `curve`: of a point of a few-shot curve, the name of the curve and the sources `dataset.language` that are sampled.
    `sample`: the point's number of examples.
    """

    name: str
    stages: tuple[StageSpec, ...] = ()
    members: tuple["Schedule", ...] = ()
    curve: tuple[str, tuple[str, ...]] | None = None
    sample: int = 0

    @property
    def folders(self) -> tuple[str, ...]:
        """The nested folders of the stages, below the track's folder; the last has the final checkpoint."""
        if self.members:
            return ("average." + "+".join(member.name for member in self.members),)
        return tuple(stage.folder for stage in self.stages) or (UNTRAINED,)

    @property
    def prefixes(self) -> list["Schedule"]:
        """The schedule after its first stage, after its second, ... and whole."""
        if self.members or not self.stages:
            return [self]
        return [replace(self, stages=self.stages[: n + 1]) for n in range(len(self.stages))]

    @property
    def total_updates(self) -> int | None:
        """The sum of the updates of all stages and members; None if a stage counts epochs."""
        parts = [m.total_updates for m in self.members] or [stage.updates for stage in self.stages]
        return None if None in parts else sum(parts)


def schedule_sources(schedule: Schedule) -> Iterator[str]:
    """All sources of a schedule's stages, or of its members', as often as they occur."""
    for part in schedule.members or [schedule]:
        for stage in part.stages:
            yield from stage.sources


def by_dataset(sources: Iterable[str]) -> list[tuple[str, list[str]]]:
    """[("qa", ["en", "es"])] for ("qa.en", "qa.es"), in the order of first mention."""
    groups: dict[str, list[str]] = {}
    for source in sources:
        dataset, _, language = source.rpartition(".")
        groups.setdefault(dataset, []).append(language)
    return list(groups.items())


def parse_schedules(
    configs: Mapping[str, object],
    resolve: Callable[[str, str], str],
    budget: Budget,
    where: str,
) -> list[Schedule]:
    """Expand a track's `schedules` mapping.

    `resolve(name, where)` turns a source as written (`en`, `mnli.en`) into `dataset.language` or raises UserError.
    Raises UserError, with the key, for an empty mixture, a budget that does not divide, unknown members.
    """
    schedules: dict[str, Schedule] = {}
    averages: dict[str, Sequence] = {}
    for name, config in configs.items():
        here = f"{where}.{name}"
        if isinstance(config, Mapping) and "average" in config:
            averages[name] = config["average"]
            schedules[name] = Schedule(name)  # keeps the order of the config until all members are known
            continue
        for full_name, items in _expand(name, config, here):
            for schedule in _points(full_name, items, resolve, budget, here):
                if schedule.name in schedules:
                    raise UserError(f"two schedules are called {schedule.name!r}", here, "Rename one of them.")
                schedules[schedule.name] = schedule
    trained = {name: schedule for name, schedule in schedules.items() if schedule.stages}
    for name, members in averages.items():
        schedules[name] = _average(name, members, trained, resolve, budget, f"{where}.{name}")
    return list(schedules.values())


def _expand(name: str, config: object, where: str) -> list[tuple[str, list]]:
    """The schedules of one entry of `schedules`, as (name, list of stages)."""
    if isinstance(config, Mapping) and "each" in config:
        return [(f"{name}-{_label(item)}", [item]) for item in config["each"]]
    if isinstance(config, Mapping) and "orders" in config:
        items = config["orders"]
        if config.get("design") != "latin" and len(items) > MOST_ORDERED:
            message = f"{len(items)} items have {math.factorial(len(items))} orders"
            raise UserError(message, where, f"For {len(items)} of them, each item once in each place: design: latin")
        design = latin_square if config.get("design") == "latin" else lambda size: itertools.permutations(range(size))
        orders = ([items[i] for i in row] for row in design(len(items)))
        return [(f"{name}-{'-'.join(map(_label, order))}", order) for order in orders]
    return [(name, list(config))]


def latin_square(size: int) -> list[list[int]]:
    """`size` orders of `size` items, in which every item has every position once.

    Williams' construction (1949): for an even size every item also follows every other item exactly once.
    """
    first = [(-(i // 2)) % size if i % 2 == 0 else (i + 1) // 2 for i in range(size)]
    return [[(item + shift) % size for item in first] for shift in range(size)]


def _label(item: object) -> str:
    text = item["train"] if isinstance(item, Mapping) else item
    label = "+".join(part.strip() for part in str(text).split("+"))
    samples = _samples(item)
    return label + "".join(f"~{number}" for number in sorted({n for n in samples.values() if isinstance(n, int)}))


def _samples(item: object) -> dict[str, int | list[int]]:
    """The samples of an item of a schedule, by source as written."""
    sample = item.get("sample", {}) if isinstance(item, Mapping) else {}
    names = (part.strip() for part in str(item["train"]).split("+")) if isinstance(item, Mapping) else ()
    return dict(sample) if isinstance(sample, Mapping) else dict.fromkeys(names, sample)


def _points(name: str, items: list, resolve: Callable, budget: Budget, where: str) -> Iterator[Schedule]:
    """The schedule or, if a sample has several sizes, one schedule for each: the points of a few-shot curve."""
    listed = [(source, sizes) for item in items for source, sizes in _samples(item).items() if isinstance(sizes, list)]
    if not listed:
        yield Schedule(name, _stages(items, resolve, budget, where))
        return
    sizes = listed[0][1]
    if any(other != sizes for _, other in listed):
        message = f"two lists of samples: {sizes} and {next(other for _, other in listed if other != sizes)}"
        raise UserError(message, where, "A schedule has one list, which may stand in several stages.")
    sources = tuple(sorted({resolve(source, where) for source, _ in listed}))
    for size in sizes:
        chosen = [
            {**item, "sample": {key: size if isinstance(value, list) else value for key, value in samples.items()}}
            if (samples := _samples(item))
            else item
            for item in items
        ]
        stages = _stages(chosen, resolve, budget, where)
        yield Schedule(f"{name}-{size}", stages, curve=(name, sources), sample=size)


def _stages(items: list, resolve: Callable, budget: Budget, where: str) -> tuple[StageSpec, ...]:
    """The stages with their shares of the budget. A stage whose samples are all of no example trains nothing."""
    stages = []
    for number, item in enumerate(items):
        here = f"{where}[{number}]"
        config = dict(item) if isinstance(item, Mapping) else {"train": item}
        names = [part.strip() for part in str(config["train"]).split("+")]
        if "," in str(config["train"]):
            listed = ", ".join(part.strip() for part in str(config["train"]).split(","))
            fix = f"In one mixture: {listed.replace(', ', ' + ')}\nOne after the other: [{listed}]"
            raise UserError(f"a comma in the mixture {config['train']!r}", here, fix)
        if not all(names):
            message = f"the mixture {config['train']!r} has an empty part"
            raise UserError(message, here, "Write the sources like this: en + es")
        sources = [resolve(name, here) for name in names]
        if len(set(sources)) < len(sources):
            raise UserError(f"the mixture {config['train']!r} names a source twice", here)
        samples = _samples(item)
        if unknown := [name for name in samples if name not in names]:
            raise UserError(
                f"a sample of {unknown[0]!r}, which the mixture does not name", here, f"It names: {', '.join(names)}"
            )
        if config.get("replay") and number == 0:
            raise UserError("the first stage has nothing to replay", here, "Remove replay from it.")
        # Stages are hashable: lists become tuples.
        own = {key: value for key, value in config.items() if key not in STAGE_KEYS}
        for outer in NESTED:
            own |= {f"{outer}.{key}": value for key, value in own.pop(outer, {}).items()}
        recipe = tuple(sorted((key, tuple(value) if isinstance(value, list) else value) for key, value in own.items()))
        replayed = float(config.get("replay", 0))
        drawn = (_sampled(source, samples.get(name)) for name, source in zip(names, sources, strict=True))
        mixture = tuple(sorted(filter(None, drawn)))
        stages.append(StageSpec(mixture, config.get("updates"), config.get("epochs"), replayed, recipe))
    trained = tuple(stage for stage in _divide(stages, budget, where) if stage.sources)
    if trained and trained[0].replay:
        message = "after samples of 0 the first stage has nothing to replay"
        raise UserError(message, where, "Leave 0 out of the sample, or replay.")
    return trained


def _sampled(source: str, sample: int | None) -> str:
    """The source with its sample; empty for a sample of no example."""
    if sample is None:
        return source
    dataset, _, language = source.rpartition(".")
    return f"{Part(SAMPLE, sample).of(dataset)}.{language}" if sample else ""


def _divide(stages: list[StageSpec], budget: Budget, where: str) -> tuple[StageSpec, ...]:
    """Give every stage its share of the track's budget."""
    if budget.epochs is not None:
        if any(stage.updates is not None for stage in stages):
            raise UserError("the track's budget counts epochs, a stage counts updates", where, "Use one of the two.")
        return tuple(replace(stage, epochs=float(stage.epochs or budget.epochs)) for stage in stages)
    if any(stage.epochs is not None for stage in stages):
        raise UserError("the track's budget counts updates, a stage counts epochs", where, "Use one of the two.")
    open_stages = [stage for stage in stages if stage.updates is None]
    left = budget.updates - sum(stage.updates or 0 for stage in stages)
    if open_stages and (left <= 0 or left % len(open_stages)):
        nearest = max(1, round(left / len(open_stages))) * len(open_stages) + budget.updates - left
        raise UserError(
            f"a budget of {budget.updates} updates does not divide over these {len(stages)} stages"
            f" ({left} left for {len(open_stages)} without updates of their own)",
            where,
            "Give each stage its updates, or set the track's budget to\n"
            f"budget: {{updates: {nearest}, tokens: {budget.tokens}}}",
        )
    if not open_stages and left and budget.matched:
        raise UserError(
            f"the stages spend {budget.updates - left} updates, the track's budget is {budget.updates}",
            where,
            "Every schedule of a track spends the same; to compare unmatched ones on purpose: budget: {matched: false}",
        )
    share = left // len(open_stages) if open_stages else 0
    return tuple(stage if stage.updates is not None else replace(stage, updates=share) for stage in stages)


def _average(
    name: str, members: Sequence, schedules: Mapping, resolve: Callable, budget: Budget, where: str
) -> Schedule:
    """The average of named schedules (each costs its full budget) or of lists of stages (they share one budget)."""
    if all(isinstance(member, str) for member in members):
        if unknown := [member for member in members if member not in schedules]:
            message = f"average of an unknown schedule {unknown[0]!r}"
            raise UserError(message, where, f"Schedules here: {', '.join(schedules)}")
        return Schedule(name, members=tuple(schedules[member] for member in members))
    if any(isinstance(member, str) for member in members):
        raise UserError("an average is of schedule names or of lists of stages, not of both", where)
    if any(isinstance(size, list) for items in members for item in items for size in _samples(item).values()):
        fix = "Name the points, as in average: [few-10, other-10]"
        raise UserError("a member of an average has one size of its sample", where, fix)
    if budget.updates is not None and budget.updates % len(members):
        raise UserError(f"a budget of {budget.updates} updates does not divide over {len(members)} members", where)
    share = Budget(budget.tokens, budget.updates and budget.updates // len(members), budget.epochs, budget.matched)
    parts = [
        Schedule("_then_".join(map(_label, items)), _stages(list(items), resolve, share, f"{where}.average[{number}]"))
        for number, items in enumerate(members)
    ]
    if not all(part.stages for part in parts):
        raise UserError("a member of the average trains nothing", where, "Leave its sample of 0 out.")
    return Schedule(name, members=tuple(parts))


def shortened(budget: Mapping[str, Any]) -> dict[str, Any]:
    """A budget's updates, at least one, or epochs, divided for a pilot."""
    shorter = dict(budget)
    if budget.get("updates") is not None:
        shorter["updates"] = math.ceil(budget["updates"] / PILOT_SHORTENING)
    if budget.get("epochs") is not None:
        shorter["epochs"] = budget["epochs"] / PILOT_SHORTENING
    return shorter


def shorten(schedule: Schedule) -> Schedule:
    """The schedule of a pilot, whose every stage is shorter."""
    stages = (replace(s, **shortened({"updates": s.updates, "epochs": s.epochs})) for s in schedule.stages)
    return replace(schedule, stages=tuple(stages), members=tuple(map(shorten, schedule.members)))


def with_one_lr_schedule(schedule: Schedule, where: str) -> Schedule:
    """The schedule with one learning-rate schedule over all its stages, or over those of each member of an average.

    UserError if a stage has a shape of its own, or counts epochs: then the total is unknown before training.
    """
    if len(schedule.stages) < 2:
        return replace(schedule, members=tuple(with_one_lr_schedule(member, where) for member in schedule.members))
    for stage in schedule.stages:
        if own := [key for key in LR_SHAPE if key in stage.changes]:
            message = (
                f"a stage has its own {own[0]}, but one learning-rate schedule spans all stages (lr_schedule_over)"
            )
            raise UserError(message, f"{where}.{schedule.name}", f"Give {own[0]} to the recipe of the track.")
    if schedule.total_updates is None:
        message = (
            "a learning-rate schedule over a sequence needs the number of its updates, and the budget counts epochs"
        )
        raise UserError(message, f"{where}.{schedule.name}", "budget: {updates: 900, tokens: 4096}")
    return replace(schedule, stages=tuple(replace(s, lr_updates=schedule.total_updates) for s in schedule.stages))


def check_matched(schedules: Sequence[Schedule], budget: Budget, rows: Callable[[str], int | None], where: str) -> None:
    """UserError with the costs, in rows (epochs x rows), if matched schedules with a budget in epochs cost differently.

    `parse_schedules` checks budgets in updates. Averages are exempt: the tables show their cost.
    """
    if not budget.matched or budget.updates is not None:
        return
    costs = {s.name: _rows_seen(s, rows, where) for s in schedules if s.stages}
    if len({round(cost, 6) for cost in costs.values()}) > 1:
        listing = "\n".join(f"{name}: {float(cost):g} rows" for name, cost in costs.items())
        raise UserError(
            f"the schedules do not see the same number of rows:\n{listing}",
            f"{where}.budget",
            "Count updates (budget: {updates: 900, tokens: 4096}), or allow it: matched: false",
        )


def _rows_seen(schedule: Schedule, rows: Callable[[str], int | None], where: str) -> Fraction:
    total = Fraction(0)
    for stage in schedule.stages:
        for source in stage.sources:
            count = rows(source)
            if count is None:
                raise UserError(
                    f"epochs cannot be matched: the registry does not state the number of rows of {source}",
                    f"{where}.budget",
                    "Add rows to its record, count updates instead, or set matched: false",
                )
            total += Fraction(stage.epochs).limit_denominator(1000) * count
    return total


def _mark(value: object) -> str:
    if isinstance(value, list | tuple):
        return "+".join(map(_mark, value))
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
