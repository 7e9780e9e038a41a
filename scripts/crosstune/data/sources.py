"""Sources of a split's rows: files, the hub, addresses, synthetic data, translations, folds, parts."""

from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from crosstune.data.part_names import Part


@dataclass(frozen=True)
class HubSource:
    """Files of a data set on the Hugging Face hub, at the commit `revision` (None: not pinned).

    Every entry of `files` is a choice of patterns; the first one that matches any file is used. `*` and `?` match
    characters of one name, `**` matches folders too. `id_prefix` selects the rows whose id begins with it.

    If the record names no files, `configuration` is (name or "", split on the hub), and `files` are the places where
    these usually lie.
    """

    id: str
    revision: str | None
    files: tuple[tuple[str, ...], ...]
    id_prefix: str = ""
    configuration: tuple[str, str] | None = None


@dataclass(frozen=True)
class UrlSource:
    """Files at addresses, with the SHA-256 of each (none: not pinned).

    `members` are patterns of files in archives, as in HubSource.
    """

    urls: tuple[str, ...]
    sha256: tuple[str, ...]
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class SyntheticSource:
    """Files of the synthetic data, as paths relative to their folder."""

    paths: tuple[PurePosixPath, ...]


@dataclass(frozen=True)
class TranslatedSource:
    """Translations of the prepared rows of `dataset` and `split` out of each of the languages `origins`, in order.

    `translator` is the name of one of the study's translators.
    """

    dataset: str
    split: str
    origins: tuple[str, ...]
    translator: str


@dataclass(frozen=True)
class FoldSource:
    """Fold number `fold` of the prepared training rows of `dataset`; its `languages` are split together.

    If `dataset` is a translation, `origins` names the fold of its originals: only their translations are in this fold.
    """

    dataset: str
    languages: tuple[str, ...]
    fold: int
    origins: str = ""


@dataclass(frozen=True)
class PartSource:
    """A part of the prepared rows of `dataset` and `split`.

    `whole` is the data set that all its parts derive from, `parallel` as in its record. If `dataset` is a translation
    and rows of its originals are held out, `origins` and `languages` name their training rows: only translations of
    these are in the part.
    """

    dataset: str
    split: str
    part: Part
    whole: str
    parallel: str
    origins: str = ""
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class SavedSource:
    """A folder that `datasets` saved (`save_to_disk`); if it holds several splits, that named `split`.

    `id_prefix` is as in HubSource.
    """

    folder: Path
    split: str
    id_prefix: str = ""


DataSource = (
    list[Path] | SyntheticSource | HubSource | UrlSource | SavedSource | TranslatedSource | FoldSource | PartSource
)

# Sources in prepared rows of other data sets.
DerivedSource = TranslatedSource | FoldSource | PartSource


def identity(source: DataSource) -> dict[str, Any]:
    """A source as plain data for specs. What its `files` say already is left out, so that old specs stay equal."""
    return {key: value for key, value in asdict(source).items() if key != "configuration"}
