"""The Hugging Face hub, through huggingface_hub: commits, listings and files, each checked by the hash of its listing.

Address, token, cache and offline mode are those of the library: HF_ENDPOINT, HF_TOKEN, HF_HUB_CACHE, HF_HUB_OFFLINE.
What lies in the cache is used without a network. The listing of a commit has the SHA-256 of large files and git's hash
of small ones; without a listing, a file in the cache has its hash as the name of its blob.
"""

import contextlib
import glob
import itertools
import logging
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from crosstune.core.errors import UserError, printable, show
from crosstune.core.files import read_json_or_empty, sha256_file
from crosstune.data.download.limits import FETCH_ALL, LOOK_AT_SOURCE, DownloadMeter, announce

MOST_ENTRIES = 200_000  # of a listing: a server could go on for ever

NOUNS = {"model": "model", "dataset": "data set"}

CARD = "README.md"

# huggingface_hub asks again for metadata, and not for a file whose server is busy.
BUSY_STATUSES = (500, 502, 503, 504)
WAITS = (1, 4, 15)  # seconds


@dataclass(frozen=True)
class ExpectedFile:
    """Size in bytes and hash of a file, as far as they are known; `git_sha1` is the hash of its git blob."""

    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True)
class Repository:
    """A repository of the hub at a commit; `kind` is model or dataset."""

    kind: str
    id: str
    commit: str

    def __str__(self) -> str:
        return f"{self.id} at {self.commit}"

    @property
    def folder(self) -> str:
        """Name of a folder for its files."""
        return f"{self.kind}s--{self.id.replace('/', '--')}@{self.commit}"

    @property
    def _arguments(self) -> dict[str, str]:
        return {"repo_id": self.id, "repo_type": self.kind, "revision": self.commit}

    @cached_property
    def listing(self) -> dict[str, ExpectedFile]:
        """The files of the commit; offline and without a listing in the cache, its files there. Raises UserError."""
        from huggingface_hub import HfApi

        # A commit never changes, so where the library has kept its listing no request is made.
        listing = _read_listing(self.snapshot.parents[1] / f"trees/{self.commit}.json")
        if listing is None and is_offline():
            paths = [path for path in self.snapshot.rglob("*") if path.is_file()]
            listing = {path.relative_to(self.snapshot).as_posix(): _expected_by_name(path) for path in paths}
        elif listing is None:
            with hub_errors(self.kind, self.id, self.commit):
                entries = list(
                    itertools.islice(HfApi().list_repo_tree(**self._arguments, recursive=True), MOST_ENTRIES)
                )
            if len(entries) == MOST_ENTRIES:
                raise UserError(f"the hub lists {MOST_ENTRIES:,} files and more", str(self), "Do not trust it.")
            tree = [entry for entry in entries if hasattr(entry, "blob_id")]
            listing = {e.path: _expected(e.size, e.blob_id, e.lfs.sha256 if e.lfs else None) for e in tree}
        if unsafe := next(filter(_leaves_folder, listing), None):
            raise UserError(f"the hub lists a file that leaves its folder: {unsafe!r}", str(self), "Do not trust it.")
        return listing

    @property
    def snapshot(self) -> Path:
        """The folder of the commit in the cache."""
        from huggingface_hub import constants
        from huggingface_hub.file_download import repo_folder_name

        name = repo_folder_name(repo_id=self.id, repo_type=self.kind)
        return Path(constants.HF_HUB_CACHE).expanduser().resolve() / name / "snapshots" / self.commit

    def cached(self, names: Sequence[str]) -> bool:
        """Whether all of these files are in the cache."""
        return all((self.snapshot / name).exists() for name in names)

    def download(self, names: Sequence[str], licence: str = "") -> dict[str, tuple[Path, str]]:
        """(path in the cache, verified SHA-256) of files by name; those that the cache lacks are downloaded.

        A large download announces `licence`, by default that of the repository's card. Raises UserError.
        """
        from huggingface_hub.errors import OfflineModeIsEnabled

        listing = self.listing
        paths = {name: self.snapshot / name for name in names}
        hashes = {name: _verified(path, listing[name]) for name, path in paths.items()}
        if missing := [name for name, found in hashes.items() if found is None]:
            size = sum(listing[name].size or 0 for name in missing)
            with hub_errors(self.kind, self.id, self.commit):
                announce(f"{self.id} of the hub", size, lambda: licence or self.card_licence(), self.snapshot.parent)
                if is_offline():
                    raise OfflineModeIsEnabled
                for name in missing:
                    _remove(paths[name])  # damaged in the cache
                self._fetch(missing, size)
        for name in missing:
            hashes[name] = _verified(paths[name], listing[name])
            if hashes[name] is None:
                _remove(paths[name])
                message = "the download does not have the hash that the hub lists; it was deleted"
                raise UserError(message, f"{self}: {name}", LOOK_AT_SOURCE)
        return {name: (paths[name].resolve(), hashes[name]) for name in names}

    def _fetch(self, names: Sequence[str], size: int) -> None:
        """Let huggingface_hub download files into its cache, and again while their server is busy."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError

        patterns = [glob.escape(name) for name in names]
        for handler in logging.getLogger("huggingface_hub").handlers:
            handler.addFilter(_without_queries)
        for wait in (*WAITS, None):
            try:
                bars = progress_class(f"{self.id} of the hub", size)
                snapshot_download(**self._arguments, allow_patterns=patterns, tqdm_class=bars)
                return
            except HfHubHTTPError as error:
                if wait is None or error.response.status_code not in BUSY_STATUSES:
                    raise
                show(f"{self}: HTTP {error.response.status_code}; next try in {wait} s", file=sys.stderr)
                time.sleep(wait)

    def card_licence(self) -> str:
        """The licence on the repository's card."""
        from huggingface_hub import metadata_load

        card = self.download([CARD])[CARD][0] if CARD in self.listing else None
        stated = (metadata_load(card) or {}).get("license") if card else None
        return ", ".join(stated) if isinstance(stated, list) else stated or "not stated"


