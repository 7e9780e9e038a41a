"""Study files bred from good ones: each is planned as it says, or refused with one message."""

import copy
import json
import math
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from crosstune.core.errors import UserError
from crosstune.core.schema import read_yaml
from crosstune.study.build import build_study
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.plan import plan_of
from crosstune.study.resources import JobResources
from crosstune.study.retention import RetentionPolicy
from crosstune.study.summary import summary

ROOT = Path(__file__).parents[2]
SECONDS = 20  # in which a mutant is planned, on a busy machine too
# Numbers of mutants: 2,100 in all, few of large studies, which take longer.
FILES = {
    "tests/workflow/small.yaml": 700, "config.yaml": 500, "studies/world-full.yaml": 160,
    "studies/real-smoke.yaml": 160, "studies/mucot-world.yaml": 140, "studies/xtreme-r-smoke.yaml": 120,
    "studies/real-en-es-fr.yaml": 100, "studies/real-translate.yaml": 100, "studies/xtreme-r-real-smoke.yaml": 40,
    "studies/full-size.yaml": 40, "studies/mucot.yaml": 20, "studies/xtreme-r.yaml": 20,
}  # fmt: skip
# As YAML writes them: values of other types, traps, extremes.
VALUES = (
    "0", "-1", "1", "2", "3.5", "1.0", "1e3", "1e-5", "1e999", ".nan", ".inf", "010", "1:30", "20:00", "0x10", "1_0",
    "2026-01-01", "null", "~", "true", "no", "on", '""', '"1"', "''", "[]", "{}", "[1, 2]", "[true]", "[1.0]", "x",
    "all", "low", "{a: 1}", "999999999999999999999999", "100000000", "qen", "qen + qes", "worldqa.qen", "../x", "ü",
    "[qen]", "{each: [qen, qes]}", "{orders: [qen, qes, qfr]}", "{average: [a, b]}", "*x", "&y 1", "!x 1", "'", "[",
)  # fmt: skip


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise AssertionError(f"no plan and no message within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# ------------------------------------------------------------------------------------------------------------- mutants


def mutate_text(draw: random.Random, text: str) -> str:
    """One change of the characters: a line or word lost, doubled, moved or replaced, another indentation, a cut."""
    lines = text.split("\n")
    here, there = draw.randrange(len(lines)), draw.randrange(len(lines))
    line = lines[here]
    words = line.split(" ")
    word = draw.randrange(len(words))

    def replaced(value: str) -> list[str]:
        key, colon, _ = line.partition(": ")
        return (
            [f"{key}: {value}"]
            if colon and draw.random() < 0.5
            else [" ".join([*words[:word], value, *words[word + 1 :]])]
        )

    changes: list[Callable[[], list[str]]] = [
        lambda: [],
        lambda: [line, line],
        lambda: [line, lines[there]],
        lambda: [draw.choice((" ", "  ", "\t", "- ")) + line],
        lambda: [line[1:]],
        lambda: replaced(draw.choice(VALUES)),
        lambda: replaced(draw.choice(VALUES)),
        lambda: replaced(draw.choice(text.split())),
        lambda: [line.replace(draw.choice(line or " "), draw.choice('":,{}[]#&*!|>%@ab1\0é'), 1)],
    ]
    if draw.random() < 0.02:
        return text[: draw.randrange(len(text))]
    return "\n".join(lines[:here] + draw.choice(changes)() + lines[here + 1 :])


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def mutate_tree(draw: random.Random, text: str) -> str:
    """One change of the content: a value, key or item lost, renamed, doubled or replaced."""
    config = copy.deepcopy(yaml.safe_load(text))
    *path, last = draw.choice([path for path in places(config) if path])
    parent = config
    for key in path:
        parent = parent[key]
    change = draw.randrange(4)
    if change == 0:
        del parent[last]
    elif change == 1 and isinstance(parent, dict):
        parent[draw.choice(["x", "lrr", "worldqa", "qen", f"{last}s"])] = parent.pop(last)
    elif change == 2 and isinstance(parent, list):
        parent.insert(last, parent[last])
    else:
        parent[last] = yaml.safe_load(
            draw.choice([value for value in VALUES if value[0] not in "*!" and value not in "'["])
        )
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


# ------------------------------------------------------------------------------------------------------------- meaning


def written(value: Any) -> Any:
    """A file's content as plain text, with merged keys: another reading of it than the project's."""
    if isinstance(value, list):
        return [written(item) for item in value]
    if not isinstance(value, dict):
        return value
    merged: dict = {}
    bases = value.get("<<", [])
    for base in [bases] if isinstance(bases, dict) else bases:
        merged = {**written(base), **merged}
    return merged | {key: written(item) for key, item in value.items() if key != "<<"}


def schedules_of(config: Any) -> int:
    """The number of schedules that one entry stands for."""
    if isinstance(config, dict) and "each" in config:
        return len(config["each"])
    if isinstance(config, dict) and "orders" in config:
        size = len(config["orders"])
        return size if config.get("design") == "latin" else math.factorial(size)
    return 1


def check_meaning(plan: dict, text: str) -> None:
    """The plan has the file's seeds, models, tracks, schedules, updates, data sets and languages."""
    config = written(yaml.load(text, yaml.CBaseLoader))
    assert plan["study"] == config["study"]
    assert plan["seeds"] == [int(seed, 0) for seed in config["seeds"]]
    assert plan["models"] == list(config["models"])
    assert list(plan["tracks"]) == list(config["tracks"])
    for name, track in config["tracks"].items():
        planned = plan["tracks"][name]
        assert len(planned["schedules"]) == 1 + sum(map(schedules_of, track["schedules"].values()))
        assert set(planned["evaluate"]) == set(track["evaluate"])
        for dataset, languages in track["evaluate"].items():
            assert languages == "all" or planned["evaluate"][dataset] == languages
        for key in ("updates", "tokens"):
            assert key not in track["budget"] or planned["budget"][key] == int(track["budget"][key], 0)
    folds = {name: len(track["folds"]) or 1 for name, track in plan["tracks"].items()}
    for name, track in plan["tracks"].items():
        runs = [run for run in plan["runs"] if run["track"] == name]
        assert len(runs) == len(plan["seeds"]) * len(plan["models"]) * len(track["schedules"]) * folds[name]


def plan_or_message(path: Path) -> dict | str:
    """The plan of a study file as the workflow makes it, or the message that refuses it."""
    try:
        study = build_study(read_yaml(path), ROOT)
        requirements, retention = DataRequirements(study), RetentionPolicy(study)
        JobResources(study, retention)
        requirements.check_translators()
        lines = [*summary(study, retention), *requirements.pending_notices(), *requirements.prepared]
        specs = [node.spec for node in study.checkpoints.values()]
        json.dumps([lines, specs], allow_nan=False)
        return json.loads(json.dumps(plan_of(study), allow_nan=False))
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("mutate", [mutate_text, mutate_tree])
@pytest.mark.parametrize("file", FILES)
def test_a_mutant_is_planned_as_it_says_or_refused_with_one_message(tmp_path, monkeypatch, file, mutate):
    monkeypatch.chdir(tmp_path)
    draw, text = random.Random(f"{file} {mutate.__name__}"), (ROOT / file).read_text(encoding="utf-8")
    path = tmp_path / "study.yaml"
    planned = 0
    for number in range(FILES[file] // 2):
        mutant = mutate(draw, text)
        path.write_text(mutant, encoding="utf-8")
        try:
            with time_limit(SECONDS):
                found = plan_or_message(path)
            if isinstance(found, dict):
                planned += 1
                check_meaning(found, mutant)
            else:
                assert found.strip() and len(found) < 3000, found
        except Exception as error:
            raise AssertionError(f"mutant {number} of {file}:\n{mutant}") from error
    path.write_text(text, encoding="utf-8")
    assert planned or isinstance(plan_or_message(path), str), "some mutants of a study are studies"
