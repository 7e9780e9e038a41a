"""The lines of a YAML file that the places in messages (`tracks.qa.budget`) stand for."""

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from crosstune.core.errors import UserError
from crosstune.core.files import read_text

INDEX = re.compile(r"\[(\d+)\]")


@contextmanager
def lines_named(*files: Path | str, others: Collection[str] = ()) -> Iterator[None]:
    """Put file and line before the place of a UserError that is a key of one of some YAML files, the last first.

    `others`: keys of the command line, which the files do not decide.
    """
    try:
        yield
    except UserError as error:
        for file in () if re.split(r"[.\[,:]", error.where)[0] in others else reversed(files):
            if line := line_of(read_text(file), error.where):
                raise UserError(error.message, f"{file}:{line}: {error.where}", error.fix) from None
        raise


def line_of(text: str, place: str) -> int | None:
    """The line, from 1, of the key or item that a place names, or of the last part of it that there is; else None."""
    try:
        node = yaml.compose(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return None
    found = None
    while node and (step := _step(node, place)):
        found, node, place = step
    return found and found.start_mark.line + 1


def _step(node: yaml.Node, place: str) -> tuple[yaml.Node, yaml.Node, str] | None:
    """The key, or item, that a place begins with, what lies below it, and the rest of the place."""
    if isinstance(node, yaml.SequenceNode) and (index := INDEX.match(place)) and int(index[1]) < len(node.value):
        item = node.value[int(index[1])]
        return item, item, place[index.end() :].removeprefix(".")
    if isinstance(node, yaml.MappingNode):
        return _longest_key(node.value, place)
    return None


def _longest_key(pairs: Sequence, place: str) -> tuple[yaml.Node, yaml.Node, str] | None:
    """The longest of a mapping's keys, which may contain dots, that a place begins with."""
    fitting = [
        (key, value)
        for key, value in pairs
        if isinstance(key, yaml.ScalarNode)
        and place.startswith(key.value)
        and place[len(key.value) :][:1] in ("", ".", "[", ",", ":")
    ]
    if not fitting:
        return None
    key, value = max(fitting, key=lambda pair: len(pair[0].value))
    return key, value, place[len(key.value) :].removeprefix(".")
