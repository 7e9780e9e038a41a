"""YAML that means what its reader sees: doubled keys and words that YAML 1.1 turns into something else are refused."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from crosstune.core.errors import UserError
from crosstune.core.files import read_text

BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

NO_BREAK_SPACE = "\u00a0"

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
        raise _syntax_error(path, text, error) from None
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


# What a line of a file that is no YAML may have, and what to do about it.
SLIPS = (
    (re.compile(r"^ *\t"), "a tab in the indentation", "Indent with spaces:", "\t", "  "),
    (re.compile(f"{NO_BREAK_SPACE}"), "a no-break space", "Write an ordinary one:", NO_BREAK_SPACE, " "),
    (re.compile(r"""^\s*(- )?[A-Za-z][\w-]*:(?=[^\s:/])"""), "a colon without a space after it", "Write:", ":", ": "),
)


def _syntax_error(path: Path | str, text: str, error: yaml.YAMLError) -> UserError:
    """The error of a file that is no YAML, at the line with the slip, if it is a frequent one."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or error
    if not mark:
        return UserError(f"not valid YAML ({reason})", str(path))
    lines = text.split("\n")[: mark.line + 1]
    # The parser notices some slips one line later.
    for number in range(len(lines) - 1, max(-1, len(lines) - 3), -1):
        if slip := _slip(lines[number]):
            column, what, fix = slip
            return UserError(f"not valid YAML: {what}", f"{path}:{number + 1}:{column}", fix)
    where = f"{path}:{mark.line + 1}:{mark.column + 1}"
    if slip := _indentation(lines) or _second_colon(lines[-1], str(reason)):
        return UserError(f"not valid YAML: {slip[0]}", where, slip[1])
    fix = "Check the indentation, closing brackets and quotes; a text with a colon needs quotes."
    return UserError(f"not valid YAML ({reason})", where, f"{lines[-1].strip()}\n{fix}".strip())


def _slip(line: str) -> tuple[int, str, str] | None:
    """The column of a slip in a line, from 1, with what it is and a line to paste."""
    for pattern, what, advice, wrong, right in SLIPS:
        if found := pattern.search(line):
            mended = line.replace(wrong, right, 1 if wrong == ":" else -1)
            return line.index(wrong, found.start()) + 1, what, f"{advice}\n{mended}"
    return None


def _indentation(lines: Sequence[str]) -> tuple[str, str] | None:
    """What is wrong with the indentation of the last line, and the line to paste; None if it is not too deep."""
    last = lines[-1]
    before = next((line for line in reversed(lines[:-1]) if re.match(r" *[^#\s]", line)), "").rstrip()
    deep, deeper = (len(line) - len(line.lstrip(" ")) for line in (before, last))
    if not before or deeper <= deep or before.endswith((":", "|", ">", "[", "{", ",")):
        return None
    what = f"indented by {deeper} spaces, below a line with {deep} that nothing can be part of"
    return what, f"With the same indentation:\n{' ' * deep}{last.strip()}"


def _second_colon(line: str, reason: str) -> tuple[str, str] | None:
    """That a text has a colon, with the line to paste."""
    parts = re.fullmatch(r"\s*((?:- )?[\w-]+:) +([^\"'\[{\s].*)", line)
    if not parts or "mapping values" not in reason:
        return None
    return "a text with a colon", f'It needs quotes:\n{parts[1]} "{parts[2]}"'


def _check_keys(node: yaml.MappingNode) -> None:
    seen: dict[tuple[str, str], yaml.Node] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            first = seen.setdefault((key.tag, key.value), key)
            if NO_BREAK_SPACE in key.value and not key.style:
                fix = "Write an ordinary one:"
                raise _TrapError(key, "a no-break space", fix, key.value.replace(NO_BREAK_SPACE, " "))
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
