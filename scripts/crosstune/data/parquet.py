"""Parquet files, as records with the names of their class labels.

Owns: Parquet, and the description of columns that the hub's libraries store in it.
Must never know: what rows a task needs (readers).

The `datasets` library writes a file's features as JSON into the schema's metadata, under the key `huggingface`:
{"info": {"features": {COLUMN: {"names": [...], "_type": "ClassLabel"}}}}, where a list of labels has its own
under `feature`. Read here as JSON: importing the library would cost a job seconds.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from crosstune.core.errors import UserError

BATCH = 1000  # rows in memory at a time


def read_parquet(files: Sequence[tuple[str, str | BinaryIO]]) -> Iterator[tuple[str, dict]]:
    """(place, record) of every row of some files, each given as (place, path or open file).

    Numbers in columns of class labels are replaced by the labels' names; a number that has no name stays, as the -1
    with which the hub keeps labels secret. Raises UserError where a file is no Parquet.
    """
    from pyarrow import ArrowException, parquet

    for place, file in files:
        try:
            table = parquet.ParquetFile(file)
            names = label_names(table.schema_arrow.metadata)
            number = 0
            for batch in table.iter_batches(BATCH):
                for record in batch.to_pylist():
                    number += 1
                    where = f"{place}, row {number}"
                    for column in names.keys() & record.keys():
                        record[column] = _named(record[column], names[column])
                    yield where, record
        except (ArrowException, OSError) as error:
            raise UserError(f"not a Parquet file, or a damaged one ({error})", place, "Download it again.") from None


def label_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """The names of class labels by column, from a schema's metadata."""
    description = json.loads((metadata or {}).get(b"huggingface", b"{}"))
    features = description.get("info", {}).get("features", {})
    found = {}
    for column, feature in features.items():
        inner = feature.get("feature", feature) if isinstance(feature, Mapping) else {}
        if isinstance(inner, Mapping) and isinstance(inner.get("names"), list):
            found[column] = inner["names"]
    return found


def _named(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value
