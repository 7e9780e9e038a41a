"""Downloads over HTTP: atomic, verified, resumable, and without leaking a token.

This module uses the standard library's urllib to control the headers sent after a redirect, the reuse of partial files
and all output. huggingface_hub downloads into its own cache, does not verify hashes, and serves the hub alone.

A download stays at `NAME.part` until it is complete and verified; `NAME.part.etag` holds the entity tag of the server's
version. The rest is requested with `Range` and `If-Range` (RFC 9110, sections 13.1.5 and 14.2), so that a server sends
a changed file from the start. Retry-After is honoured (RFC 9110, section 10.2.3).
"""

import contextlib
import email.utils
import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from crosstune.core.errors import UserError, printable
from crosstune.core.files import sha256_file, write_text

TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)  # the same request may succeed later

BLOCK = 1 << 20

TIMEOUT = 30  # seconds without a byte

PROGRESS_INTERVAL = 30  # seconds between two lines of progress

LARGEST_DOCUMENT = 100_000_000  # bytes of an answer in JSON

ANNOUNCED_BYTES = 100_000_000  # downloads of this size or more announce size and licence

FETCH_ALL = "HF_HUB_OFFLINE=0 snakemake --cores 1 downloads"

TRUE_WORDS = ("1", "ON", "YES", "TRUE")  # as huggingface_hub reads its switches

T = TypeVar("T")


class HttpFailure(Exception):
    """A permanent failure of a request. `status` is 0 without an answer; `code` is the hub's X-Error-Code.

    `url` is the requested address, never that of a redirect, which may hold a signature.
    """

    def __init__(self, url: str, status: int, reason: str, code: str = ""):
        super().__init__(f"HTTP {status} {reason}" if status else reason)
        self.url, self.status, self.reason, self.code = url, status, reason, code


class _TransientFailure(Exception):
    """A failure to retry, after `wait` seconds if the server states them."""

    def __init__(self, failure: HttpFailure, wait: float | None = None):
        super().__init__(str(failure))
        self.failure, self.wait = failure, wait


@dataclass(frozen=True)
class RetryPolicy:
    """Number of attempts without progress, and seconds between them: `first_wait`, doubled up to `longest_wait`.

    A server may state another wait, which is cut to `longest_wait`.
    """

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 120.0


@dataclass(frozen=True)
class ExpectedFile:
    """Size in bytes and hashes of a file, as far as they are known; `git_sha1` is the hash of its git blob."""

    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None


