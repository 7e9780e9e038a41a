"""Parquet files as records, with names instead of numbers for class labels.

The `datasets` library writes a file's features as JSON into the schema's metadata, under the key `huggingface`:
{"info": {"features": {COLUMN: {"names": [...], "_type": "ClassLabel"}}}}; a list of labels has its feature under
`feature`. This module parses that JSON, because importing the library would cost every job seconds.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from crosstune.core.bombs import check_size
from crosstune.core.errors import UserError

BATCH_ROWS = 100  # rows in memory at a time


def read_parquet(files: Sequence[tuple[str, str | BinaryIO]]) -> Iterator[tuple[str, dict]]:
    """(location, record) of every row of some files, each given as (name, path or open file).

    Numbers in columns of class labels become the labels' names. A number without a name stays, such as -1, which
    stands for a secret label on the hub. Raises UserError if a file is no Parquet.
    """
    from pyarrow import ArrowException, parquet

    for place, file in files:
        try:
            table, unpacked = parquet.ParquetFile(file), 0
            size = sum(table.metadata.row_group(n).total_byte_size for n in range(table.metadata.num_row_groups))
            check_size(_file_size(file), size, place)
            names = label_names(table.schema_arrow.metadata)
            number = 0
            for batch in table.iter_batches(BATCH_ROWS):
                # A column of few different texts takes few bytes in the file, and all of them as rows.
                unpacked += sum(map(_unpacked_bytes, batch.columns))
                check_size(size, unpacked, place)
                for record in batch.to_pylist():
                    number += 1
                    where = f"{place}, row {number}"
                    for column in names.keys() & record.keys():
                        record[column] = _name_labels(record[column], names[column])
                    yield where, record
        except (ArrowException, OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise UserError(f"not a Parquet file, or a damaged one ({error})", place, "Download it again.") from None


def _file_size(file: str | BinaryIO) -> int:
    return Path(file).stat().st_size if isinstance(file, str) else file.seek(0, io.SEEK_END)


def label_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """Names of class labels by column, from a schema's metadata."""
    description = json.loads((metadata or {}).get(b"huggingface", b"{}"))
    features = description.get("info", {}).get("features", {})
    found = {}
    for column, feature in features.items():
        inner = feature.get("feature", feature) if isinstance(feature, Mapping) else {}
        if isinstance(inner, Mapping) and isinstance(inner.get("names"), list):
            found[column] = inner["names"]
    return found


def _unpacked_bytes(column: Any) -> int:
    """Bytes of a column of a batch whose texts are written out."""
    from pyarrow import DictionaryArray, compute, types

    if not isinstance(column, DictionaryArray) or not types.is_string(column.dictionary.type):
        return column.nbytes
    lengths = compute.binary_length(column.dictionary)
    return compute.sum(lengths.take(column.indices)).as_py() or 0


def _name_labels(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_name_labels(item, names) for item in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value
