"""Downloads over HTTP that can be trusted: whole or not at all, checked, resumed, and without giving away a token.

Owns: requests, what is tried again and for how long, partial files, hashes of what arrived, who sees the token.
Must never know: the hub's protocol (hub), what a file is for (fetch).

The standard library's urllib does it, because every step must be ours: which header goes to which host after a
redirect, which bytes of a partial file are still valid, what is printed. huggingface_hub downloads into a cache of its
own, does not check the hash of what it got, and serves the hub alone.

A download lies at `NAME.part` until it is whole and its hash is right, with the entity tag of the server's version in
`NAME.part.etag`: the rest is asked for with `Range` and `If-Range` (RFC 9110, sections 13.1.5 and 14.2), so that a
server whose file has changed sends it from the start. Retry-After is honoured (RFC 9110, section 10.2.3).
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

from crosstune.core.errors import UserError
from crosstune.core.files import sha256_file, write_text

TEMPORARY = (408, 425, 429, 500, 502, 503, 504)  # statuses after which the same request may succeed

BLOCK = 1 << 20

TIMEOUT = 30  # seconds without a byte

TELL_EVERY = 30  # seconds between two lines on a download that goes on

LARGE = 100_000_000  # bytes from which on size and licence are told before a download

FETCH_ALL = "HF_HUB_OFFLINE=0 snakemake --cores 1 downloads"

TRUE = ("1", "ON", "YES", "TRUE")  # as huggingface_hub reads its switches

T = TypeVar("T")


class HttpFailure(Exception):
    """A request that failed for good. `status` is 0 where no server answered; `code` is the hub's X-Error-Code.

    `url` is the address that was asked for, not one of a redirect, which may hold a signature.
    """

    def __init__(self, url: str, status: int, reason: str, code: str = ""):
        super().__init__(f"HTTP {status} {reason}" if status else reason)
        self.url, self.status, self.reason, self.code = url, status, reason, code


class _Temporary(Exception):
    """What is worth another try, after `wait` seconds where the server said so."""

    def __init__(self, failure: HttpFailure, wait: float | None = None):
        super().__init__(str(failure))
        self.failure, self.wait = failure, wait


@dataclass(frozen=True)
class Patience:
    """Tries without progress before giving up, and the seconds between them: `first`, doubled each time to `longest`.

    A server may ask for another wait, which is never longer than `longest`.
    """

    attempts: int = 5
    first: float = 1.0
    longest: float = 120.0


@dataclass(frozen=True)
class Expected:
    """What a file must be: its size in bytes and hashes, as far as they are known. git_sha1 is that of its blob."""

    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None


def offline(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the user forbids the network, with the variables that the Hugging Face libraries read."""
    return (environment.get("HF_HUB_OFFLINE") or environment.get("TRANSFORMERS_OFFLINE") or "").upper() in TRUE


