"""The files of a configuration and split of a hub's data set, as the library `datasets` reads the repository's card.

The library sees a folder with the card and empty files under the names of the repository. So it decides by card and
names what it would decide on the hub, without a request, a script of the repository or its own cache.
"""

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from crosstune.core.errors import UserError
from crosstune.data.tables import BUILDERS, TableFormat

# Files that say how the library reads the others.
CARD_FILES = ("README.md", ".huggingface.yaml", "dataset_infos.json")

# The builders whose files crosstune reads. Others run code (pickles) or hold no text.
TEXT_BUILDERS = {*BUILDERS.values(), "text"}

# Fields of a builder's configuration that do not say how a file is parsed.
NO_OPTIONS = ("name", "version", "data_dir", "data_files", "description", "features")


@dataclasses.dataclass(frozen=True)
class Configuration:
    """Names of files in the order of their rows, and their format."""

    names: tuple[str, ...]
    form: TableFormat


def card_has_configurations(card: Path | None) -> bool:
    """Whether a repository's card says which files its configurations consist of."""
    from huggingface_hub import metadata_load

    with contextlib.suppress(ValueError, yaml.YAMLError):  # the library will say what is wrong with it
        return bool(card) and bool((metadata_load(card) or {}).get("configs"))
    return True


def find_configuration(
    repository: str, names: Iterable[str], cards: Mapping[str, Path], config: str, split: str
) -> Configuration:
    """The files of a split of a configuration ("": the default one) among the file names of a repository.

    `cards` are those of CARD_FILES that the repository has. Raises UserError if the library finds none, or does not
    know how to read them.
    """
    import datasets

    names = list(names)
    if f"{repository.rpartition('/')[2]}.py" in names:
        fix = "Pin a commit of the branch refs/convert/parquet, where the hub keeps Parquet files, or name its `files`."
        raise UserError("the data set has a loading script, which is not run", repository, fix)
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "repository")
        for name in names:
            with contextlib.suppress(OSError):  # too long a name for a disk, and so for the download
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).touch()
        for name, path in cards.items():
            (folder / name).write_bytes(path.read_bytes())
        try:
            builder = datasets.load_dataset_builder(str(folder), name=config or None, cache_dir=f"{temporary}/cache")
            files = builder.config.data_files[split]
        except KeyError:
            known = ", ".join(builder.config.data_files)
            raise UserError(f"no split {split!r} in {config or 'its data'}; there are: {known}", repository) from None
        except Exception as error:  # the library raises many types, and the card is a stranger's
            reason = (str(error) or type(error).__name__).replace(str(folder), repository).partition("\n")[0][:200]
            raise UserError(f"`datasets` does not find {config or 'its data'} ({reason})", repository) from None
        found = tuple(_name_in(folder, file) for file in files)
    if not set(found) <= set(names):
        raise UserError("the card names files outside of the repository", repository, "Do not trust it.")
    if builder.name not in TEXT_BUILDERS:
        raise UserError(f"its files are of the kind {builder.name!r}, which is not read", repository)
    features = builder.info.features.to_dict() if builder.info.features else None
    return Configuration(found, TableFormat(builder.name, _options(builder.config), features))


def _name_in(folder: Path, file: str) -> str:
    """The name of a file in a repository's folder; another name if it lies outside."""
    path = Path(file)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else file


def _options(config: Any) -> dict[str, Any]:
    """The options of a builder's configuration that differ from its defaults. UserError for one that is no JSON."""
    fields = {field.name for field in dataclasses.fields(config)} - set(NO_OPTIONS)
    default = type(config)()
    changed = sorted(name for name in fields if getattr(config, name) != getattr(default, name))
    try:
        return json.loads(json.dumps({name: getattr(config, name) for name in changed}))
    except TypeError:
        raise UserError(f"options that are no plain values: {', '.join(changed)}", "the repository's card") from None
