"""Typological distances between languages, from a file of their features.

Owns: the forms of such files, what a distance is. Must never know: scores, what a study trains on.

A distance is the share of features in which two languages differ, among those that are known of both. A feature between
0 and 1, as URIEL's, counts the difference of its two values; any other is the same or not.
"""

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import read_text

DISTANCES_VERSION = 1

CODE_COLUMNS = ("iso_code", "ISO639P3code", "language")

ARRAYS = ("langs", "feats", "data")

Features = Mapping[str, float | str]

"""What is known of a language, by feature."""


def distances(file: Path | str, patterns: Sequence[str], languages: Mapping[str, str]) -> dict:
    """Distances between all pairs of `languages` (our code: the ISO 639-3 code that the file may have), as plain data.

    Returns `features`, how many of the file's features fit one of `patterns`, as in S_*; `unknown`, the languages of
    which the file knows none of them; and `pairs[a][b]`, [distance, features known of both].
    """
    names, table = read_features(file, patterns)
    known = {code: table.get(iso) or table.get(code) or {} for code, iso in languages.items()}
    pairs: dict[str, dict[str, list]] = {}
    for one in sorted(known):
        for other in sorted(known):
            shared = known[one].keys() & known[other].keys()
            if shared and one != other:
                pairs.setdefault(one, {})[other] = [distance(known[one], known[other]), len(shared)]
    unknown = sorted(code for code, features in known.items() if not features)
    return {"features": len(names), "unknown": unknown, "pairs": pairs}


def distance(one: Features, other: Features) -> float:
    """The share of the features known of both in which they differ. Raises ZeroDivisionError where none is."""
    shared = sorted(one.keys() & other.keys())
    return sum(_difference(one[name], other[name]) for name in shared) / len(shared)


def _difference(one: float | str, other: float | str) -> float:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other)
    return float(one != other)


def read_features(file: Path | str, patterns: Sequence[str]) -> tuple[list[str], dict[str, Features]]:
    """Names of the features that fit one of the patterns, and the known ones by the file's language codes.

    Two forms: `.npz` as lang2vec keeps URIEL (arrays `langs`, `feats` and `data` of languages x features x sources, -1
    for unknown; sources are averaged), and a table, `.csv` also packed as `.csv.xz` or `.csv.gz`, as of WALS: a line a
    language, its code in a column `iso_code`, `ISO639P3code` or `language`, every other column a feature, empty where
    it is unknown. UserError with the file, and in a table the line, for anything else.
    """
    read = _read_arrays if Path(file).suffix == ".npz" else _read_table
    return read(file, patterns)


def _read_arrays(file: Path | str, patterns: Sequence[str]) -> tuple[list[str], dict[str, Features]]:
    # Only the job that reads arrays pays for loading numpy.
    import numpy as np

    try:
        with np.load(file, allow_pickle=False) as arrays:
            if missing := [name for name in ARRAYS if name not in arrays.files]:
                message = f"no array {missing[0]!r} in it; there are: {', '.join(arrays.files)}"
                raise UserError(message, str(file), "lang2vec's features.npz has langs, feats and data.")
            languages, features, data = (arrays[name] for name in ARRAYS)
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"not a readable .npz file ({error})", str(file), "Copy or download it again.") from None
    if data.ndim != 3 or data.shape[:2] != (len(languages), len(features)):
        expected = f"({len(languages)}, {len(features)}, sources)"
        raise UserError(f"data has the shape {data.shape}, expected {expected}", str(file))
    chosen = [number for number, name in enumerate(features) if _fits(str(name), patterns)]
    _check_chosen(chosen, patterns, [str(name) for name in features], file)
    data = data[:, chosen].astype(float)
    known = data >= 0
    sources = known.sum(axis=2)
    means = np.where(known, data, 0).sum(axis=2) / np.maximum(sources, 1)
    names = [str(features[number]) for number in chosen]
    table = {
        str(language): {name: float(mean) for name, mean, any_known in zip(names, row, has, strict=True) if any_known}
        for language, row, has in zip(languages, means, sources, strict=True)
    }
    return names, table


def _read_table(file: Path | str, patterns: Sequence[str]) -> tuple[list[str], dict[str, Features]]:
    rows = csv.reader(io.StringIO(read_text(file)))
    head = next(rows, [])
    column = next((name for name in CODE_COLUMNS if name in head), None)
    if column is None:
        message = f"no column of language codes; expected one of {', '.join(CODE_COLUMNS)}"
        raise UserError(message, f"{file}:1", "language,feature,another feature")
    chosen = [number for number, name in enumerate(head) if name != column and _fits(name, patterns)]
    _check_chosen(chosen, patterns, [name for name in head if name != column], file)
    found: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        if not row:
            continue
        if len(row) != len(head):
            message = f"expected {len(head)} values as in the first line, found {len(row)}"
            raise UserError(message, f"{file}:{rows.line_num}", "Put values that hold a comma in double quotes.")
        values = found.setdefault(row[head.index(column)], {})
        for number in chosen:
            if row[number]:
                values.setdefault(head[number], set()).add(row[number])
    # Dialects share a code in WALS; what they differ in is not known of the language.
    table = {code: {name: min(s) for name, s in values.items() if len(s) == 1} for code, values in found.items()}
    return [head[number] for number in chosen], table


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check_chosen(chosen: Sequence[int], patterns: Sequence[str], names: Sequence[str], file: Path | str) -> None:
    if not chosen:
        message = f"no feature fits {', '.join(patterns)}"
        raise UserError(message, str(file), f"It has {len(names)}, the first of them: {', '.join(names[:5])}")