def _without_queries(record: logging.LogRecord) -> bool:
    """Take the queries of addresses, which may hold a signature, out of the library's messages."""
    record.msg, record.args = printable(re.sub(r"(https?://[^\s?]+)\?\S+", r"\1", record.getMessage())), ()
    return True


def find_commit(kind: str, name: str, reference: str) -> str:
    """The present commit of a branch or tag. Raises UserError."""
    from huggingface_hub import HfApi

    with hub_errors(kind, name, reference):
        return HfApi().repo_info(name, revision=reference, repo_type=kind).sha


def is_offline() -> bool:
    """Whether the user forbids the network, by the variables of the Hugging Face libraries."""
    from huggingface_hub import is_offline_mode

    return is_offline_mode()


def progress_class(name: str, size: int) -> type:
    """A class of progress bars for huggingface_hub, each of which refuses more than `size` bytes."""
    from huggingface_hub.utils import tqdm

    class MeteredBar(tqdm):
        def __init__(self, *arguments: object, **options: object):
            options.setdefault("disable", None)  # a log shows no bars
            super().__init__(*arguments, **options)
            # A bar counts files, the file's bytes, or those on the network, which Xet's storage may need more of.
            counts_file = options.get("unit") == "B" and not str(options.get("desc")).startswith("Downloading")
            self._meter = DownloadMeter(name, size) if counts_file else None

        def update(self, n: float | None = 1) -> bool | None:
            if self._meter is not None:
                self._meter.add(int(n or 0))
            return super().update(n)

    return MeteredBar


@contextlib.contextmanager
def hub_errors(kind: str, name: str, reference: str) -> Iterator[None]:
    """Turn errors of huggingface_hub about a repository into UserError, without tokens and signed addresses."""
    from huggingface_hub import errors

    try:
        yield
    except errors.LocalEntryNotFoundError as error:  # with the reason as its cause, if it is not the user's wish
        raise _as_user_error(error.__cause__ or errors.OfflineModeIsEnabled(), kind, name, reference) from None
    except (errors.HTTPError, errors.OfflineModeIsEnabled, errors.FileMetadataError) as error:
        raise _as_user_error(error, kind, name, reference) from None
    except errors.HFValidationError as error:
        raise UserError(f"no name of a repository ({error})", name, "hub: owner/name") from None
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        fix = "Choose another: export HF_HOME=<folder>"
        raise UserError(f"the hub's cache cannot be written ({error.strerror})", error.filename or "", fix) from None
    except OSError as error:
        if error.errno is not None:  # of the disk
            raise
        message = "the connection broke, or the server's file has another size than the hub lists"
        raise UserError(message, f"{name} at {reference}", f"Run the same command again. {LOOK_AT_SOURCE}") from None


