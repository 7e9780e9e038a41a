"""Models of the hub, at a commit, as folders that stages start from. Their Python files are not fetched."""

import shutil
from collections.abc import Callable
from pathlib import Path

from crosstune.artifacts.checkpoint import link_or_copy
from crosstune.artifacts.model_files import model_files, weights_files
from crosstune.artifacts.model_folder import write_base_manifest, write_model
from crosstune.core.errors import UserError
from crosstune.data.download.hub import Repository

FETCHED = ".fetched"  # the folder of published files while a model is made of them


def fetch_model(name: str, revision: str, out: Path, check: Callable[[Path], None]) -> None:
    """Fetch a model and its tokenizer and write `out`/model, then the manifest `out`/stage.json.

    Weights are a hard link into the hub's cache, or a copy where that is another disk: they stay if it is emptied.
    `check`, of the folder `out`/model, raises UserError for a model of no use. So does this function for one that it
    cannot fetch, or that needs code or pickled objects of the repository.
    """
    repository = Repository("model", name, revision)
    fetched = out / FETCHED
    shutil.rmtree(fetched, ignore_errors=True)
    try:
        names = _place_files(repository, fetched)
        weights = write_model(fetched, names, out / "model")
    finally:
        shutil.rmtree(fetched, ignore_errors=True)
    check(out / "model")
    write_base_manifest(out, {"hub": name, "revision": revision}, weights)


def _place_files(repository: Repository, folder: Path) -> list[str]:
    """Link the files of a model in `folder`, alone, whatever else is in the cache; the names without pieces."""
    listing = repository.listing
    names = model_files(listing, str(repository))
    for name, (path, _) in repository.download(names).items():
        link_or_copy(path, folder / name)
    pieces = weights_files(names, folder)
    if lacking := set(pieces) - set(listing):
        raise UserError(f"no such file of weights: {min(lacking)}", str(repository), "Choose another commit.")
    for name, (path, _) in repository.download([piece for piece in pieces if piece not in names]).items():
        link_or_copy(path, folder / name)
    return names
