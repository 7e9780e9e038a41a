"""The hub through huggingface_hub, with a server that speaks its protocol and fails in every way that servers do."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hub_server import Repository, git_sha1, sha256
from huggingface_hub import constants, hf_hub_download, snapshot_download

from crosstune.core.errors import UserError
from crosstune.data.download import limits
from crosstune.data.download.hub import ExpectedFile, find_commit
from crosstune.data.download.hub import Repository as Id

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789" * 4
WEIGHTS = bytes(range(256)) * 4000  # about a megabyte: several blocks on the wire
FILES = {
    "README.md": b"---\nlicense: [mit, cc0-1.0]\n---\n",
    "a b/tr\xe4in[1].json": b"{}",
    "c/train-00000-of-00002.parquet": b"first",
    "c/train-00001-of-00002.parquet": b"second",
    "model.safetensors": WEIGHTS,
}
BLOB = f"/blob/{sha256(WEIGHTS)}"


def data() -> Id:
    """The repository as a new process sees it."""
    return Id("dataset", "some/data", COMMIT)


@pytest.fixture
def server(hub):
    hub.add(
        Repository("datasets", "some/data", {COMMIT: FILES}, {"main": COMMIT, "refs/convert/parquet": COMMIT}),
        Repository("datasets", "some/gated", {COMMIT: FILES}, {"main": COMMIT}, gated=True),
    )
    return hub


def cached(name: str) -> Path:
    return Path(constants.HF_HUB_CACHE, "datasets--some--data/snapshots", COMMIT, name)


def headers(request) -> dict[str, str]:
    return {key.lower(): value for key, value in request.headers.items()}


def left_unfinished() -> list[Path]:
    return list(Path(constants.HF_HUB_CACHE).rglob("*.incomplete"))


# --- commits, listings, files ----------------------------------------------------------------------------------------


def test_a_branch_names_a_commit(server):
    assert find_commit("dataset", "some/data", "main") == COMMIT
    assert find_commit("dataset", "some/data", "refs/convert/parquet") == COMMIT
    assert server.paths()[-1].endswith("/revision/refs%2Fconvert%2Fparquet")


def test_a_listing_has_all_pages_with_sizes_and_hashes(server):
    listing = data().listing
    assert set(listing) == set(FILES)
    assert listing["model.safetensors"] == ExpectedFile(len(WEIGHTS), sha256=sha256(WEIGHTS))
    # git hash-object of a file that holds {} without a line feed
    assert listing["a b/tr\xe4in[1].json"] == ExpectedFile(2, git_sha1="9e26dfeeb6e641a33dae4961196235bdb965b21b")
    assert data().card_licence() == "mit, cc0-1.0"


def test_the_listing_of_a_commit_is_kept_with_its_files(server):
    repository = data()
    first = repository.listing
    asked = len(server.requests)
    assert repository.listing == first and len(server.requests) == asked
    repository.download(["README.md"])
    del server.requests[:]
    assert data().listing == first and server.requests == []


def test_a_listing_that_never_ends_is_refused(server, monkeypatch):
    monkeypatch.setattr("crosstune.data.download.hub.MOST_ENTRIES", 50)
    server.add(Repository("datasets", "some/endless", {COMMIT: FILES}, {"main": COMMIT}, endless=True))
    with pytest.raises(UserError, match="the hub lists 50 files and more"):
        _ = Id("dataset", "some/endless", COMMIT).listing


@pytest.mark.parametrize("kept", ["{", "[]", '{"format_version": 2}', '{"format_version": 1, "files": {"a": 1}}'])
def test_a_damaged_listing_in_the_cache_is_requested_again(server, kept):
    data().download(["README.md"])
    (path,) = Path(constants.HF_HUB_CACHE).rglob(f"trees/{COMMIT}.json")
    path.write_text(kept)
    assert set(data().listing) == set(FILES)


def test_files_come_from_the_hub_or_its_storage(server):
    names = ["a b/tr\xe4in[1].json", "model.safetensors"]
    found = data().download(names)
    assert {name: (path.read_bytes(), hashed) for name, (path, hashed) in found.items()} == {
        name: (FILES[name], sha256(FILES[name])) for name in names
    }
    assert not cached("c").exists(), "nothing else is downloaded"
    del server.requests[:]
    assert data().download(names) == found and server.requests == []


def test_a_file_that_other_programs_have_cached_is_not_downloaded(server):
    hf_hub_download("some/data", "model.safetensors", repo_type="dataset", revision=COMMIT)
    server.faults[BLOB] = [404]
    assert data().download(["model.safetensors"])["model.safetensors"][1] == sha256(WEIGHTS)


@pytest.mark.parametrize("fetch", [snapshot_download, hf_hub_download])
def test_what_is_cached_needs_no_network(server, monkeypatch, fetch):
    """Also without a listing: then the name of a blob is its hash."""
    more = {} if fetch is snapshot_download else {"filename": "model.safetensors"}
    fetch("some/data", repo_type="dataset", revision=COMMIT, **more)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    del server.requests[:]
    assert data().listing["model.safetensors"] == ExpectedFile(len(WEIGHTS), sha256=sha256(WEIGHTS))
    path, _ = data().download(["model.safetensors"])["model.safetensors"]
    assert server.requests == [] and data().cached(["model.safetensors"]) and not data().cached(["no such file"])
    path.write_bytes(b"x" * len(WEIGHTS))
    with pytest.raises(UserError, match="not on disk yet, and HF_HUB_OFFLINE"):
        data().download(["model.safetensors"])


def test_without_a_network_nothing_is_requested(server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert data().listing == {}
    with pytest.raises(UserError, match=r"(?s)HF_HUB_OFFLINE.*snakemake --cores 1 downloads"):
        find_commit("dataset", "some/data", "main")
    assert server.requests == []


def test_the_token_reaches_the_hub_and_not_its_storage(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    Id("dataset", "some/gated", COMMIT).download(["model.safetensors"])
    assert {(request.host, "authorization" in headers(request)) for request in server.requests} == {
        ("hub", True),
        ("storage", False),
    }
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"hf_secret" not in kept and b"X-Signature" not in kept


# --- bad moments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [[503, "truncate"], ["truncate"] * 3, ["slow"]])
def test_a_server_that_fails_for_a_while_is_asked_again(server, faults):
    for path, name in ((BLOB, "model.safetensors"), (f"/datasets/some/data/resolve/{COMMIT}/README.md", "README.md")):
        server.faults[path] = list(faults)
        assert data().download([name])[name][1] == sha256(FILES[name])


def test_a_broken_download_goes_on_where_it_broke(server, monkeypatch, caplog):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    server.faults[BLOB] = ["truncate"] * 2
    data().download(["model.safetensors"])
    ranges = [headers(request).get("range", "bytes=0-") for request in server.requests if request.path.startswith(BLOB)]
    starts = [int(span.removeprefix("bytes=").removesuffix("-")) for span in ranges]
    assert starts[0] == 0 < starts[1] < starts[2]
    assert "Trying to resume download" in caplog.text and "X-Signature" not in caplog.text


def test_a_hub_that_fails_for_a_while_is_asked_again(server):
    server.faults[f"/api/datasets/some/data/tree/{COMMIT}"] = [503, 429]
    server.faults[f"HEAD /datasets/some/data/resolve/{COMMIT}/README.md"] = [503, 503]
    assert set(data().listing) == set(FILES)


@pytest.mark.parametrize(
    ("path", "message"),
    [(f"/api/datasets/some/data/tree/{COMMIT}", "HTTP 503"), (BLOB, "HTTP 503")],
)
def test_a_server_that_stays_busy_is_given_up(server, path, message):
    server.faults[path] = [503] * 30
    with pytest.raises(UserError, match=rf"(?s){message}.*again later"):
        data().download(["model.safetensors"])


@pytest.mark.parametrize("fault", ["endless", "large"])
def test_a_server_that_sends_too_much_is_left(server, monkeypatch, fault):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    server.faults[BLOB] = [fault] * 9
    with pytest.raises(UserError, match=f"the server sends more than the {len(WEIGHTS)} bytes of the file"):
        data().download(["model.safetensors"])
    assert not cached("model.safetensors").exists() and left_unfinished() == []


@pytest.mark.parametrize("content", [b"other", b"short", b"", b"a longer file"])
def test_another_file_than_the_hub_lists_is_refused(server, content):
    repository, name = data(), "c/train-00000-of-00002.parquet"
    assert name in repository.listing
    server.repositories[0].commits = {COMMIT: FILES | {name: content}}
    with pytest.raises(UserError, match=r"does not have the hash that the hub lists; it was deleted|sends more than"):
        repository.download([name])
    assert not cached(name).exists()


@pytest.mark.parametrize("name", ["model.safetensors", "a b/tr\xe4in[1].json"])
def test_a_damaged_download_is_refused_and_deleted(server, name):
    server.faults |= {BLOB: ["wrong"], f"/datasets/some/data/resolve/{COMMIT}/{name}": ["wrong"]}
    with pytest.raises(UserError, match="does not have the hash that the hub lists; it was deleted") as caught:
        data().download([name])
    assert caught.value.where == f"some/data at {COMMIT}: {name}"
    assert not cached(name).exists()
    assert data().download([name])[name][1] == sha256(FILES[name]), "the next run downloads it"


def test_a_file_that_was_damaged_in_the_cache_is_replaced(server):
    (path, _) = data().download(["model.safetensors"])["model.safetensors"]
    path.write_bytes(b"x" + WEIGHTS[1:])
    assert data().download(["model.safetensors"])["model.safetensors"][1] == sha256(WEIGHTS)


def test_a_large_download_is_announced_before_it(server, monkeypatch, capsys):
    monkeypatch.setattr(limits, "ANNOUNCED_BYTES", 1_000_000)
    data().download(["model.safetensors"])
    assert "downloading some/data of the hub: 1.0 MB, licence: mit, cc0-1.0\n" in capsys.readouterr().err
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(UserError, match="the disk has 1 B free, and the download needs 5 B"):
        data().download(["c/train-00000-of-00002.parquet"])


def test_a_cache_that_cannot_be_written_is_named(server, monkeypatch):
    """It lies below a file: root may write anywhere else."""
    (Path(constants.HF_HUB_CACHE)).write_text("")
    with pytest.raises(UserError, match=r"(?s)the hub's cache cannot be written.*export HF_HOME="):
        data().download(["model.safetensors"])


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_gated_repository_names_its_terms(server, monkeypatch):
    gated = Id("dataset", "some/gated", COMMIT)
    page = f"{server.url}/datasets/some/gated"
    with pytest.raises(UserError, match=f"(?s)some/gated.*terms.*Accept its terms at {page}, .*export HF_TOKEN="):
        gated.download(["model.safetensors"])
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(UserError, match="with the account of your token") as caught:
        gated.download(["model.safetensors"])
    assert "hf_wrong" not in str(caught.value)


def test_missing_repositories_commits_and_files_are_named(server, monkeypatch):
    with pytest.raises(UserError, match=r"(?s)no such model.*Look it up: .*/no/model"):
        find_commit("model", "no/model", "main")
    with pytest.raises(UserError, match=r"(?s)some/data: the data set has no commit f{40}.*commits/main"):
        Id("dataset", "some/data", "f" * 40).download(["README.md"])
    with pytest.raises(UserError, match="no name of a repository"):
        find_commit("model", "a/b/c", "main")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(UserError, match="no such data set"):
        find_commit("dataset", "no/data", "main")
    server.faults[f"HEAD /datasets/some/data/resolve/{COMMIT}/model.safetensors"] = [404]
    server.headers_of_faults = {"X-Error-Code": "EntryNotFound"}
    with pytest.raises(UserError, match="lists a file and does not have it"):
        data().download(["model.safetensors"])


@pytest.mark.parametrize("status", [401, 403])
def test_a_hub_that_refuses_is_no_traceback(server, status):
    server.faults[f"/api/datasets/some/data/tree/{COMMIT}"] = [status] * 9
    with pytest.raises(UserError, match=rf"not for you \(HTTP {status}"):
        data().download(["README.md"])


def test_a_missing_server_is_named(server, monkeypatch):
    server.close()
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 1)
    with pytest.raises(UserError, match=r"(?s)no connection to http://127.0.0.1.*https_proxy"):
        find_commit("model", "no/model", "main")
    with pytest.raises(UserError, match=r"no connection to http://127.0.0.1"):
        data().download(["README.md"])


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside"])
def test_a_name_that_leaves_the_folder_is_refused(server, tmp_path, name):
    server.repositories[0].commits = {COMMIT: {name: b"x"}}
    with pytest.raises(UserError, match="leaves its folder"):
        data().download([name])
    assert not list(tmp_path.rglob("outside*"))


# --- several processes -----------------------------------------------------------------------------------------------

DOWNLOAD = """
from crosstune.data.download.hub import Repository
print(Repository("dataset", "some/data", {commit!r}).download(["model.safetensors"])["model.safetensors"][1])
"""


def start(server) -> subprocess.Popen:
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "scripts"), "HF_ENDPOINT": server.url,
        "HF_HUB_CACHE": constants.HF_HUB_CACHE, "HOME": str(Path(constants.HF_HUB_CACHE).parent),
    }  # fmt: skip
    command = [sys.executable, "-c", DOWNLOAD.format(commit=COMMIT)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_several_processes_download_a_file_once(server):
    server.faults[BLOB] = ["slow"]
    started = [start(server) for _ in range(3)]
    assert {process.communicate()[0].strip() for process in started} == {sha256(WEIGHTS)}
    assert sum(path.startswith(BLOB) for path in server.paths()) == 1


def test_a_killed_download_leaves_nothing_that_counts_as_complete(server):
    data().download(["c/train-00000-of-00002.parquet"])
    server.faults[BLOB] = ["slow"]
    process = start(server)
    while not left_unfinished() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not cached("model.safetensors").exists() and cached("c/train-00000-of-00002.parquet").exists()
    assert start(server).communicate()[0].strip() == sha256(WEIGHTS)
    assert git_sha1(b"") and cached("model.safetensors").read_bytes() == WEIGHTS


def test_address_and_token_are_those_of_the_library(server, tmp_path):
    """The library reads HF_ENDPOINT when it is imported, and the token from the file that `hf auth login` writes."""
    (tmp_path / "token").write_text("hf_from_file\n")
    code = "from crosstune.data.download.hub import find_commit; print(find_commit('dataset', 'some/data', 'main'))"
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "scripts"), "HF_HOME": str(tmp_path),
        "HF_ENDPOINT": f"{server.url}/",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == COMMIT
    assert headers(server.requests[-1])["authorization"] == "Bearer hf_from_file"
