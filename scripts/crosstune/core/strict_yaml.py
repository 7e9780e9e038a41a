"""YAML that means what its reader sees: doubled keys and words that YAML 1.1 turns into something else are refused."""

import re
from pathlib import Path
from typing import Any, NoReturn

import yaml

from crosstune.core.errors import UserError
from crosstune.core.files import read_text

BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

LARGEST_SIZE = 1_000_000

# The longest chain of lists and mappings in the files of the project has 7.
DEEPEST = 100

# PyYAML's C loader, if there is one, takes a tenth of the time.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


MERGE = "tag:yaml.org,2002:merge"

DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+")


def read_strict(path: Path | str) -> Any:
    """The content of a YAML file.

    Raises UserError, with line and column and a line to paste, if the file is no YAML or says one thing and means
    another: a key given twice, `no` for false, `010` for 8, `1:30` for 90, a date, a number that is not finite.
    """
    text = read_text(path)
    _check_depth(text, str(path))
    loader = _StrictLoader(text)
    try:
        content = loader.get_single_data()
        circular = _is_circular(content, frozenset(), set())
    except _TrapError as trap:
        mark, (line, column) = trap.node.start_mark, _position(text, trap.node.start_mark.index)
        fix = trap.fix if trap.instead is None else f"{trap.fix}\n{_mended_line(text, mark.index, trap)}"
        raise UserError(trap.message, f"{path}:{line}:{column}", fix) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        fix = "A colon, a dash or a bracket inside a text needs quotes; indentation is made of spaces."
        raise UserError(f"not valid YAML ({reason})", where, fix) from None
    except (RecursionError, ValueError, TypeError) as error:
        raise UserError(f"not valid YAML ({error or 'too deep'})", str(path)) from None
    finally:
        loader.dispose()
    if circular:
        raise UserError("an alias (*name) lies inside what it stands for", str(path), "Write the value out.")
    check_expanded_size(content, str(path))
    return content


def check_expanded_size(content: Any, where: str) -> None:
    """UserError if aliases of aliases make a short text a value with more parts than any memory holds."""
    if _expanded_size(content, {}) > LARGEST_SIZE:
        raise UserError(f"aliases make this a value of more than {LARGEST_SIZE:,} parts", where, "Do not trust it.")


def _expanded_size(value: Any, sizes: dict[int, int]) -> int:
    if not isinstance(value, dict | list | tuple):
        return 1
    if id(value) not in sizes:
        parts = value.values() if isinstance(value, dict) else value
        sizes[id(value)] = 1 + sum(_expanded_size(part, sizes) for part in parts)
    return sizes[id(value)]


def _check_depth(text: str, where: str) -> None:
    """UserError for lists in lists that would end the process: the C loader calls itself for each, without a limit.

    Its parser, which gives the events, does not.
    """
    depth = 0
    try:
        for event in yaml.parse(text, _Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                message = f"more than {DEEPEST} lists and mappings inside each other"
                raise UserError(message, where, "Do not trust it.")
    except yaml.YAMLError:
        pass  # The loader finds it too, and says where.


class _TrapError(Exception):
    """A node that YAML reads as something else; `instead` is the text that says what was meant."""

    def __init__(self, node: yaml.Node, message: str, fix: str, instead: str | None = None):
        super().__init__(message)
        self.node, self.message, self.fix, self.instead = node, message, fix, instead


class _StrictLoader(_Loader):
    def __init__(self, text: str):
        super().__init__(text)
        self._checked: set[yaml.Node] = set()
        self._merged = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # Called for every mapping before merge keys (<<) add to it: afterwards an overridden key would be there twice.
        if node not in self._checked:
            self._checked.add(node)
            _check_keys(node)
            self._count_merged(node)
        super().flatten_mapping(node)

    def _count_merged(self, node: yaml.MappingNode) -> None:
        """Refuse merges of merges that add more keys than any memory holds, although most override each other."""
        for key, value in node.value:
            if key.tag == MERGE:
                for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(part, yaml.MappingNode):
                        self.flatten_mapping(part)
                        self._merged += len(part.value)
                        if self._merged > LARGEST_SIZE:
                            raise _TrapError(
                                key, f"merges add more than {LARGEST_SIZE:,} keys", "Do not trust it.", None
                            )

    def boolean(self, node: yaml.ScalarNode) -> bool:
        if node.value not in BOOLEANS:
            meaning = "true" if node.value.lower() in ("yes", "on") else "false"
            self._refuse(node, meaning, f"For the truth value write {meaning}, for the word put it in quotes:")
        return BOOLEANS[node.value]

    def integer(self, node: yaml.ScalarNode) -> int:
        if not DECIMAL.fullmatch(node.value):
            value = self.construct_yaml_int(node)
            if octal := re.fullmatch("([-+]?)0+([0-9_]+)", node.value):
                fix = "Write the number without the zero, or put it in quotes:"
                self._refuse(node, str(value), fix, octal[1] + octal[2])
            self._refuse(node, str(value), "Put it in quotes:")
        return self.construct_yaml_int(node)

    def real(self, node: yaml.ScalarNode) -> float:
        if ":" in node.value or re.search("[a-df-zA-DF-Z]", node.value):
            self._refuse(node, f"{self.construct_yaml_float(node):g}", "Put it in quotes if it is a text:")
        return self.construct_yaml_float(node)

    def date(self, node: yaml.ScalarNode) -> NoReturn:
        self._refuse(node, "a date", "Put it in quotes:")

    def _refuse(self, node: yaml.ScalarNode, meaning: str, fix: str, instead: str = "") -> NoReturn:
        raise _TrapError(node, f"YAML reads {node.value} as {meaning}", fix, instead or f'"{node.value}"')


_StrictLoader.add_constructor("tag:yaml.org,2002:bool", _StrictLoader.boolean)
_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.integer)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _StrictLoader.real)
_StrictLoader.add_constructor("tag:yaml.org,2002:timestamp", _StrictLoader.date)


def _check_keys(node: yaml.MappingNode) -> None:
    seen: dict[tuple[str, str], yaml.Node] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            first = seen.setdefault((key.tag, key.value), key)
            if first is not key:
                message = f"the key {key.value!r} is given twice, first in line {first.start_mark.line + 1}"
                raise _TrapError(key, message, "YAML would forget the first: remove or rename one of the two.")


def _position(text: str, index: int) -> tuple[int, int]:
    """Line and column, from 1, as editors count them."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def _mended_line(text: str, index: int, trap: _TrapError) -> str:
    """The node's line with the text that says what was meant."""
    begin, end = text.rfind("\n", 0, index) + 1, text.find("\n", index)
    line, column = text[begin : end if end >= 0 else len(text)], index - begin
    return line[:column].lstrip() + trap.instead + line[column + len(trap.node.value) :].rstrip()


def _is_circular(value: Any, outer: frozenset[int], done: set[int]) -> bool:
    if not isinstance(value, dict | list) or id(value) in done:
        return False
    if len(outer) > DEEPEST:
        raise RecursionError(f"more than {DEEPEST} values inside each other")
    if id(value) in outer:
        return True
    parts = value.values() if isinstance(value, dict) else value
    found = any(_is_circular(part, outer | {id(value)}, done) for part in parts)
    done.add(id(value))
    return found
