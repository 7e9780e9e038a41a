"""Downloads from a real server on this machine, which fails in every way that servers do."""

import errno
import http.client
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from hub_server import git_sha1, sha256

from crosstune.core.errors import UserError
from crosstune.data.download import http as download
from crosstune.data.download.http import (
    Client,
    ExpectedFile,
    HttpFailure,
    RetryPolicy,
    announce,
    bytes_on_disk,
    git_blob_sha1,
    is_offline,
    origin,
)

CONTENT = bytes(range(256)) * 4000  # about a megabyte: several blocks on the wire
QUICK = RetryPolicy(attempts=3, first_wait=0.01, longest_wait=0.05)


@pytest.fixture
def client():
    return Client(retries=QUICK)


@pytest.fixture
def address(hub_server):
    hub_server.files["/file"] = CONTENT
    return f"{hub_server.url}/file"


def part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def ranges(server) -> list[str | None]:
    return [request.headers.get("Range") for request in server.requests]


def test_a_server_that_does_not_stop_is_left(client, address, hub_server, tmp_path):
    hub_server.faults["/file"] = ["endless"]
    with pytest.raises(UserError, match=f"the server sends more than the {len(CONTENT)} bytes of the file"):
        client.download(address, tmp_path / "file", ExpectedFile(len(CONTENT), sha256(CONTENT)))
    assert bytes_on_disk(tmp_path / "file") <= len(CONTENT)


def test_a_file_arrives_whole_and_nothing_else_is_left(client, address, tmp_path):
    out = tmp_path / "new/folder/file"
    assert client.download(address, out, ExpectedFile(len(CONTENT), sha256(CONTENT), git_sha1(CONTENT))) == sha256(
        CONTENT
    )
    assert out.read_bytes() == CONTENT
    assert [path.name for path in out.parent.iterdir()] == ["file"]


def test_an_existing_file_is_not_requested(client, address, tmp_path, hub_server):
    (tmp_path / "file").write_bytes(b"here")
    assert client.download(address, tmp_path / "file") == sha256(b"here")
    assert hub_server.requests == []


def test_a_changed_file_is_replaced(client, address, tmp_path):
    (tmp_path / "file").write_bytes(b"changed")
    client.download(address, tmp_path / "file", ExpectedFile(sha256=sha256(CONTENT)))
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_the_size_is_known_if_the_server_states_it(client, address, hub_server):
    assert client.size(address) == len(CONTENT)
    assert client.size(f"{hub_server.url}/nothing") is None


def test_git_names_a_file_by_its_size_and_content(tmp_path):
    # `printf 'hello\n' | git hash-object --stdin` gives this, as does every introduction to git.
    (tmp_path / "hello").write_bytes(b"hello\n")
    assert git_blob_sha1(tmp_path / "hello") == "ce013625030ba8dba906f756967f9e9ca394464a"


# ----------------------------------------------------------------------------------------------------------- retries


def test_a_broken_download_is_resumed(client, address, tmp_path, hub_server):
    """Each broken answer brings half of the promised bytes: a half is missing, then a quarter, then an eighth."""
    hub_server.faults["/file"] = ["truncate"] * 3
    assert client.download(address, tmp_path / "file", ExpectedFile(sha256=sha256(CONTENT))) == sha256(CONTENT)
    size = len(CONTENT)
    starts = [None] + [f"bytes={size - size // 2**n}-" for n in (1, 2, 3)]
    assert ranges(hub_server) == starts


def test_progress_resets_the_count_of_attempts(client, address, tmp_path, hub_server):
    """Five failures with three attempts: no three in a row without progress."""
    hub_server.faults["/file"] = [503, 503, "truncate", 503, 503]
    client.download(address, tmp_path / "file", ExpectedFile(sha256=sha256(CONTENT)))
    assert len(hub_server.requests) == 6


def test_an_endless_cut_at_the_same_byte_is_given_up(client, address, tmp_path, hub_server, monkeypatch):
    monkeypatch.setattr(download, "read_etag", lambda part: "")  # nothing is ever resumed
    hub_server.faults["/file"] = ["truncate"] * 50
    with pytest.raises(HttpFailure, match="the connection broke after 512000 of 1024000 bytes"):
        client.download(address, tmp_path / "file")
    assert len(hub_server.requests) == 1 + QUICK.attempts  # the first made progress, the others none


def test_a_busy_server_is_retried(client, address, tmp_path, hub_server, capsys):
    hub_server.faults["/file"] = [503, 429]
    client.download(address, tmp_path / "file", ExpectedFile(sha256=sha256(CONTENT)))
    assert len(hub_server.requests) == 3
    assert capsys.readouterr().err.count("next try in") == 2


def test_a_server_that_stays_busy_is_given_up(client, address, tmp_path, hub_server):
    hub_server.faults["/file"] = [503] * 9
    with pytest.raises(HttpFailure, match="HTTP 503") as caught:
        client.download(address, tmp_path / "file")
    assert len(hub_server.requests) == QUICK.attempts
    assert "again later" in str(download.as_user_error(caught.value))