def _as_user_error(error: BaseException, kind: str, name: str, reference: str) -> UserError:
    from huggingface_hub import constants, errors, get_token

    noun, page = NOUNS[kind], f"{constants.ENDPOINT}/{'' if kind == 'model' else f'{kind}s/'}{name}"
    log_in = f"make a token at {constants.ENDPOINT}/settings/tokens and: export HF_TOKEN=<your token>"
    mine = "with the account of your token." if get_token() else log_in
    if isinstance(error, errors.OfflineModeIsEnabled):
        fix = f"Where there is a network, run this once with your study:\n  {FETCH_ALL}"
        message = "this is not on disk yet, and HF_HUB_OFFLINE forbids to download it"
        return UserError(message, f"{name} at {reference}", fix)
    if isinstance(error, errors.GatedRepoError):
        fix = f"Accept its terms at {page}{' ' if get_token() else ', '}{mine}"
        return UserError("the hub wants its terms accepted first", name, fix)
    if isinstance(error, errors.RevisionNotFoundError):
        fix = f"Choose a commit of {page}/commits/main and write its 40 digits as the `revision`."
        return UserError(f"the {noun} has no commit {reference}", name, fix)
    if isinstance(error, errors.EntryNotFoundError):
        return UserError("the hub lists a file and does not have it", f"{name} at {reference}", f"Look at {page}")
    if isinstance(error, errors.FileMetadataError):
        fix = "Does HF_ENDPOINT name a mirror of the hub, and does a proxy or firewall change its answers?"
        return UserError(f"{constants.ENDPOINT} does not answer as the hub does", f"{name} at {reference}", fix)
    if not isinstance(error, errors.HfHubHTTPError):
        fix = "Is there a network, and does it need a proxy (https_proxy)? HF_HUB_OFFLINE=1 uses what is in the cache."
        return UserError(
            f"no connection to {constants.ENDPOINT} ({type(error).__name__})", f"{name} at {reference}", fix
        )
    status = f"HTTP {error.response.status_code} {error.response.reason_phrase}"
    if error.response.status_code in (401, 403, 404):
        fix = f"Is the name right? Look it up: {page}\nIf it is private: {mine}"
        return UserError(f"the hub has no such {noun}, or not for you ({status})", name, fix)
    fix = "The server is at fault or overloaded: run the same command again later; files that are complete stay."
    return UserError(f"cannot be downloaded ({status})", f"{name} at {reference}", fix)


def _verified(path: Path, expected: ExpectedFile) -> str | None:
    """The SHA-256 of a file; None if its size or a hash is not the expected one."""
    from huggingface_hub.utils.sha import git_hash

    if not path.exists() or expected.size not in (None, path.stat().st_size):
        return None
    if expected.git_sha1 is not None and git_hash(path.read_bytes()) != expected.git_sha1:
        return None
    found = sha256_file(path)
    return found if expected.sha256 in (None, found) else None


def _read_listing(path: Path) -> dict[str, ExpectedFile] | None:
    """The listing in a file of the library's cache; None without the file, or if it is damaged or of a later format."""
    try:
        kept = read_json_or_empty(path)
        if kept.get("format_version") != 1:
            return None
        return {name: _expected(e["size"], e["blob_id"], e.get("lfs_sha256")) for name, e in kept["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _expected(size: int, blob: str, sha256: str | None) -> ExpectedFile:
    return ExpectedFile(size, sha256=sha256) if sha256 else ExpectedFile(size, git_sha1=blob)


def _expected_by_name(path: Path) -> ExpectedFile:
    """What the name of a blob in the cache says of a file: SHA-256 or git's hash."""
    blob = path.resolve().name
    kind = {64: "sha256", 40: "git_sha1"}.get(len(blob)) if re.fullmatch("[0-9a-f]+", blob) else None
    return ExpectedFile(path.stat().st_size, **({kind: blob} if kind else {}))


def _remove(path: Path) -> None:
    """Delete a damaged file from the cache, with its blob. Raises UserError if the cache is not the user's."""
    try:
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    except OSError:
        message = "a file in the cache does not have the hash of its name, and cannot be deleted"
        raise UserError(
            message, str(path), "Ask the owner of the cache, or choose another: export HF_HOME=..."
        ) from None


def _leaves_folder(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\0" in name
