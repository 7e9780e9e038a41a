"""The Hugging Face hub: commits, the files of a repository at a commit with their hashes, and their download.

The protocol is that of huggingface_hub 2.4 (hf_api.py, file_download.py). `/api/KIND/ID/revision/REF` gives the commit
of a branch, `/api/KIND/ID/tree/COMMIT` a listing, and `/ID/resolve/COMMIT/FILE` (data sets: `/datasets/ID/…`) a file or
a redirect to its storage. The listing has the SHA-256 of large files (`lfs.oid`) and git's hash of small ones (`oid`),
so every file can be verified. Address, token and token file are those of huggingface_hub: HF_ENDPOINT, HF_TOKEN,
`hf auth login`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from crosstune.core.errors import UserError
from crosstune.core.files import read_json, write_json
from crosstune.data.download.http import (
    Client,
    ExpectedFile,
    HttpFailure,
    announce,
    as_user_error,
    bytes_on_disk,
    is_offline,
)

NOUNS = {"models": "model", "datasets": "data set"}


@dataclass(frozen=True)
class Repository:
    """A repository of the hub; `kind` is models or datasets."""

    kind: str
    id: str

    @property
    def path(self) -> str:
        """Path of its pages and files under the hub's address."""
        return self.id if self.kind == "models" else f"{self.kind}/{self.id}"

    def folder(self, revision: str) -> str:
        """Name of the folder for its files at a commit."""
        return f"{self.kind}--{self.id.replace('/', '--')}@{revision}"


@dataclass(frozen=True)
class Listing:
    """The files of a repository at a commit, and the licence that its card states."""

    licence: str
    files: Mapping[str, ExpectedFile]


@dataclass(frozen=True)
class Hub:
    """The hub at an address."""

    client: Client
    endpoint: str

    @classmethod
    def from_environment(cls) -> "Hub":
        """The hub and the token that huggingface_hub would use."""
        from huggingface_hub import constants, get_token

        client = Client(constants.ENDPOINT, get_token(), offline=is_offline())
        return cls(client, constants.ENDPOINT)

    def commit(self, repository: Repository, reference: str) -> str:
        """The commit of a branch or tag. Raises UserError."""
        return self._repository_info(repository, reference)["sha"]

    def listing(self, repository: Repository, revision: str, folder: Path) -> Listing:
        """The listing of a repository at a commit, cached in `folder`, as a commit never changes. Raises UserError."""
        path = folder / "listing.json"
        if not path.exists():
            licence = card_licence(self._repository_info(repository, revision))
            files = {name: asdict(expected) for name, expected in self._tree(repository, revision)}
            write_json(path, {"repository": asdict(repository), "licence": licence, "files": files})
        cached = read_json(path)
        files = {name: ExpectedFile(**expected) for name, expected in cached["files"].items()}
        return Listing(cached["licence"], files)

    def download(
        self, repository: Repository, revision: str, names: Iterable[str], folder: Path, licence: str = ""
    ) -> dict[str, str]:
        """Download files of a commit into `folder`/files; return their verified SHA-256 by name.

        A large download announces `licence`, by default that of the card. Raises UserError.
        """
        listing = self.listing(repository, revision, folder)
        paths = {name: _safe_path(folder / "files", name) for name in names}
        missing = sum(listing.files[name].size - bytes_on_disk(path) for name, path in paths.items())
        announce(f"{repository.id} of the hub", missing, licence or listing.licence, folder)
        hashes = {}
        for name, path in paths.items():
            url = f"{self.endpoint}/{repository.path}/resolve/{revision}/{quote(name)}"
            try:
                hashes[name] = self.client.download(url, path, listing.files[name])
            except HttpFailure as failure:
                raise self._as_user_error(failure, repository, revision) from None
        return hashes

    def _repository_info(self, repository: Repository, reference: str) -> dict:
        url = f"{self.endpoint}/api/{repository.kind}/{repository.id}/revision/{quote(reference, safe='')}"
        return self._read(url, repository, reference)[0]

    def _tree(self, repository: Repository, revision: str) -> Iterable[tuple[str, ExpectedFile]]:
        page = f"{self.endpoint}/api/{repository.kind}/{repository.id}/tree/{revision}?recursive=true"
        while page:
            entries, page = self._read(page, repository, revision)
            for entry in entries:
                if entry["type"] == "file":
                    lfs = entry.get("lfs")
                    hashes = {"sha256": lfs["oid"]} if lfs else {"git_sha1": entry["oid"]}
                    yield entry["path"], ExpectedFile(entry["size"], **hashes)

    def _read(self, url: str, repository: Repository, revision: str) -> tuple[Any, str | None]:
        try:
            return self.client.read_json(url)
        except HttpFailure as failure:
            raise self._as_user_error(failure, repository, revision) from None

    def _as_user_error(self, failure: HttpFailure, repository: Repository, revision: str) -> UserError:
        page, noun, token = f"{self.endpoint}/{repository.path}", NOUNS[repository.kind], self.client.token
        log_in = f"make a token at {self.endpoint}/settings/tokens and: export HF_TOKEN=<your token>"
        if failure.code == "GatedRepo":
            ask = f"Accept its terms at {page}"
            fix = f"{ask} with the account of your token." if token else f"{ask}, {log_in}"
            return UserError("the hub wants its terms accepted first", repository.id, fix)
        if failure.code == "RevisionNotFound":
            fix = f"Choose a commit of {page}/commits/main and write its 40 digits as the `revision`."
            return UserError(f"the {noun} has no commit {revision}", repository.id, fix)
        if failure.code == "EntryNotFound":
            return UserError("the hub lists this file and does not have it", failure.url, f"Look at {page}")
        if failure.status in (401, 403, 404):
            private = "with the account of your token." if token else f"{log_in}"
            fix = f"Is the name right? Look it up: {page}\nIf it is private: {private}"
            return UserError(f"the hub has no such {noun}, or not for you ({failure})", repository.id, fix)
        return as_user_error(failure)


def card_licence(information: Mapping) -> str:
    """The licence on a repository's card, from the hub's information about it."""
    card = (information.get("cardData") or {}).get("license")
    return ", ".join(card) if isinstance(card, list) else card or "not stated"


def _safe_path(folder: Path, name: str) -> Path:
    """Path of a repository's file in `folder`. Raises UserError if the name leads out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise UserError(f"the hub lists a file that leaves its folder: {name!r}", str(folder), "Do not trust it.")
    return folder / path