def test_a_refusal_is_not_repeated(client, address, tmp_path, hub_server):
    with pytest.raises(HttpFailure, match="HTTP 404"):
        client.download(f"{hub_server.url}/nothing", tmp_path / "file")
    assert len(hub_server.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_server_is_a_failure_without_status(client, tmp_path):
    with pytest.raises(HttpFailure, match="no connection") as caught:
        client.download("http://127.0.0.1:9/file", tmp_path / "file")
    assert caught.value.status == 0 and "https_proxy" in str(download.as_user_error(caught.value))


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"RateLimit": '"api";r=0;t=55'}, 55.0),
        ({}, None),
    ],
)
def test_the_wait_follows_the_server_s_headers(headers, wait):
    message = http.client.HTTPMessage()
    for key, value in headers.items():
        message[key] = value
    assert download.retry_after(message) == wait


def test_a_wait_is_bounded(client, address, tmp_path, hub_server, monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    hub_server.faults["/file"], hub_server.headers_of_faults = [503, 503], {"Retry-After": "86400"}
    client.download(address, tmp_path / "file")
    assert waits == [QUICK.longest_wait] * 2


# ------------------------------------------------------------------------------------------------------ partial files


def leave_part(tmp_path: Path, content: bytes, tag: str) -> Path:
    out = tmp_path / "file"
    part_of(out).write_bytes(content)
    if tag:
        part_of(out).with_name("file.part.etag").write_text(tag)
    return out


def test_the_partial_file_of_a_killed_run_is_resumed(client, address, tmp_path, hub_server):
    out = leave_part(tmp_path, CONTENT[:1000], f'"{sha256(CONTENT)[:16]}"')
    assert bytes_on_disk(out) == 1000
    client.download(address, out, ExpectedFile(sha256=sha256(CONTENT)))
    assert ranges(hub_server) == ["bytes=1000-"]
    assert out.read_bytes() == CONTENT and not part_of(out).exists()


@pytest.mark.parametrize("tag", ["", '"of another version"'])
def test_a_partial_file_of_another_version_is_not_resumed(client, address, tmp_path, hub_server, tag):
    """The mismatch is found without hashing a wrong file: one answer brings the whole file."""
    out = leave_part(tmp_path, b"x" * 1000, tag)
    client.download(address, out, ExpectedFile(sha256=sha256(CONTENT)))
    assert out.read_bytes() == CONTENT and len(hub_server.requests) == 1


def test_a_complete_partial_file_is_only_hashed(client, address, tmp_path, hub_server):
    out = leave_part(tmp_path, CONTENT, f'"{sha256(CONTENT)[:16]}"')
    client.download(address, out, ExpectedFile(len(CONTENT), sha256(CONTENT)))
    assert hub_server.requests == []
    out = leave_part(tmp_path, CONTENT, f'"{sha256(CONTENT)[:16]}"')
    out.unlink()
    client.download(address, out, ExpectedFile(sha256=sha256(CONTENT)))  # its size is not known: the server says 416
    assert out.read_bytes() == CONTENT and len(hub_server.requests) == 1


def test_a_partial_file_with_wrong_bytes_is_downloaded_again(client, address, tmp_path, hub_server):
    out = leave_part(tmp_path, b"x" * 1000, f'"{sha256(CONTENT)[:16]}"')
    client.download(address, out, ExpectedFile(sha256=sha256(CONTENT)))
    assert ranges(hub_server) == ["bytes=1000-", None]
    assert out.read_bytes() == CONTENT


def test_a_partial_file_longer_than_the_file_is_discarded(client, address, tmp_path):
    out = leave_part(tmp_path, CONTENT + b"x", f'"{sha256(CONTENT)[:16]}"')
    client.download(address, out, ExpectedFile(len(CONTENT), sha256(CONTENT)))
    assert out.read_bytes() == CONTENT


def test_a_weak_entity_tag_is_not_stored(client, address, tmp_path, hub_server, monkeypatch):
    hub_server.faults["/file"] = ["weak"]
    tags = []
    monkeypatch.setattr(download, "write_text", lambda path, tag: tags.append(tag))
    client.download(address, tmp_path / "file")
    assert tags == []


def test_several_processes_download_a_file_once(address, tmp_path, hub_server):
    code = "import sys; from pathlib import Path; from crosstune.data.download.http import Client\n"
    code += "print(Client().download(sys.argv[1], Path(sys.argv[2])))"
    environment = {**os.environ, "PYTHONPATH": "scripts"}
    command = [sys.executable, "-c", code, address, str(tmp_path / "file")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    assert {process.communicate()[0].strip() for process in started} == {sha256(CONTENT)}
    assert len(hub_server.requests) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# ------------------------------------------------------------------------------------------------------------- hashes


@pytest.mark.parametrize("expected", [{"sha256": "0" * 64}, {"git_sha1": "0" * 40}])
def test_a_file_with_a_wrong_hash_is_reported_and_deleted(client, address, tmp_path, expected):
    with pytest.raises(UserError, match=r"expected 0+, found [0-9a-f]+; it was deleted") as caught:
        client.download(address, tmp_path / "file", ExpectedFile(**expected))
    assert caught.value.where == address
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_size_is_reported_before_the_download(client, address, tmp_path):
    with pytest.raises(UserError, match="the server's file has 1024000 bytes, expected 5"):
        client.download(address, tmp_path / "file", ExpectedFile(5))
    assert bytes_on_disk(tmp_path / "file") == 0


# -------------------------------------------------------------------------------------------------------------- token


def test_the_token_goes_to_its_home_alone(hub_server, tmp_path, address):
    client = Client(hub_server.url, "hf_secret", QUICK)
    assert "hf_secret" not in repr(client)
    client.download(address, tmp_path / "home")
    assert hub_server.requests[-1].headers["Authorization"] == "Bearer hf_secret"
    hub_server.files["/elsewhere"] = b"x"
    client.download(f"{hub_server.storage}/elsewhere", tmp_path / "elsewhere")
    assert "Authorization" not in hub_server.requests[-1].headers


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://hub.co/a", "https://hub.co:443/b", True),
        ("https://hub.co", "http://hub.co", False),
        ("https://hub.co", "https://hub.co.evil.org", False),
        ("https://hub.co", "https://hub.co@evil.org", False),
        ("https://hub.co", "https://HUB.co", True),
        ("http://127.0.0.1:1", "http://127.0.0.1:2", False),
    ],
)
def test_the_origin_is_scheme_host_and_port(one, other, same):
    assert (origin(one) == origin(other)) is same