def is_offline(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the user forbids the network, by the variables of the Hugging Face libraries."""
    return (environment.get("HF_HUB_OFFLINE") or environment.get("TRANSFORMERS_OFFLINE") or "").upper() in TRUE_WORDS


@dataclass(frozen=True)
class Client:
    """An HTTP client. Only requests to `home` (scheme, host and port) carry `token`; `offline` forbids all requests."""

    home: str = ""
    token: str | None = field(default=None, repr=False)
    retries: RetryPolicy = RetryPolicy()
    offline: bool = False

    def size(self, url: str) -> int | None:
        """Bytes of the file at an address; None if its server does not state them. Raises HttpFailure."""

        def action() -> int | None:
            with self._open(url, method="HEAD") as response:
                length = response.headers.get("Content-Length")
                return int(length) if length else None

        try:
            return self._with_retries(action)
        except HttpFailure as failure:
            if failure.status:
                return None  # some servers refuse HEAD requests; the download fails if the file does not exist
            raise

    def read_json(self, url: str) -> tuple[Any, str | None]:
        """(document, address of its next page or None, RFC 8288) at an address. Raises HttpFailure."""

        def action() -> tuple[Any, str | None]:
            with self._open(url) as response:
                try:
                    document = json.loads(_read_body(response, url))
                except ValueError:
                    raise HttpFailure(url, 0, "the answer is no JSON") from None
                following = re.search(r'<([^>]+)>\s*;\s*rel="?next"?', response.headers.get("Link", ""))
                return document, urllib.parse.urljoin(url, following[1]) if following else None

        return self._with_retries(action)

    def download(self, url: str, path: Path, expected: ExpectedFile = ExpectedFile()) -> str:
        """Download a file to `path`, unless it exists and is as expected, and return its SHA-256.

        Resumes the partial file `path`.part of an earlier run. If several processes request the same file, one
        downloads it and the others wait. Raises HttpFailure, and UserError if the file is not as expected.
        """
        with _lock_part(path) as part:
            if path.exists():
                with contextlib.suppress(UserError):  # a changed file is replaced
                    sha256 = _verify(url, path, expected)
                    _discard(part)
                    return sha256
            # The partial file of an earlier run may cause a wrong hash: the second attempt starts at the first byte.
            for from_start in (False, True) if part.stat().st_size else (True,):
                if from_start:
                    _discard(part)
                self._fetch_all(url, part, expected)
                try:
                    sha256 = _verify(url, part, expected)
                    break
                except UserError:
                    if from_start:
                        _discard(part)
                        raise
            etag_path(part).unlink(missing_ok=True)
            os.replace(part, path)
            return sha256

    def _fetch_all(self, url: str, part: Path, expected: ExpectedFile) -> None:
        self._with_retries(lambda: self._fetch_rest(url, part, expected), lambda: part.stat().st_size)

    def _fetch_rest(self, url: str, part: Path, expected: ExpectedFile) -> None:
        """Append the missing bytes to a partial file. Raises _TransientFailure if the server stops before the end."""
        if expected.size is not None and part.stat().st_size > expected.size:
            _discard(part)
        have, etag = part.stat().st_size, read_etag(part)
        if have and have == expected.size:
            return
        headers = {"Range": f"bytes={have}-", "If-Range": etag} if have and etag else {}
        try:
            response = self._open(url, headers)
        except HttpFailure as failure:
            if failure.status == 416 and headers:
                return  # no byte is missing; the hash is verified later
            raise
        with response:
            span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
            is_rest = response.status == 206 and span is not None and int(span[1]) == have
            if response.status == 206 and not is_rest:
                _discard(part)
                raise _TransientFailure(HttpFailure(url, 206, "with another part of the file than requested"))
            start, length = (have if is_rest else 0), response.headers.get("Content-Length")
            total = start + int(length) if length else None
            if None not in (total, expected.size) and total != expected.size:
                raise UserError(f"the server's file has {total} bytes, expected {expected.size}", url, LOOK_AT_SOURCE)
            write_etag(part, response.headers.get("ETag", ""))
            # Without a length in the answer, nothing else bounds what a server sends.
            received = _append(part, start, response, url, expected.size if total is None else total)
            if total is not None and received < total:
                raise _TransientFailure(HttpFailure(url, 0, f"the connection broke after {received} of {total} bytes"))

    def _with_retries(self, action: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T:
        """Repeat an action until it succeeds or `attempts` in a row make no progress. Raises HttpFailure."""
        failures, furthest = 0, progress()
        while True:
            try:
                return action()
            except _TransientFailure as error:
                failures = 0 if progress() > furthest else failures + 1
                furthest = max(furthest, progress())
                if failures >= self.retries.attempts:
                    raise error.failure from None
                wait = self.retries.first_wait * 2 ** max(0, failures - 1) if error.wait is None else error.wait
                wait = min(wait, self.retries.longest_wait)
                _tell(f"{error}; next try in {wait:.0f} s: {error.failure.url}")
                time.sleep(wait)

    def _open(self, url: str, headers: Mapping[str, str] = {}, method: str = "GET") -> http.client.HTTPResponse:
        if self.offline:
            fix = f"Where there is a network, run this once with your study:\n  {FETCH_ALL}"
            raise UserError("this is not on disk yet, and HF_HUB_OFFLINE forbids to download it", url, fix)
        request = urllib.request.Request(url, headers={"User-Agent": "crosstune", **headers}, method=method)
        self.authorise(request)
        try:
            return self._opener().open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            code = error.headers.get("X-Error-Code", "")
            failure = HttpFailure(url, error.code, error.headers.get("X-Error-Message") or error.reason, code)
            raise (
                _TransientFailure(failure, retry_after(error.headers)) if error.code in TRANSIENT_STATUSES else failure
            ) from None
        except urllib.error.URLError as error:
            failure = HttpFailure(url, 0, f"no connection ({error.reason})")
            raise (
                failure if isinstance(error.reason, ssl.SSLCertVerificationError) else _TransientFailure(failure)
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise _TransientFailure(HttpFailure(url, 0, f"no answer ({error or type(error).__name__})")) from None

    def authorise(self, request: urllib.request.Request) -> None:
        """Add the token to a request to `home`, as a header that urllib never copies to a redirect."""
        if self.token and origin(request.full_url) == origin(self.home):
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")

    def _opener(self) -> urllib.request.OpenerDirector:
        """An opener for http and https only; urllib's default one also opens file: and ftp: addresses."""
        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.UnknownHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            AuthorisedRedirects(self),
        ):
            opener.add_handler(handler)
        return opener


class AuthorisedRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects that carry the token to the client's home only, and never lead from https to http."""

    def __init__(self, client: Client):
        self.client = client

    def redirect_request(self, request, *arguments):
        following = super().redirect_request(request, *arguments)
        if following is not None:
            if request.type == "https" and following.type != "https":
                raise urllib.error.HTTPError(
                    request.full_url, 400, "a redirect from https to an unprotected address", request.headers, None
                )
            self.client.authorise(following)
        return following


LOOK_AT_SOURCE = "Look at the source's revision, address and hashes in its record; or another file is served there."


