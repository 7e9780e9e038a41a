"""Models in the hub's cache, for plans: nothing is loaded here."""

from crosstune.artifacts.model_files import model_files, weights_files
from crosstune.core.errors import UserError
from crosstune.data.download.hub import Repository


def is_model_cached(name: str, revision: str) -> bool:
    """Whether the hub's cache holds all files of a model."""
    repository = Repository("model", name, revision)
    try:
        names = model_files(repository.listing, str(repository))
        return repository.cached(names) and repository.cached(weights_files(names, repository.snapshot))
    except UserError:
        return False
