"""Models of the hub, at a commit, as folders that stages start from. Their Python files are not fetched."""

from collections.abc import Callable
from pathlib import Path

from crosstune.artifacts.model_folder import model_files, weights_files, write_base_manifest, write_model
from crosstune.core.errors import UserError
from crosstune.data.download.hub import Hub, Repository


def fetch_model(name: str, revision: str, downloads: Path, out: Path, check: Callable[[Path], None]) -> None:
    """Fetch a model and its tokenizer and write `out`/model, then the manifest `out`/stage.json.

    `check`, of the folder `out`/model, raises UserError for a model of no use. So does this function for one that it
    cannot fetch, or that needs code or pickled objects of the repository.
    """
    hub, repository = Hub.from_environment(), Repository("models", name)
    folder = downloads / "hub" / repository.folder(revision)
    listing = hub.listing(repository, revision, folder).files
    names = model_files(listing, f"{name} at {revision}")
    hub.download(repository, revision, names, folder)
    pieces = weights_files(names, folder / "files")
    if lacking := set(pieces) - set(listing):
        raise UserError(f"no such file of weights: {min(lacking)}", f"{name} at {revision}", "Choose another commit.")
    hub.download(repository, revision, pieces, folder)
    weights = write_model(folder / "files", names, out / "model")
    check(out / "model")
    write_base_manifest(out, {"hub": name, "revision": revision}, weights)