@dataclass(frozen=True)
class Client:
    """Requests, of which those to `home` (scheme, host and port) alone carry `token`; none if they are `forbidden`."""

    home: str = ""
    token: str | None = field(default=None, repr=False)
    patience: Patience = Patience()
    forbidden: bool = False

    def size(self, url: str) -> int | None:
        """Bytes of the file at an address, where its server tells. Raises HttpFailure where none answers."""

        def action() -> int | None:
            with self._open(url, method="HEAD") as response:
                length = response.headers.get("Content-Length")
                return int(length) if length else None

        try:
            return self._patiently(action)
        except HttpFailure as failure:
            if failure.status:
                return None  # some servers refuse to be asked so; whether they have the file, the download shows
            raise

    def read_json(self, url: str) -> tuple[Any, str | None]:
        """The document at an address, and the address of its next page (RFC 8288), if it has one.

        Raises HttpFailure.
        """

        def action() -> tuple[Any, str | None]:
            with self._open(url) as response:
                try:
                    document = json.loads(_body(response, url))
                except ValueError:
                    raise HttpFailure(url, 0, "the answer is no JSON") from None
                following = re.search(r'<([^>]+)>\s*;\s*rel="?next"?', response.headers.get("Link", ""))
                return document, urllib.parse.urljoin(url, following[1]) if following else None

        return self._patiently(action)

    def download(self, url: str, path: Path, expected: Expected = Expected()) -> str:
        """Bring a file to `path`, unless it is there as it must be, and return its SHA-256.

        What a run before this one has left at `path`.part is gone on with. Of processes that want the same file one
        loads it and the others wait. Raises HttpFailure, and UserError where what arrived is not what is expected.
        """
        with _locked(path) as part:
            if path.exists():
                with contextlib.suppress(UserError):  # what is there was changed: it is replaced
                    found = _verified(url, path, expected)
                    _empty(part)
                    return found
            # What an earlier run left may be to blame for a wrong hash: then once more, from the first byte.
            for afresh in (False, True) if part.stat().st_size else (True,):
                if afresh:
                    _empty(part)
                self._complete(url, part, expected)
                try:
                    found = _verified(url, part, expected)
                    break
                except UserError:
                    if afresh:
                        _empty(part)
                        raise
            _tag(part).unlink(missing_ok=True)
            os.replace(part, path)
            return found

    def _complete(self, url: str, part: Path, expected: Expected) -> None:
        self._patiently(lambda: self._more(url, part, expected), lambda: part.stat().st_size)

    def _more(self, url: str, part: Path, expected: Expected) -> None:
        """Append what is missing to a partial file; _Temporary where the server stops before its end."""
        if expected.size is not None and part.stat().st_size > expected.size:
            _empty(part)
        have, etag = part.stat().st_size, _read_tag(part)
        if have and have == expected.size:
            return
        headers = {"Range": f"bytes={have}-", "If-Range": etag} if have and etag else {}
        try:
            response = self._open(url, headers)
        except HttpFailure as failure:
            if failure.status == 416 and headers:
                return  # no byte is missing; whether they are the right ones, their hash will say
            raise
        with response:
            span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
            goes_on = response.status == 206 and span is not None and int(span[1]) == have
            if response.status == 206 and not goes_on:
                _empty(part)
                raise _Temporary(HttpFailure(url, 206, "with another part of the file than was asked for"))
            start, length = (have if goes_on else 0), response.headers.get("Content-Length")
            total = start + int(length) if length else None
            if None not in (total, expected.size) and total != expected.size:
                raise UserError(f"the server's file has {total} bytes, expected {expected.size}", url, LOOK_AT_SOURCE)
            _write_tag(part, response.headers.get("ETag", ""))
            received = _append(part, start, response, url, total)
            if total is not None and received < total:
                raise _Temporary(HttpFailure(url, 0, f"the connection broke after {received} of {total} bytes"))

    def _patiently(self, action: Callable[[], T], reached: Callable[[], int] = lambda: 0) -> T:
        """Do something again until it succeeds or `attempts` tries in a row have not got further than any before."""
        failures, furthest = 0, reached()
        while True:
            try:
                return action()
            except _Temporary as error:
                failures = 0 if reached() > furthest else failures + 1
                furthest = max(furthest, reached())
                if failures >= self.patience.attempts:
                    raise error.failure from None
                wait = self.patience.first * 2 ** max(0, failures - 1) if error.wait is None else error.wait
                wait = min(wait, self.patience.longest)
                print(f"{error}; next try in {wait:.0f} s: {error.failure.url}", file=sys.stderr, flush=True)
                time.sleep(wait)

    def _open(self, url: str, headers: Mapping[str, str] = {}, method: str = "GET") -> http.client.HTTPResponse:
        if self.forbidden:
            fix = f"Where there is a network, run this once with your study:\n  {FETCH_ALL}"
            raise UserError("this is not on disk yet, and HF_HUB_OFFLINE forbids to download it", url, fix)
        request = urllib.request.Request(url, headers={"User-Agent": "crosstune", **headers}, method=method)
        self._authorise(request)
        try:
            return self._opener().open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            code = error.headers.get("X-Error-Code", "")
            failure = HttpFailure(url, error.code, error.headers.get("X-Error-Message") or error.reason, code)
            raise (_Temporary(failure, _wait(error.headers)) if error.code in TEMPORARY else failure) from None
        except urllib.error.URLError as error:
            failure = HttpFailure(url, 0, f"no connection ({error.reason})")
            raise (failure if isinstance(error.reason, ssl.SSLCertVerificationError) else _Temporary(failure)) from None
        except (OSError, http.client.HTTPException) as error:
            raise _Temporary(HttpFailure(url, 0, f"no answer ({error or type(error).__name__})")) from None

    def _authorise(self, request: urllib.request.Request) -> None:
        # An unredirected header is never carried to another request by urllib itself.
        if self.token and origin(request.full_url) == origin(self.home):
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")

    def _opener(self) -> urllib.request.OpenerDirector:
        """An opener for http and https alone: the default one also reads file: and ftp: addresses."""
        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.UnknownHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            _Redirects(self),
        ):
            opener.add_handler(handler)
        return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects, each authorised by where it leads, and none from https to http."""

    def __init__(self, client: Client):
        self.client = client

    def redirect_request(self, request, *arguments):
        following = super().redirect_request(request, *arguments)
        if following is not None:
            if request.type == "https" and following.type != "https":
                raise urllib.error.HTTPError(
                    request.full_url, 400, "a redirect from https to an unprotected address", request.headers, None
                )
            self.client._authorise(following)
        return following


LOOK_AT_SOURCE = "Look at the source's revision, address and hashes in its record; or another file is served there."


def explained(failure: HttpFailure) -> UserError:
    """The failure of an ordinary address, for its user."""
    if failure.status in (401, 403):
        fix = "Download it with a browser, and name the file on disk in the record: `source: {files: ...}`."
    elif failure.status in (404, 410):
        fix = "There is no such file any more, or the address has a typing error: open it with a browser."
    elif failure.status:
        fix = "The server is at fault or overloaded: give the same command again later; what has arrived stays."
    else:
        fix = "Is there a network, and does it need a proxy (https_proxy)? What has arrived stays."
    return UserError(f"cannot be downloaded ({failure})", failure.url, fix)


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of an address."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def git_blob_sha1(path: Path | str) -> str:
    """The name that git gives to a file's content: SHA-1 of `blob SIZE`, a zero byte and the content."""
    path = Path(path)
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def arrived(path: Path) -> int:
    """Bytes of a file that are on disk, whole or not yet."""
    found = (place for place in (path, path.with_name(f"{path.name}.part")) if place.exists())
    return next((place.stat().st_size for place in found), 0)


