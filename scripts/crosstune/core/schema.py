"""Validating a config against its schema, with errors that a person can act on."""

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from crosstune.core.errors import UNPRINTABLE, UserError
from crosstune.core.strict_yaml import check_expanded_size, read_strict

LARGEST = 2**63 - 1

# A text between two typographic quotes.
CURLY = re.compile("[\u2018-\u201f]([^\u2018-\u201f]*)[\u2018-\u201f]")

NUMBER = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


def _whole_pattern(_, pattern: str, value: Any, __) -> Iterator[jsonschema.ValidationError]:
    """The schema's `pattern`. Its `$` would also match before a newline at the end, which then stands in a path."""
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


# JSON Schema counts 1.0 as an integer. A seed 1.0 would have another folder and other random streams than a seed 1.
SchemaValidator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {"pattern": _whole_pattern},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)


def check_known(name: str, known: Sequence[str] | Mapping, what: str, where: str) -> None:
    """Raise UserError for a name that is not among the known ones; `what` is their noun."""
    if name not in known:
        raise UserError(f"unknown {what} {name!r}", where, f"There are: {', '.join(known)}")


def validate(config: Any, schema_path: Path | str) -> dict:
    """The config with numbers that YAML reads as text corrected, and defaults filled in.

    Raises UserError for the first violation of the schema: the key, the expected value, a line to paste.
    """
    schema = read_schema(Path(schema_path))
    check_expanded_size(config, "config")
    config = mend_yaml(config)
    for error in SchemaValidator(schema).iter_errors(config):
        raise _user_error(error, schema)
    return fill_defaults(config, schema, schema)


def check_part(value: Any, definition: str, schema_path: Path | str, where: str) -> None:
    """UserError, at `where`, if a part of a config violates a definition of the schema."""
    schema = read_schema(Path(schema_path))
    part = {"$ref": f"#/$defs/{definition}", "$defs": schema["$defs"]}
    for error in SchemaValidator(part).iter_errors(value):
        found = _user_error(error, schema)
        raise UserError(found.message, where, found.fix)


@cache
def read_schema(path: Path) -> dict:
    """The schema in a file; callers must not change it."""
    # Every job parses it. PyYAML's C loader, if there is one, takes a tenth of the time.
    return yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def mend_yaml(value: Any, where: str = "") -> Any:
    """YAML 1.1 reads `1e-5` as text and the key `no` as False: correct the first, refuse the second (UserError)."""
    if isinstance(value, Mapping):
        for key in value:
            if isinstance(key, str):
                _refuse_curly(key, f"{key}: ...", where)
                mend_yaml(key, where)
            else:
                raise UserError(f"YAML reads this key as {key!r}, not as text", where or "config", _quote_fix(key))
        return {key: mend_yaml(item, f"{where}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mend_yaml(item, f"{where}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, str):
        _refuse_curly(value, value, where)
    if isinstance(value, str) and (found := UNPRINTABLE.search(value)):
        message = f"the text contains {found[0]!a}, a character that no reader sees"
        raise UserError(message, where or "config", "Remove it: it would reach the page, the tables and the terminal.")
    if isinstance(value, str) and NUMBER.fullmatch(value):
        number = float(value)
        if not math.isfinite(number):
            raise UserError(f"the number {value} is too large", where or "config", "Write a smaller one.")
        return number
    if isinstance(value, int) and abs(value) > LARGEST:
        raise UserError("the number is too large", where or "config", "A text of digits needs quotes.")
    return value


def _refuse_curly(text: str, line: str, where: str) -> None:
    """UserError for a text between typographic quotes, which YAML takes for letters of the text."""
    if quoted := CURLY.fullmatch(text):
        straight = line.replace(text, f'"{quoted[1]}"')
        message = f"the quotes of {text} are letters of the text to YAML"
        raise UserError(message, where or "config", f"Write straight ones:\n{straight}")


def fill_defaults(value: Any, schema: Mapping, root: Mapping) -> Any:
    """The value with the schema's `default` for each missing key.

    Branches of a choice (oneOf) get none: a stage takes missing keys from its track.
    """
    schema = resolve_reference(schema, root)
    if isinstance(value, Mapping):
        properties = schema.get("properties", {})
        filled = dict(value)
        for key, part in properties.items():
            part = resolve_reference(part, root)
            if key not in filled and "default" in part:
                filled[key] = part["default"]
        others = schema.get("additionalProperties", True)
        parts = {key: properties.get(key, others) for key in filled}
        return {k: fill_defaults(v, parts[k], root) if isinstance(parts[k], Mapping) else v for k, v in filled.items()}
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        return [fill_defaults(item, schema["items"], root) for item in value]
    return value


def resolve_reference(schema: Mapping, root: Mapping) -> Mapping:
    """Follow `$ref: "#/$defs/x"`; keys next to the reference (a description) win over those of the definition."""
    if "$ref" not in schema:
        return schema
    target = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return {**resolve_reference(target, root), **{key: value for key, value in schema.items() if key != "$ref"}}


def _user_error(error: jsonschema.ValidationError, schema: Mapping) -> UserError:
    error = _closest_branch(error)
    path = list(error.absolute_path)
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".") or "config"
    value = error.instance
    example = "\n".join(error.schema.get("examples", []))
    expected = error.schema.get("description", "")
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        key = next(key for key in value if key not in known)
        close = difflib.get_close_matches(key, known, 1)
        hint = f"Did you mean {close[0]}?" if close else f"Known keys: {', '.join(known)}"
        return UserError(f"unknown key {key!r}", where if path else str(key), hint)
    if error.validator == "required":
        key = next(key for key in error.validator_value if key not in value)
        part = resolve_reference(error.schema.get("properties", {}).get(key, {}), schema)
        line = "\n".join(part.get("examples", [])) or f"{key}: ..."
        return UserError(f"the key {key!r} is missing", where, f"{part.get('description', '')}\n{line}".strip())
    if isinstance(value, bool) and error.validator == "type" and error.validator_value != "string":
        kinds = " or ".join(_kinds(error.schema, schema))
        return UserError(f"expected {kinds}, found the truth value {value}", where, expected)
    if isinstance(value, bool):
        return UserError(f"YAML reads this as {value}, text was expected", where, _quote_fix(value))
    if isinstance(value, float) and value.is_integer() and error.validator_value == "integer":
        return UserError(f"expected a whole number, found {value!r}", where, f"Write {int(value)}.")
    if error.validator == "type" or (error.validator == "oneOf" and not isinstance(value, Mapping)):
        kinds = _kinds(error.schema, schema)
        fix = _as_list(path, value) if "a list" in kinds else ""
        return UserError(f"expected {' or '.join(kinds)}, found {value!r}", where, fix or example or expected)
    if error.validator == "dependentRequired":
        key, needed = next((key, needed) for key, needed in error.validator_value.items() if key in value)
        return UserError(f"the key {key!r} has no effect without {' and '.join(needed)}", where, f"Leave {key} out.")
    if error.validator == "uniqueItems":
        twice = next(item for number, item in enumerate(value) if item in value[:number])
        return UserError(f"{twice!r} is given twice", where, "Give each value once.")
    if error.validator == "pattern" and "$ref" not in expected:
        return UserError(f"{value!r} is not allowed here", where, expected)
    if error.validator == "maxItems":
        message = f"{len(value)} entries, and at most {error.validator_value} make sense"
        return UserError(message, where, "\n".join(filter(None, [expected, example])))
    if error.validator == "minItems" and value:
        message = f"expected at least {error.validator_value} entries, found {len(value)}"
        return UserError(message, where, "\n".join(filter(None, [expected, example])))
    if error.validator == "minItems" or error.validator == "minProperties":
        return UserError("this must not be empty", where, "\n".join(filter(None, [expected, example])))
    if error.validator == "oneOf" and isinstance(value, Mapping):
        choices = [" and ".join(branch.get("required", [])) for branch in error.validator_value]
        return UserError(f"expected exactly one of: {'; '.join(filter(None, choices))}", where, expected)
    return UserError(f"{value!r} does not fit: {error.message}", where, "\n".join(filter(None, [expected, example])))


