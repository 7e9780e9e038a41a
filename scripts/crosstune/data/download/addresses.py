"""Files at plain addresses, through pooch: fetched whole, tried again, stored once they have the right hash."""

import os
import sys
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from crosstune.core.errors import UserError, show
from crosstune.core.files import sha256_file
from crosstune.data.download.limits import LARGEST_UNSTATED, LOOK_AT_SOURCE, DownloadMeter, MeteredFile, announce

RETRIES = 4  # after a first failure; pooch waits one second longer each time

TIMEOUT = 30  # seconds without a byte

BLOCK = 1 << 16

TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)  # the same request may succeed later


def download_address(url: str, path: Path, sha256: str | None, licence: str) -> None:
    """Download the file at an address to `path`, unless it is there with that hash. Raises UserError."""
    import pooch
    import requests

    check_address(url)
    pooch.get_logger().setLevel("ERROR")  # the downloader says more than pooch
    place = pooch.create(
        path.parent, base_url="", registry={path.name: sha256}, urls={path.name: url}, retry_if_failed=RETRIES
    )
    try:
        place.fetch(path.name, downloader=AddressDownloader(sha256, licence, path.parent))
    except requests.RequestException as error:
        raise _as_user_error(error, url) from None


def check_address(url: str) -> None:
    """UserError for an address that anybody on the way can answer instead of its host."""
    parts = urlsplit(url)
    if parts.scheme != "https" and (parts.scheme, parts.hostname) not in LOOPBACK:
        raise UserError("not an https address", url, f"https://{url.partition('://')[2] or url}")


LOOPBACK = [("http", host) for host in ("127.0.0.1", "localhost", "::1")]


class AddressDownloader:
    """pooch's HTTP downloader with limits: https, the stated size and hash, and no second try of what was refused.

    A UserError ends pooch's tries; any error of requests starts the next one.
    """

    def __init__(self, sha256: str | None, licence: str, folder: Path):
        self._sha256, self._licence, self._folder = sha256, licence, folder

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        """Write the file at an address to `output_file`, a temporary file of pooch."""
        import pooch
        import requests

        meter = DownloadMeter(url, LARGEST_UNSTATED)

        def inspect(response: requests.Response, **_options: object) -> None:
            if response.is_redirect:
                check_address(urljoin(response.url, response.headers["Location"]))
            elif response.ok and "Content-Length" in response.headers:
                meter.expected = int(response.headers["Content-Length"])
                announce(url, meter.expected, lambda: self._licence, self._folder)

        download = pooch.HTTPDownloader(
            chunk_size=BLOCK, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}, hooks={"response": inspect}
        )
        os.unlink(output_file)  # made for its owner alone; the new one has the user's mode
        try:
            with open(output_file, "xb") as file:
                download(url, MeteredFile(file, meter), None)
        except requests.RequestException as error:
            if _is_permanent(error):
                raise _as_user_error(error, url) from None
            show(f"{url}: {_reason(error)}; trying again unless this was the last try", file=sys.stderr)
            raise
        found = sha256_file(output_file)
        if self._sha256 not in (None, found):
            message = f"the download has another SHA-256: expected {self._sha256}, found {found}; it was deleted"
            raise UserError(message, url, LOOK_AT_SOURCE)


def _is_permanent(error: Exception) -> bool:
    """Whether the same request would fail again: a refusal, a certificate or an address of another kind."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError):
        return error.response.status_code not in TRANSIENT_STATUSES
    kinds = (exceptions.SSLError, exceptions.InvalidSchema, exceptions.InvalidURL, exceptions.TooManyRedirects)
    return isinstance(error, kinds)


def _reason(error: Exception) -> str:
    """What a request failed of, without the address of a redirect, which may hold a signature."""
    response = getattr(error, "response", None)
    return f"HTTP {response.status_code} {response.reason}" if response is not None else type(error).__name__


def _as_user_error(error: Exception, url: str) -> UserError:
    """The failure of an address, with a fix."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if status in (401, 403):
        fix = "Download it with a browser, and name the file on disk in the record: `source: {files: ...}`."
    elif status in (404, 410):
        fix = "There is no such file any more, or the address has a typing error: open it with a browser."
    elif status:
        fix = "The server is at fault or overloaded: run the same command again later."
    else:
        fix = "Is there a network, and does it need a proxy (https_proxy)? Run the same command again later."
    return UserError(f"cannot be downloaded ({_reason(error)})", url, fix)