def as_user_error(failure: HttpFailure) -> UserError:
    """The failure of an ordinary address, with a fix."""
    if failure.status in (401, 403):
        fix = "Download it with a browser, and name the file on disk in the record: `source: {files: ...}`."
    elif failure.status in (404, 410):
        fix = "There is no such file any more, or the address has a typing error: open it with a browser."
    elif failure.status:
        fix = "The server is at fault or overloaded: run the same command again later; partial files stay."
    else:
        fix = "Is there a network, and does it need a proxy (https_proxy)? Partial files stay."
    return UserError(f"cannot be downloaded ({failure})", failure.url, fix)


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of an address."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def git_blob_sha1(path: Path | str) -> str:
    """Git's name for a file's content: SHA-1 of `blob SIZE`, a zero byte and the content."""
    path = Path(path)
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def bytes_on_disk(path: Path) -> int:
    """Bytes of a complete or partial file on disk."""
    files = (file for file in (path, path.with_name(f"{path.name}.part")) if file.exists())
    return next((file.stat().st_size for file in files), 0)


def announce(name: str, size: int, licence: str, folder: Path) -> None:
    """Print size and licence of a large download. Raises UserError if the disk has too little space for it."""
    if size >= ANNOUNCED_BYTES:
        _tell(f"downloading {name}: {human_size(size)}, licence: {licence}")
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < size:
        message = f"the disk has {human_size(free)} free, and the download needs {human_size(size)}"
        raise UserError(message, str(folder), "Free some space and run the same command again.")


def human_size(size: float) -> str:
    """A number of bytes with its unit: `1.3 GB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by a server's headers: Retry-After (seconds or a date), or the hub's RateLimit; else None."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        left = re.search(r"\bt\s*=\s*(\d{1,6})", headers.get("RateLimit", ""))
        return float(left[1]) if left else None


def _read_body(response: http.client.HTTPResponse, url: str) -> bytes:
    try:
        body = response.read(LARGEST_DOCUMENT + 1)
        if len(body) > LARGEST_DOCUMENT:
            raise UserError(f"the answer has more than {human_size(LARGEST_DOCUMENT)}", url, LOOK_AT_SOURCE)
        return body
    except (OSError, http.client.HTTPException) as error:
        raise _TransientFailure(HttpFailure(url, 0, f"the connection broke ({type(error).__name__})")) from None


def _append(part: Path, start: int, response: http.client.HTTPResponse, url: str, total: int | None) -> int:
    """Write a response's body from byte `start` on; return the file's new size in bytes."""
    try:
        with open(part, "r+b") as file:
            file.truncate(start)
            file.seek(start)
            for block in _with_progress(_blocks(response, url), start, total, part):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            return file.tell()
    except OSError as error:
        error.filename = error.filename or str(part)
        raise


def _blocks(response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    try:
        while block := response.read(BLOCK):
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _TransientFailure(HttpFailure(url, 0, f"the connection broke ({type(error).__name__})")) from None


def _with_progress(blocks: Iterator[bytes], start: int, total: int | None, part: Path) -> Iterator[bytes]:
    """The same blocks; prints a line of progress every PROGRESS_INTERVAL seconds."""
    done, last = start, time.monotonic()
    for block in blocks:
        done += len(block)
        if total is not None and done > total:
            raise UserError(f"the server sends more than the {total} bytes of the file", str(part), LOOK_AT_SOURCE)
        yield block
        if time.monotonic() - last > PROGRESS_INTERVAL:
            last = time.monotonic()
            whole = f" of {human_size(total)}" if total else ""
            _tell(f"{part.name.removesuffix('.part')}: {human_size(done)}{whole}")


def _tell(line: str) -> None:
    """Print a line; what a server wrote in it must not command the terminal."""
    print(printable(line), file=sys.stderr, flush=True)


def _verify(url: str, path: Path, expected: ExpectedFile) -> str:
    """The file's SHA-256. Raises UserError if its size or a hash is not the expected one."""
    git_sha1 = git_blob_sha1(path) if expected.git_sha1 is not None else None
    actual = ExpectedFile(path.stat().st_size, sha256_file(path), git_sha1)
    for name, kind in (("size", "size in bytes"), ("sha256", "SHA-256"), ("git_sha1", "git hash")):
        required, found = getattr(expected, name), getattr(actual, name)
        if required is not None and found != required:
            message = f"the download has another {kind}: expected {required}, found {found}; it was deleted"
            raise UserError(message, url, LOOK_AT_SOURCE)
    return actual.sha256


@contextlib.contextmanager
def _lock_part(path: Path) -> Iterator[Path]:
    """The partial file of a path, which exists and is locked for this process inside the block."""
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(part, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # The process that held the lock may have renamed or deleted the file.
            if part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat()):
                try:
                    yield part
                finally:
                    if part.exists() and not part.stat().st_size:
                        part.unlink()
                return


def etag_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def read_etag(part: Path) -> str:
    return etag_path(part).read_text() if etag_path(part).exists() else ""


def write_etag(part: Path, etag: str) -> None:
    """Store a strong entity tag. A weak one (W/) does not guarantee the same bytes."""
    if etag.startswith('"'):
        write_text(etag_path(part), etag)
    else:
        etag_path(part).unlink(missing_ok=True)


def _discard(part: Path) -> None:
    """Delete the content of a partial file, not the file itself, which holds the lock."""
    os.truncate(part, 0)
    etag_path(part).unlink(missing_ok=True)
