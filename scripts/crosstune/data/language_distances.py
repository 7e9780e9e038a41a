"""Typological distances between languages, from a file of their features.

The distance is the mean difference over the features known of both languages. Numeric features, which lie between 0
and 1 as in URIEL, differ by the absolute difference of their values; other features differ by 0 or 1.
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

Features = Mapping[str, float | str]  # the known values of one language


def pairwise_distances(file: Path | str, patterns: Sequence[str], languages: Mapping[str, str]) -> dict:
    """Distances between all pairs of `languages`, a mapping of this project's codes to ISO 639-3 codes.

    Returns `features`, the number of the file's features that match one of `patterns` (such as S_*); `unknown`, the
    languages without any of them; and `pairs[a][b]`, [distance, number of features known of both].
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
    """Mean difference over the features known of both, 0 to 1. Raises ZeroDivisionError if there are none."""
    shared = sorted(one.keys() & other.keys())
    return sum(_difference(one[name], other[name]) for name in shared) / len(shared)


def _difference(one: float | str, other: float | str) -> float:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other)
    return float(one != other)


def read_features(file: Path | str, patterns: Sequence[str]) -> tuple[list[str], dict[str, Features]]:
    """(names, features by language code) of the features that match one of the patterns.

    A `.npz` file has the arrays of lang2vec's URIEL: `langs`, `feats` and `data` (languages, features, sources), -1 for
    unknown; sources are averaged. A table (`.csv`, `.csv.xz`, `.csv.gz`), such as WALS, has one line per language, its
    code in a column `iso_code`, `ISO639P3code` or `language`; all other columns are features, empty for unknown.
    Raises UserError with the file, and in a table the line, for anything else.
    """
    read = _read_arrays if Path(file).suffix == ".npz" else _read_table
    return read(file, patterns)


def _read_arrays(file: Path | str, patterns: Sequence[str]) -> tuple[list[str], dict[str, Features]]:
    # Only jobs that read arrays import numpy.
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
    chosen = [number for number, name in enumerate(features) if _matches_any(str(name), patterns)]
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
    chosen = [number for number, name in enumerate(head) if name != column and _matches_any(name, patterns)]
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
    # Dialects share a code in WALS. A feature in which they differ is unknown for the language.
    table = {code: {name: min(s) for name, s in values.items() if len(s) == 1} for code, values in found.items()}
    return [head[number] for number in chosen], table


def _matches_any(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check_chosen(chosen: Sequence[int], patterns: Sequence[str], names: Sequence[str], file: Path | str) -> None:
    if not chosen:
        message = f"no feature fits {', '.join(patterns)}"
        raise UserError(message, str(file), f"It has {len(names)}, the first of them: {', '.join(names[:5])}")
