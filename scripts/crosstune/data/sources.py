"""Where the rows of a split come from: files, the hub, addresses, the synthetic world, translations, folds."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class HubSource:
    """Files of a data set on the Hugging Face hub, at a commit (None where nobody has pinned it).

    Every entry of `files` is a choice of patterns, of which the first that any file fits counts: `*` and `?` stand for
    characters of one name, `**` for folders too. `id_prefix` keeps only rows whose id begins so.
    """

    id: str
    revision: str | None
    files: tuple[tuple[str, ...], ...]
    id_prefix: str = ""


@dataclass(frozen=True)
class UrlSource:
    """Files at addresses, with the SHA-256 of each (none where nobody has pinned them).

    `members` are patterns of files in archives, as in HubSource.
    """

    urls: tuple[str, ...]
    sha256: tuple[str, ...]
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorldSource:
    """Files of the constructed world, as paths relative to its folder."""

    paths: tuple[PurePosixPath, ...]


@dataclass(frozen=True)
class TranslatedSource:
    """Rows of another data set in other languages, by a translator of the study: `origins` are languages to translate.

    Prepared rows of `dataset` and `split` in each of them are translated and follow each other.
    """

    dataset: str
    split: str
    origins: tuple[str, ...]
    translator: str


@dataclass(frozen=True)
class FoldSource:
    """One fold of another data set's prepared training rows, of which `languages` are all that are split together.

    With `origins`, the rows are translations, and those of the fold of `origins` are kept.
    """

    dataset: str
    languages: tuple[str, ...]
    fold: int
    origins: str = ""


Location = list[Path] | WorldSource | HubSource | UrlSource | TranslatedSource | FoldSource
