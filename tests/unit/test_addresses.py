"""Files at addresses, from a real server on this machine, which fails in every way that servers do."""

import errno
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from hub_server import sha256

from crosstune.core.errors import UserError
from crosstune.data.download import addresses, limits
from crosstune.data.download.addresses import RETRIES, check_address, download_address
from crosstune.data.download.limits import announce, human_size

CONTENT = bytes(range(256)) * 4000  # about a megabyte: several blocks on the wire


@pytest.fixture
def address(hub) -> str:
    hub.files["/file"] = CONTENT
    return f"{hub.url}/file"


def download(address: str, path: Path, content: bytes = CONTENT) -> Path:
    download_address(address, path, sha256(content), "CC0-1.0")
    return path


def test_a_file_arrives_whole_and_nothing_else_is_left(address, tmp_path):
    before = os.umask(0o027)
    try:
        path = download(address, tmp_path / "new/folder/file")
    finally:
        os.umask(before)
    assert path.read_bytes() == CONTENT and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [path.name for path in path.parent.iterdir()] == ["file"]


def test_an_existing_file_is_not_requested(address, tmp_path, hub):
    (tmp_path / "file").write_bytes(CONTENT)
    download(address, tmp_path / "file")
    assert hub.requests == []


def test_a_changed_file_is_replaced(address, tmp_path):
    (tmp_path / "file").write_bytes(b"changed")
    assert download(address, tmp_path / "file").read_bytes() == CONTENT


# ---------------------------------------------------------------------------------------------------------- bad moments


@pytest.mark.parametrize("faults", [["truncate"] * 3, [503, 429], ["slow"]])
def test_a_server_that_fails_for_a_while_is_asked_again(address, tmp_path, hub, faults, capsys):
    hub.faults["/file"] = list(faults)
    assert download(address, tmp_path / "file").read_bytes() == CONTENT
    assert capsys.readouterr().err.count("trying again") == (0 if faults == ["slow"] else len(faults))


def test_a_server_that_stays_busy_is_given_up(address, tmp_path, hub):
    hub.faults["/file"] = [503] * 9
    with pytest.raises(UserError, match=r"(?s)cannot be downloaded \(HTTP 503 .*again later"):
        download(address, tmp_path / "file")
    assert len(hub.requests) == 1 + RETRIES and list(tmp_path.glob("[!c]*")) == []


@pytest.mark.parametrize(
    ("status", "fix"), [(404, "typing error"), (410, "typing error"), (401, "browser"), (403, "browser")]
)
def test_a_refusal_is_not_repeated(address, tmp_path, hub, status, fix):
    hub.faults["/file"] = [status]
    with pytest.raises(UserError, match=rf"(?s)cannot be downloaded \(HTTP {status} .*{fix}"):
        download(address, tmp_path / "file")
    assert len(hub.requests) == 1 and not (tmp_path / "file").exists()


def test_a_missing_server_is_named(tmp_path):
    with pytest.raises(UserError, match=r"(?s)cannot be downloaded \(ConnectionError\).*https_proxy"):
        download("http://127.0.0.1:9/file", tmp_path / "file")


def test_a_file_with_a_wrong_hash_is_reported_and_deleted(address, tmp_path, hub):
    hub.faults["/file"] = ["wrong"]
    with pytest.raises(UserError, match=r"expected [0-9a-f]{64}, found [0-9a-f]{64}; it was deleted") as caught:
        download(address, tmp_path / "file")
    assert caught.value.where == address and len(hub.requests) == 1
    assert list(tmp_path.glob("[!c]*")) == []


def test_a_server_that_does_not_stop_is_left(address, hub, tmp_path, monkeypatch):
    monkeypatch.setattr(addresses, "LARGEST_UNSTATED", 5 * len(CONTENT))
    hub.faults["/file"] = ["endless"]
    with pytest.raises(UserError, match=f"the server sends more than the {5 * len(CONTENT)} bytes of the file"):
        download(address, tmp_path / "file")
    assert list(tmp_path.glob("[!c]*")) == []


# ---------------------------------------------------------------------------------------------------------- redirects


def test_a_token_never_goes_to_an_address(address, hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.faults["/file"] = [f"{hub.storage}/other"]
    hub.files["/other"] = CONTENT
    assert download(address, tmp_path / "file").read_bytes() == CONTENT
    assert {request.host for request in hub.requests} == {"hub", "storage"}
    assert not any("authorization" in map(str.lower, request.headers) for request in hub.requests)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://example.org/x"])
def test_a_redirect_leaves_neither_the_network_nor_https(address, hub, tmp_path, target):
    hub.faults["/file"] = [target]
    with pytest.raises(UserError):
        download(address, tmp_path / "file")
    assert not (tmp_path / "file").exists() and len(hub.requests) == 1


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://example.org/x", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://localhost/x", True),
        ("http://example.org/x", False),
        ("http://127.0.0.1.example.org/x", False),
        ("ftp://127.0.0.1/x", False),
        ("file:///etc/passwd", False),
    ],
)
def test_only_https_and_this_machine_are_asked(url, good):
    if good:
        check_address(url)
    else:
        with pytest.raises(UserError, match="not an https address"):
            check_address(url)


# ---------------------------------------------------------------------------------------------------- size and disk


def test_a_large_download_is_announced_and_a_full_disk_refused(tmp_path, monkeypatch, capsys):
    announce("some/data", 99_999_999, lambda: "CC0", tmp_path)
    assert capsys.readouterr().err == ""
    announce("some/data", 1_300_000_000, lambda: "CC BY-SA 4.0", tmp_path)
    assert capsys.readouterr().err == "downloading some/data: 1.3 GB, licence: CC BY-SA 4.0\n"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1_000_000))
    with pytest.raises(UserError, match=r"the disk has 1.0 MB free, and the download needs 2.0 MB"):
        announce("some/data", 2_000_000, lambda: "CC0", tmp_path)


def test_the_size_of_an_address_is_announced(address, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(limits, "ANNOUNCED_BYTES", 1_000_000)
    download(address, tmp_path / "file")
    assert capsys.readouterr().err == f"downloading {address}: 1.0 MB, licence: CC0-1.0\n"


@pytest.mark.parametrize(("size", "text"), [(5, "5 B"), (1500, "1.5 kB"), (2_000_000, "2.0 MB"), (3e12, "3000.0 GB")])
def test_sizes_have_units(size, text):
    assert human_size(size) == text


def test_a_disk_that_fills_up_leaves_nothing(address, tmp_path, monkeypatch):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("only root can mount the small disk that this test fills")
    try:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1e9, 0, 1e9))
        with pytest.raises(OSError) as caught:
            download(address, small / "file")
        assert caught.value.errno == errno.ENOSPC and list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)