KINDS = {
    "array": "a list", "object": "a mapping (key: value)", "string": "a text", "integer": "a whole number",
    "number": "a number", "boolean": "true or false",
}  # fmt: skip


def _kinds(part: Mapping, root: Mapping) -> list[str]:
    """What a schema takes, in words."""
    part = resolve_reference(part, root)
    if "const" in part:
        return [str(part["const"])]
    if "type" not in part:
        return list(dict.fromkeys(kind for branch in part.get("oneOf", []) for kind in _kinds(branch, root)))
    return [KINDS[kind] for kind in (part["type"] if isinstance(part["type"], list) else [part["type"]])]


def _as_list(path: Sequence, value: Any) -> str:
    """A line to paste with the value of a key as a list; empty if it is not as simple as that."""
    simple = isinstance(value, str | int | float) and not isinstance(value, bool)
    return f"{path[-1]}: [{value}]" if simple and path and isinstance(path[-1], str) else ""


def _closest_branch(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Of a failed choice, the violation in the branch that fits the value's type or keys best."""
    while error.validator == "oneOf" and error.context:
        branches: dict[int, list] = {}
        for sub in error.context:
            branches.setdefault(sub.schema_path[0], []).append(sub)
        if not branches:
            return error

        def misfit(errors: list) -> tuple:
            top = [e for e in errors if not e.path]
            return (
                sum(e.validator in ("type", "const") for e in top),
                sum(e.validator == "required" for e in top),
                len(errors),
            )

        best = min(branches.values(), key=misfit)
        if misfit(best)[0] or (misfit(best)[1] and isinstance(error.instance, Mapping)):
            return error
        error = best[0]
    return error


def _quote_fix(value: object) -> str:
    word = {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    return f'Put it in quotes: "{word}"'


def read_yaml(path: Path | str) -> dict[Any, Any]:
    """The mapping in a YAML file, empty if the file is. Raises UserError as read_strict, or if it is no mapping."""
    content = read_strict(path) or {}
    if not isinstance(content, Mapping):
        raise UserError("expected entries by name, as in `name: {...}`", str(path))
    return dict(content)
