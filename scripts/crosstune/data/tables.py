"""Tables of the library `datasets` as records: Parquet, CSV, JSON lines and text files, and folders that it saved.

Files are streamed, a few rows at a time. Nothing is written to the library's cache, and nothing of the network is used.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from crosstune.core.bombs import check_size
from crosstune.core.errors import UserError
from crosstune.data.datasets_library import import_datasets

BATCH_ROWS = 100  # rows in memory at a time

# The library's builders that parse tables, by the endings of files that they recognise.
BUILDERS = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json"}
TAB_SEPARATED = {".tsv": {"sep": "\t"}}


@dataclass(frozen=True)
class TableFormat:
    """How `datasets` reads files: its builder, the builder's options, and features of columns in the library's JSON."""

    builder: str
    options: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] | None = None


def is_table(name: str) -> bool:
    """Whether a file or address has the ending of a table."""
    return PurePosixPath(urlsplit(name).path).suffix in BUILDERS


def format_of(names: Sequence[str]) -> TableFormat | None:
    """The format of files by the ending that all their names share; None if it is no table's."""
    endings = {PurePosixPath(urlsplit(name).path).suffix for name in names}
    ending = endings.pop() if len(endings) == 1 else ""
    return TableFormat(BUILDERS[ending], TAB_SEPARATED.get(ending, {})) if ending in BUILDERS else None


def read_tables(files: Sequence[Path], form: TableFormat) -> Iterator[tuple[str, dict]]:
    """(location, record) of every row of some files, with names instead of numbers for class labels.

    A number without a name stays, such as -1, which stands for a secret label on the hub. Raises UserError if a file
    is not of its format, or unpacks to more than any honest file.
    """
    datasets = import_datasets()

    readers = {
        "parquet": datasets.IterableDataset.from_parquet,
        "csv": datasets.IterableDataset.from_csv,
        "json": datasets.IterableDataset.from_json,
        "text": datasets.IterableDataset.from_text,
    }
    options = dict(form.options) | ({"batch_size": BATCH_ROWS} if form.builder == "parquet" else {})
    features = datasets.Features.from_dict(form.features) if form.features else None
    for path in files:
        if form.builder == "parquet":
            _check_parquet(path)
        with _library_errors(path, form.builder), tempfile.TemporaryDirectory() as cache:
            table = readers[form.builder](str(path), features=features, cache_dir=cache, **options)
            yield from _records(table, str(path), path.stat().st_size)


def _check_parquet(path: Path) -> None:
    """UserError for a file of Parquet whose own list of sizes is that of a bomb: the library reads a group at once."""
    from pyarrow import parquet

    with _library_errors(path, "parquet"):
        groups = parquet.read_metadata(path)
        size = sum(groups.row_group(number).total_byte_size for number in range(groups.num_row_groups))
    check_size(path.stat().st_size, size, str(path))


def read_saved(folder: Path, split: str) -> Iterator[tuple[str, dict]]:
    """(location, record) of every row of a folder that `save_to_disk` wrote; of a dictionary of splits, of `split`.

    Raises UserError if the folder is none.
    """
    datasets = import_datasets()

    with _library_errors(folder, "saved data set"):
        table = datasets.load_from_disk(str(saved_folder(folder, split)))
        size = sum(path.stat().st_size for path in saved_files(folder, split))
        yield from _records(table, str(folder), size)


def saved_folder(folder: Path, split: str) -> Path:
    """The folder of one split: below that of a dictionary of splits, or the folder itself."""
    return folder / split if (folder / "dataset_dict.json").exists() else folder


def saved_files(folder: Path, split: str) -> list[Path]:
    """The files with the rows of a folder that `save_to_disk` wrote; a file that does not exist, if there are none."""
    folder = saved_folder(folder, split)
    return sorted(folder.glob("*.arrow")) or [folder / "state.json"]


@contextlib.contextmanager
def _library_errors(path: Path, form: str) -> Iterator[None]:
    """Turn errors of `datasets` and pyarrow about a file into UserError, and keep the library quiet."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the libraries raise many types for damaged files
        reason = (str(error.__cause__ or error) or type(error).__name__).partition("\n")[0][:200]
        raise UserError(f"`datasets` cannot read this {form} ({reason})", str(path), "Get or save it again.") from None


def _records(table: Any, place: str, size: int) -> Iterator[tuple[str, dict]]:
    """(location, record) of the rows of a data set of the library, from files of `size` bytes."""
    names = _label_names(table.features or {})
    number = unpacked = 0
    for batch in table.with_format("arrow").iter(BATCH_ROWS):
        # A column of few different texts takes few bytes in the file, and all of them as rows.
        unpacked += batch.nbytes
        check_size(size, unpacked, place)
        for record in batch.to_pylist():
            number += 1
            for column in names.keys() & record.keys():
                record[column] = _name_labels(record[column], names[column])
            yield f"{place}, row {number}", record


def _label_names(features: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of class labels by column, also of lists of them."""
    from datasets import ClassLabel

    inner = {column: getattr(feature, "feature", feature) for column, feature in features.items()}
    return {column: feature.names for column, feature in inner.items() if isinstance(feature, ClassLabel)}


def _name_labels(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_name_labels(item, names) for item in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value
