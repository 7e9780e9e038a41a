"""The hub's protocol, with a server that implements it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import Repository, sha256

from crosstune.core.errors import UserError
from crosstune.data.download import hub as hub_module
from crosstune.data.download.http import Client, ExpectedFile, RetryPolicy
from crosstune.data.download.hub import Hub
from crosstune.data.download.hub import Repository as Id

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789" * 4
FILES = {
    "README.md": b"---\nlicense: cc0-1.0\n---\n",
    "a b/tr\xe4in.json": b"{}",
    "c/train-00000-of-00002.parquet": b"first",
    "c/train-00001-of-00002.parquet": b"second",
    "model.safetensors": b"weights",
}
DATA = Id("datasets", "some/data")


@pytest.fixture
def server(hub_server):
    hub_server.add(
        Repository("datasets", "some/data", {COMMIT: FILES}, {"main": COMMIT, "refs/convert/parquet": COMMIT}),
        Repository("datasets", "some/gated", {COMMIT: FILES}, {"main": COMMIT}, gated=True),
    )
    return hub_server


def hub_at(server, token: str | None = None, **options) -> Hub:
    return Hub(Client(server.url, token, RetryPolicy(3, 0.01, 0.02), **options), server.url)


def test_a_branch_names_a_commit(server):
    assert hub_at(server).commit(DATA, "main") == COMMIT
    assert hub_at(server).commit(DATA, "refs/convert/parquet") == COMMIT
    assert server.paths()[-1].endswith("/revision/refs%2Fconvert%2Fparquet")


def test_a_listing_has_all_pages_with_sizes_and_hashes(server, tmp_path):
    listing = hub_at(server).listing(DATA, COMMIT, tmp_path)
    assert listing.licence == "cc0-1.0" and set(listing.files) == set(FILES)
    assert listing.files["model.safetensors"] == ExpectedFile(7, sha256=sha256(b"weights"))
    # git hash-object of a file that holds {} without a line feed
    assert listing.files["a b/tr\xe4in.json"] == ExpectedFile(2, git_sha1="9e26dfeeb6e641a33dae4961196235bdb965b21b")


def test_the_listing_of_a_commit_is_requested_once(server, tmp_path):
    first = hub_at(server).listing(DATA, COMMIT, tmp_path)
    assert hub_at(server, offline=True).listing(DATA, COMMIT, tmp_path) == first


def test_files_come_from_the_hub_or_its_storage(server, tmp_path):
    names = ["a b/tr\xe4in.json", "model.safetensors"]
    hashes = hub_at(server).download(DATA, COMMIT, names, tmp_path)
    assert hashes == {name: sha256(FILES[name]) for name in names}
    assert [(tmp_path / "files" / name).read_bytes() for name in names] == [FILES[name] for name in names]
    assert server.requests[-1].host == "storage"


def test_the_token_reaches_the_hub_and_not_its_storage(server, tmp_path):
    hub_at(server, "hf_secret").download(Id("datasets", "some/gated"), COMMIT, ["model.safetensors"], tmp_path)
    assert {(request.host, "Authorization" in request.headers) for request in server.requests} == {
        ("hub", True),
        ("storage", False),
    }
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert "hf_secret" not in kept and "X-Signature" not in kept


def test_a_damaged_download_is_a_user_error(server, tmp_path):
    server.faults[f"/blob/{sha256(b'weights')}"] = ["wrong"]
    with pytest.raises(UserError, match="another SHA-256: expected") as caught:
        hub_at(server).download(DATA, COMMIT, ["model.safetensors"], tmp_path)
    assert caught.value.where == f"{server.url}/datasets/some/data/resolve/{COMMIT}/model.safetensors"
    server.faults[f"/datasets/some/data/resolve/{COMMIT}/README.md"] = ["wrong"]
    with pytest.raises(UserError, match="another git hash"):
        hub_at(server).download(DATA, COMMIT, ["README.md"], tmp_path)


@pytest.mark.parametrize("path", ["/blob/" + sha256(b"weights"), f"/datasets/some/data/resolve/{COMMIT}/README.md"])
def test_a_storage_that_fails_for_a_while_is_retried(server, tmp_path, path):
    server.faults[path] = [503, "truncate"]
    name = "model.safetensors" if "blob" in path else "README.md"
    assert hub_at(server).download(DATA, COMMIT, [name], tmp_path) == {name: sha256(FILES[name])}


# -------------------------------------------------------------------------------------------------------- refusals


def test_a_gated_repository_names_its_terms(server, tmp_path):
    gated = Id("datasets", "some/gated")
    page = f"{server.url}/datasets/some/gated"
    with pytest.raises(UserError, match=f"(?s)some/gated.*terms.*Accept its terms at {page}.*export HF_TOKEN="):
        hub_at(server).download(gated, COMMIT, ["model.safetensors"], tmp_path)
    with pytest.raises(UserError, match="with the account of your token") as caught:
        hub_at(server, "hf_wrong").download(gated, COMMIT, ["model.safetensors"], tmp_path)
    assert "hf_wrong" not in str(caught.value)


def test_missing_repositories_commits_and_files_are_named(server, tmp_path):
    hub = hub_at(server)
    with pytest.raises(UserError, match=r"(?s)no such model.*Look it up: .*/no/model"):
        hub.commit(Id("models", "no/model"), "main")
    with pytest.raises(UserError, match="no such data set"):
        hub_at(server, "hf_secret").commit(Id("datasets", "no/data"), "main")
    with pytest.raises(UserError, match=r"(?s)some/data: the data set has no commit f{40}.*commits/main"):
        hub.listing(DATA, "f" * 40, tmp_path)
    hub.listing(DATA, COMMIT, tmp_path)
    server.repositories[0].commits = {COMMIT: {}}
    with pytest.raises(UserError, match="lists this file and does not have it"):
        hub.download(DATA, COMMIT, ["README.md"], tmp_path)


def test_a_hub_that_stays_busy_is_given_up(server, tmp_path):
    server.faults[f"/api/datasets/some/data/revision/{COMMIT}"] = [503] * 9
    with pytest.raises(UserError, match=r"(?s)HTTP 503.*again later"):
        hub_at(server).listing(DATA, COMMIT, tmp_path)


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside"])
def test_a_name_that_leaves_the_folder_is_refused(server, tmp_path, name):
    server.repositories[0].commits = {COMMIT: {name: b"x"}}
    with pytest.raises(UserError, match="leaves its folder"):
        hub_at(server).download(DATA, COMMIT, [name], tmp_path / "in")
    assert not list(tmp_path.rglob("outside*"))


# ----------------------------------------------------------------------------------------------------- environment


def test_address_and_token_are_those_of_the_hub_s_library(tmp_path):
    (tmp_path / "token").write_text("hf_from_file\n")
    code = "import json; from crosstune.data.download.hub import Hub; hub = Hub.from_environment()\n"
    code += "print(json.dumps([hub.endpoint, hub.client.home, hub.client.token, hub.client.offline]))"
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "scripts"), "HF_HOME": str(tmp_path)}

    def found(**environment):
        command = [sys.executable, "-c", code]
        return json.loads(subprocess.run(command, env=base | environment, capture_output=True, check=True).stdout)

    home = "https://huggingface.co"
    assert found() == [home, home, "hf_from_file", False]
    mirror = {"HF_ENDPOINT": "http://127.0.0.1:1/", "HF_TOKEN": "hf_other", "HF_HUB_OFFLINE": "1"}
    assert found(**mirror) == ["http://127.0.0.1:1"] * 2 + ["hf_other", True]


def test_the_licence_is_that_of_the_card():
    assert hub_module.card_licence({"cardData": {"license": ["mit", "cc0-1.0"]}}) == "mit, cc0-1.0"
    assert hub_module.card_licence({"cardData": None}) == "not stated"