def announce(name: str, size: int, licence: str, folder: Path) -> None:
    """Say how large a large download is and under which licence; UserError where the disk is too full for it."""
    if size >= LARGE:
        print(f"downloading {name}: {readable(size)}, licence: {licence}", file=sys.stderr, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < size:
        message = f"the disk has {readable(free)} free, and the download needs {readable(size)}"
        raise UserError(message, str(folder), "Free some space and run the same command again.")


def readable(size: float) -> str:
    """A number of bytes for people: `1.3 GB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds until the server wants to be asked again: Retry-After (seconds or a date), or the hub's RateLimit."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        left = re.search(r"\bt\s*=\s*(\d{1,6})", headers.get("RateLimit", ""))
        return float(left[1]) if left else None


def _body(response: http.client.HTTPResponse, url: str) -> bytes:
    try:
        return response.read()
    except (OSError, http.client.HTTPException) as error:
        raise _Temporary(HttpFailure(url, 0, f"the connection broke ({type(error).__name__})")) from None


def _append(part: Path, start: int, response: http.client.HTTPResponse, url: str, total: int | None) -> int:
    """Write a response's body from byte `start` on; the size that the file has then."""
    try:
        with open(part, "r+b") as file:
            file.truncate(start)
            file.seek(start)
            for block in _told(_blocks(response, url), start, total, part):
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
        raise _Temporary(HttpFailure(url, 0, f"the connection broke ({type(error).__name__})")) from None


def _told(blocks: Iterator[bytes], start: int, total: int | None, part: Path) -> Iterator[bytes]:
    """The same blocks, with a line now and then on how far they are."""
    done, last = start, time.monotonic()
    for block in blocks:
        yield block
        done += len(block)
        if time.monotonic() - last > TELL_EVERY:
            last = time.monotonic()
            whole = f" of {readable(total)}" if total else ""
            print(f"{part.name.removesuffix('.part')}: {readable(done)}{whole}", file=sys.stderr, flush=True)


def _verified(url: str, path: Path, expected: Expected) -> str:
    """The file's SHA-256; UserError where its size or a hash is not the expected one."""
    git_sha1 = git_blob_sha1(path) if expected.git_sha1 is not None else None
    found = Expected(path.stat().st_size, sha256_file(path), git_sha1)
    for name, kind in (("size", "size in bytes"), ("sha256", "SHA-256"), ("git_sha1", "git hash")):
        wanted, got = getattr(expected, name), getattr(found, name)
        if wanted is not None and got != wanted:
            message = f"the download has another {kind}: expected {wanted}, found {got}; it was deleted"
            raise UserError(message, url, LOOK_AT_SOURCE)
    return found.sha256


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """The partial file of a path, which is there now and which no other process has locked meanwhile."""
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(part, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # The process before this one may have renamed or deleted the file while this one waited.
            if part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat()):
                try:
                    yield part
                finally:
                    if part.exists() and not part.stat().st_size:
                        part.unlink()
                return


def _tag(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _read_tag(part: Path) -> str:
    return _tag(part).read_text() if _tag(part).exists() else ""


def _write_tag(part: Path, etag: str) -> None:
    """Keep a strong entity tag: a weak one (W/) does not say that the bytes are the same."""
    if etag.startswith('"'):
        write_text(_tag(part), etag)
    else:
        _tag(part).unlink(missing_ok=True)


def _empty(part: Path) -> None:
    """Forget what has arrived. The file itself stays, because the lock is on it."""
    os.truncate(part, 0)
    _tag(part).unlink(missing_ok=True)