def redirected(client: Client, source: str, target: str) -> urllib.request.Request | None:
    handler = download.AuthorisedRedirects(client)
    request = urllib.request.Request(source)
    client.authorise(request)
    return handler.redirect_request(request, None, 302, "Found", http.client.HTTPMessage(), target)


def test_redirects_keep_the_token_at_home_only():
    client = Client("https://hub.co", "hf_secret")
    assert redirected(client, "https://hub.co/a", "https://hub.co/b").has_header("Authorization")
    assert not redirected(client, "https://hub.co/a", "https://cdn.co/b").has_header("Authorization")
    with pytest.raises(Exception, match="unprotected"):
        redirected(client, "https://hub.co/a", "http://hub.co/b")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_a_redirect_leaves_neither_the_network_nor_http(client, hub_server, tmp_path, target):
    hub_server.faults["/file"], hub_server.headers_of_faults = [302], {"Location": target}
    with pytest.raises(HttpFailure):
        client.download(f"{hub_server.url}/file", tmp_path / "file")
    assert not (tmp_path / "file").exists()


# ---------------------------------------------------------------------------------------------------- network and disk


def test_an_offline_client_sends_no_request(hub_server, tmp_path):
    client = Client(retries=QUICK, offline=True)
    with pytest.raises(UserError, match=r"(?s)HF_HUB_OFFLINE.*snakemake --cores 1 downloads"):
        client.download(f"{hub_server.url}/file", tmp_path / "file")
    assert hub_server.requests == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"HF_HUB_OFFLINE": "0"}, False),
        ({"HF_HUB_OFFLINE": "1"}, True),
        ({"HF_HUB_OFFLINE": "yes"}, True),
        ({"TRANSFORMERS_OFFLINE": "1"}, True),
    ],
)
def test_offline_is_read_as_the_hub_s_library_does(environment, expected):
    assert is_offline(environment) is expected
    code = "from huggingface_hub import constants; print(constants.HF_HUB_OFFLINE)"
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(expected)


def test_a_large_download_is_announced_and_a_full_disk_refused(tmp_path, monkeypatch, capsys):
    announce("some/data", 99_999_999, "CC0", tmp_path)
    assert capsys.readouterr().err == ""
    announce("some/data", 1_300_000_000, "CC BY-SA 4.0", tmp_path)
    assert capsys.readouterr().err == "downloading some/data: 1.3 GB, licence: CC BY-SA 4.0\n"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1_000_000))
    with pytest.raises(UserError, match=r"the disk has 1.0 MB free, and the download needs 2.0 MB"):
        announce("some/data", 2_000_000, "CC0", tmp_path)


def test_a_disk_that_fills_up_keeps_what_has_arrived(client, address, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("only root can mount the small disk that this test fills")
    try:
        with pytest.raises(OSError) as caught:
            client.download(address, small / "file")
        assert caught.value.errno == errno.ENOSPC and caught.value.filename.endswith("file.part")
        assert 0 < bytes_on_disk(small / "file") < len(CONTENT)
    finally:
        subprocess.run(["umount", small], check=True)
