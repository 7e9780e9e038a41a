"""Downloads of data sets: the files of a source, their manifests, archives, and pinning."""

import hashlib
import io
import re
import shutil
import tarfile
import zipfile
from fnmatch import fnmatchcase

import pyarrow
import pytest
import yaml
from hub_server import Repository, sha256
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from crosstune.core.errors import UserError
from crosstune.core.files import read_json, read_jsonl
from crosstune.data.archives import read_members
from crosstune.data.download.fetch import (
    download_request,
    downloaded_files,
    fetch,
    manifest_path,
    match_names,
    select_files,
)
from crosstune.data.download.pinning import compact_hashes, find_hashes, find_numbers, find_revisions, write_revision
from crosstune.data.prepare import prepare
from crosstune.data.registry import load_registry

COMMIT, OTHER = "0123456789" * 4, "abcdef0123" * 4
EN, NO = "a\tx\nb\ty\n", "c\tz\n"


def table(**columns) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue()


@pytest.fixture
def server(hub):
    """A data set in a hub of this machine."""
    files = {
        "en/train-00000-of-00002.parquet": table(text=["a", "b"]),
        "en/train-00001-of-00002.parquet": table(text=["c"]),
        "no/train-00000-of-00001.parquet": table(text=["d"]),
        "raw/no.tsv": NO.encode(),
    }
    main = {"script.py": b"raise SystemExit"}
    branches = {"main": OTHER, "refs/convert/parquet": COMMIT}
    hub.add(Repository("datasets", "some/data", {COMMIT: files, OTHER: main}, branches))
    return hub


def toy(tmp_path, source, **changes):
    record = {
        "task": "text", "title": "Toy", "source": source, "reader": "pairs", "languages": ["en", "no"],
        "licence": "CC0-1.0", "splits": {"train": {}},
    }  # fmt: skip
    record = {key: value for key, value in (record | changes).items() if value is not None}
    return load_registry(tmp_path, {"toy": record})["toy"]


def rows_of(dataset, lang, raw):
    fetch(download_request(dataset.pinned_source(lang, "train", {})), raw, "CC0-1.0")
    out = raw / f"out.{lang}.jsonl"
    manifest = prepare(dataset, "train", lang, {}, raw, out)
    return read_jsonl(out), manifest


HUB = {"hub": "some/data", "config": "{lang}", "revision": COMMIT}


# ---------------------------------------------------------------------------------------------------------- patterns


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("a/*.json", "a/b.json", True),
        ("a/*.json", "a/b/c.json", False),
        ("**/c.json", "a/b/c.json", True),
        ("a/?.json", "a/b.json", True),
        ("a/?.json", "a/.json", False),
        ("a.json", "abjson", False),
        ("[ab].json", "a.json", False),
        ("data/train-?????-of-*.parquet", "data/train-00000-of-00001-9b0f8a.parquet", True),
        ("data/train-?????-of-*.parquet", "data/train-clean-00000-of-00001.parquet", False),
    ],
)
def test_what_a_pattern_fits(pattern, name, fits):
    assert match_names([name], pattern) == [name] * fits


@given(st.text("ab.*?", max_size=6), st.lists(st.text("ab.", max_size=5)))
def test_within_a_folder_patterns_are_those_of_the_shell(pattern, names):
    assert match_names(names, pattern) == sorted(name for name in names if fnmatchcase(name, pattern))


def test_the_first_pattern_of_a_choice_that_fits_counts():
    names = ["a/1", "a/2", "b/1"]
    assert select_files(names, [["c/*", "a/*", "b/*"]], "here", "") == ["a/1", "a/2"]
    assert select_files(names, [["b/*"], ["*/1"]], "here", "") == ["b/1", "a/1"]
    with pytest.raises(UserError, match=r"(?s)here: no file fits c/\* or d.*There are: a/1, a/2, b/1.*Do this"):
        select_files(names, [["a/*"], ["c/*", "d"]], "here", "Do this")


# --------------------------------------------------------------------------------------------------------------- hub


def test_parquet_files_of_the_hub(server, tmp_path):
    dataset = toy(tmp_path, HUB)
    rows, manifest = rows_of(dataset, "en", tmp_path / "raw")
    assert rows == [{"id": str(number), "text": text} for number, text in enumerate("abc")]
    files = server.repositories[0].commits[COMMIT]
    expected = [
        {"hub": "some/data", "revision": COMMIT, "file": name, "sha256": sha256(files[name])}
        for name in ("en/train-00000-of-00002.parquet", "en/train-00001-of-00002.parquet")
    ]
    assert manifest["sources"] == expected
    written = read_json(tmp_path / "raw" / manifest_path(download_request(dataset.pinned_source("en", "train", {}))))
    assert [entry["size"] for entry in written["files"]] == [len(files[entry["name"]]) for entry in written["files"]]


def test_files_of_the_hub_in_other_formats(server, tmp_path):
    dataset = toy(tmp_path, {"hub": "some/data", "revision": COMMIT, "files": "raw/{lang}.tsv"}, languages=["no"])
    assert rows_of(dataset, "no", tmp_path)[0] == [{"id": "no:1", "text": "c", "pair": "z"}]


def test_archives_of_the_hub_are_read_whole(server, tmp_path):
    packed = tarred({"b.tsv": b"e\tv\n", "a.tsv": b"d\tw\n"}, "w:gz")
    files = {"no.tsv": NO.encode(), "more.tar.gz": packed}
    server.add(Repository("datasets", "some/packed", {COMMIT: files}))
    source = {"hub": "some/packed", "revision": COMMIT, "files": ["{lang}.tsv", "more.tar.gz"]}
    rows, manifest = rows_of(toy(tmp_path, source, languages=["no"]), "no", tmp_path)
    assert [row["text"] for row in rows] == ["c", "d", "e"], "in the order of the record's files and their names"
    assert [entry["file"] for entry in manifest["sources"]] == ["no.tsv", "more.tar.gz"]


CARD = b"""---
license: mit
configs:
- config_name: english
  data_files: [{split: train, path: "raw/*.csv"}]
  sep: ";"
dataset_info:
- config_name: english
  features:
  - {name: text, dtype: string}
  - name: label
    dtype: {class_label: {names: {"0": "good", "1": "bad"}}}
---
"""


def test_a_card_says_where_a_configuration_lies_and_how_it_is_read(server, tmp_path):
    files = {"README.md": CARD, "raw/a.csv": b"text;label\none;bad\n", "raw/b.csv": b"text;label\ntwo;good\n"}
    server.add(Repository("datasets", "some/carded", {COMMIT: files}, {"main": COMMIT}))
    source = {"hub": "some/carded", "revision": COMMIT, "config": "english"}
    record = {"task": "classification", "labels": ["good", "bad"], "reader": None, "languages": ["en"]}
    rows, manifest = rows_of(toy(tmp_path, source, **record), "en", tmp_path / "raw")
    assert [(row["text"], row["label"]) for row in rows] == [("one", "bad"), ("two", "good")]
    assert [source["file"] for source in manifest["sources"]] == ["raw/a.csv", "raw/b.csv"]
    assert find_revisions(toy(tmp_path, source | {"revision": None}, **record)) == {"some/carded": COMMIT}
    with pytest.raises(UserError, match=rf"some/carded at {COMMIT}: `datasets` does not find french"):
        rows_of(toy(tmp_path, source | {"config": "french"}, **record), "en", tmp_path / "raw")


def test_downloads_outlive_the_cache(server, tmp_path):
    dataset = toy(tmp_path, HUB)
    fetch(download_request(dataset.pinned_source("en", "train", {})), tmp_path / "raw", "")
    shutil.rmtree(tmp_path / "cache")
    prepare(dataset, "train", "en", {}, tmp_path / "raw", tmp_path / "out.jsonl")
    assert not [path for path in (tmp_path / "raw").rglob("*") if path.is_symlink()]


def test_a_fetched_file_is_not_fetched_by_another_job(server, tmp_path):
    first = toy(tmp_path, {"hub": "some/data", "revision": COMMIT, "files": ["raw/no.tsv"]}, languages=["no"])
    both = toy(tmp_path, {"hub": "some/data", "revision": COMMIT, "files": ["raw/*.tsv", "en/*.parquet"]})
    fetch(download_request(first.pinned_source("no", "train", {})), tmp_path, "")
    del server.requests[:]
    fetch(download_request(both.pinned_source("no", "train", {})), tmp_path, "")
    assert {path.rpartition("/")[2].partition("?")[0] for path in server.paths()} == {
        sha256(server.repositories[0].commits[COMMIT]["en/train-00000-of-00002.parquet"]),
        sha256(server.repositories[0].commits[COMMIT]["en/train-00001-of-00002.parquet"]),
    }  # fmt: skip


def test_fetching_again_needs_no_network(server, tmp_path):
    dataset = toy(tmp_path, HUB)
    request = download_request(dataset.pinned_source("en", "train", {}))
    fetch(request, tmp_path, "")
    manifest = tmp_path / manifest_path(request)
    before = manifest.read_bytes()
    manifest.unlink()
    server.repositories.clear()
    fetch(request, tmp_path, "")
    assert manifest.read_bytes() == before


def test_a_missing_configuration_lists_the_files(server, tmp_path):
    dataset = toy(tmp_path, HUB | {"config": "fr"})
    with pytest.raises(UserError, match=r"(?s)no file fits fr/train.*There are: en/train-00000.*refs/convert/parquet"):
        fetch(download_request(dataset.pinned_source("en", "train", {})), tmp_path, "")


def test_missing_and_changed_downloads_are_refused(server, tmp_path):
    source = toy(tmp_path, HUB).pinned_source("no", "train", {})
    with pytest.raises(UserError, match=r"(?s)not been downloaded yet.*snakemake --cores 1 downloads"):
        downloaded_files(source, tmp_path)
    fetch(download_request(source), tmp_path, "")
    ((entry,), _) = downloaded_files(source, tmp_path)
    entry["place"].write_bytes(b"changed")
    with pytest.raises(UserError, match=r"(?s)no longer what was downloaded.*rm -f .*parquet .*json"):
        downloaded_files(source, tmp_path)


def test_languages_that_share_files_share_a_request(tmp_path):
    dataset = toy(tmp_path, HUB | {"config": "all", "id_prefix": "{lang}-"})
    requests = [download_request(dataset.pinned_source(lang, "train", {})) for lang in ("en", "no")]
    assert requests[0] == requests[1]
    other = download_request(toy(tmp_path, HUB).pinned_source("en", "train", {}))
    assert manifest_path(other) != manifest_path(requests[0])
    assert re.fullmatch(rf"hub/datasets--some--data@{COMMIT}/en-train-.*-[0-9a-f]{{8}}\.json", manifest_path(other))


# --------------------------------------------------------------------------------------------------------- addresses


def test_files_at_addresses(server, tmp_path):
    server.files |= {"/here/en.tsv": EN.encode(), "/here/no.tsv": NO.encode()}
    hashes = {"en": sha256(EN.encode()), "no": sha256(NO.encode())}
    source = {"url": f"{server.url}/here/{{lang}}.tsv"}
    dataset = toy(tmp_path, source, splits={"train": {"sha256": hashes}})
    rows, manifest = rows_of(dataset, "no", tmp_path)
    assert rows == [{"id": "no:1", "text": "c", "pair": "z"}]
    assert manifest["sources"] == [{"url": f"{server.url}/here/no.tsv", "sha256": hashes["no"]}]


def test_a_token_never_goes_to_an_address_of_a_record(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    server.files["/en.tsv"] = EN.encode()
    source = {"url": f"{server.url}/en.tsv"}  # even the hub's own: a record of an address is no record of the hub
    rows_of(toy(tmp_path, source, splits={"train": {"sha256": sha256(EN.encode())}}), "en", tmp_path)
    assert server.requests and not any("Authorization" in request.headers for request in server.requests)


def test_changed_and_missing_files_at_addresses_are_refused(server, tmp_path):
    server.files["/en.tsv"] = EN.encode()
    for path, message in (("en.tsv", "expected 0{64}, found"), ("gone.tsv", "HTTP 404")):
        dataset = toy(tmp_path, {"url": f"{server.url}/{path}"}, splits={"train": {"sha256": "0" * 64}})
        with pytest.raises(UserError, match=message):
            fetch(download_request(dataset.pinned_source("en", "train", {})), tmp_path, "")
    assert not [path for path in tmp_path.rglob("*.tsv*") if path.is_file()]


def test_a_table_at_an_address_needs_no_reader(server, tmp_path):
    server.files["/x.csv"] = content = b"id,text\na-1,one\nb-1,two\n"
    source = {"url": f"{server.url}/x.csv"}
    dataset = toy(tmp_path, source, reader=None, splits={"train": {"sha256": sha256(content)}})
    assert rows_of(dataset, "en", tmp_path)[0] == [{"id": "a-1", "text": "one"}, {"id": "b-1", "text": "two"}]


def test_a_folder_that_datasets_saved(tmp_path):
    from datasets import Dataset, DatasetDict

    parts = {"dev": Dataset.from_dict({"text": ["one", "two"], "id": ["en-1", "no-1"]})}
    DatasetDict(parts).save_to_disk(tmp_path / "saved")
    source = {"folder": "{mine}/saved", "split": "dev", "id_prefix": "{lang}-"}
    dataset = toy(tmp_path, source, reader=None)
    manifest = prepare(dataset, "train", "no", {"mine": tmp_path}, tmp_path, tmp_path / "out.jsonl")
    assert [row["text"] for row in read_jsonl(tmp_path / "out.jsonl")] == ["two"]
    (arrow,) = (tmp_path / "saved/dev").glob("*.arrow")
    expected = {"file": f"{{mine}}/saved/dev/{arrow.name}", "sha256": sha256(arrow.read_bytes())}
    assert manifest["sources"] == [expected]
    assert find_numbers(dataset, {"mine": tmp_path}, tmp_path)["train"]["rows"] == {"en": 1, "no": 1}


def zipped(files: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return sink.getvalue()


def tarred(files: dict[str, bytes | tarfile.TarInfo], mode: str = "w") -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode) as archive:
        for name, content in files.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            data = b"" if isinstance(content, tarfile.TarInfo) else content
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


@pytest.mark.parametrize(("ending", "pack"), [
    ("zip", zipped), ("tar", tarred), ("tar.gz", lambda files: tarred(files, "w:gz")),
    ("tgz", lambda files: tarred(files, "w:gz")), ("tar.xz", lambda files: tarred(files, "w:xz")),
])  # fmt: skip
def test_files_in_archives(server, tmp_path, ending, pack):
    content = pack({"top/en.tsv": EN.encode(), "top/more/no.tsv": NO.encode(), "top/code.py": b"raise SystemExit"})
    server.files[f"/all.{ending}"] = content
    source = {"url": f"{server.url}/all.{ending}", "member": "**/{lang}.tsv"}
    dataset = toy(tmp_path, source, splits={"train": {"sha256": sha256(content)}})
    assert [row["id"] for row in rows_of(dataset, "en", tmp_path)[0]] == ["en:1", "en:2"]
    rows, manifest = rows_of(dataset, "no", tmp_path)
    assert [row["id"] for row in rows] == ["no:1"]
    assert manifest["sources"][0]["members"] == ["**/no.tsv"]
    assert server.paths().count(f"/all.{ending}") == 1
    assert not list(tmp_path.rglob("code.py"))


def link(kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("name", ["../en.tsv", "/en.tsv", "a/../../en.tsv", "..\\en.tsv"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_with_a_name_outside_its_folder_is_refused(tmp_path, name, pack):
    path = tmp_path / f"x.{'zip' if pack is zipped else 'tar'}"
    path.write_bytes(pack({"good.tsv": b"a\tb\n", name: b"a\tb\n"}))
    with pytest.raises(UserError, match="leaves its folder"):
        read_members(path, lambda names: ["good.tsv"])


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_no_members(tmp_path, kind):
    path = tmp_path / "x.tar"
    path.write_bytes(tarred({"good.tsv": b"g", "en.tsv": link(kind, "/etc/passwd")}))
    seen = []
    assert read_members(path, lambda names: seen.extend(names) or names) == [("good.tsv", b"g")]
    assert seen == ["good.tsv"]


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.xz"])
def test_a_damaged_archive_is_refused(tmp_path, ending):
    pack = zipped if ending == "zip" else lambda files: tarred(files, f"w:{ending[4:]}")
    for content in (b"no archive at all", pack({"a.txt": bytes(range(256)) * 99})[:200]):
        (tmp_path / f"x.{ending}").write_bytes(content)
        with pytest.raises(UserError, match="the archive is damaged"):
            read_members(tmp_path / f"x.{ending}", lambda names: names)


def test_a_link_in_a_zip_is_read_as_text(tmp_path):
    info = zipfile.ZipInfo("en.tsv")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert read_members(tmp_path / "x.zip", lambda names: names) == [("en.tsv", b"/etc/passwd")]


# ----------------------------------------------------------------------------------------------------------- pinning

REGISTRY = """\
# Comments stay.
other: {task: text, title: O, licence: mine, source: {hub: some/data, config: en, revision: null}, languages: [en],
  splits: {train: {}}}
toy:  # here too
  task: text
  title: Toy
  source: {hub: some/data, config: "{lang}", revision: null}   # not yet
  languages: [en, no]
  licence: mine
  splits:
    train: {}
    test:
      source:
        hub: other/data
        revision: ~
  notes: "revision: null"
"""


def test_only_the_record_s_revision_is_written(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(REGISTRY)
    assert write_revision(path, "toy", "some/data", COMMIT)
    source = '  source: {hub: some/data, config: "{lang}", revision: '
    assert path.read_text() == REGISTRY.replace(f"{source}null", f'{source}"{COMMIT}"')
    assert write_revision(path, "toy", "other/data", OTHER)
    assert f'        revision: "{OTHER}"\n' in path.read_text()
    assert not write_revision(path, "toy", "some/data", OTHER), "it is pinned now"
    write_revision(path, "other", "some/data", "1" * 40)
    assert yaml.safe_load(path.read_text())["other"]["source"]["revision"] == "1" * 40


def test_the_branch_that_has_the_files_is_found(server, tmp_path):
    """The main branch has a loading script only."""
    dataset = toy(tmp_path, HUB | {"revision": None})
    assert find_revisions(dataset) == {"some/data": COMMIT}
    dataset = toy(tmp_path, HUB | {"revision": None, "config": "fr"})
    with pytest.raises(UserError, match=r"(?s)branch main: `datasets` does not find fr.*no file fits fr/train"):
        find_revisions(dataset)


def test_hashes_of_addresses_and_then_numbers(server, tmp_path):
    server.files |= {"/en.tsv": EN.encode(), "/no.tsv": NO.encode()}
    source = {"url": f"{server.url}/{{lang}}.tsv"}
    hashes = {"train": {"sha256": {"en": sha256(EN.encode()), "no": sha256(NO.encode())}}}
    assert find_hashes(toy(tmp_path, source), tmp_path) == hashes
    dataset = toy(tmp_path, source, splits=hashes)
    assert find_hashes(dataset, tmp_path) == {}
    del server.requests[:]
    assert find_numbers(dataset, {}, tmp_path) == {"train": {"rows": {"en": 2, "no": 1}, **hashes["train"]}}
    assert server.requests == [], "what was loaded for its hash is kept"


def test_numbers_of_a_pinned_data_set_of_the_hub(server, tmp_path):
    assert find_numbers(toy(tmp_path, HUB), {}, tmp_path) == {"train": {"rows": {"en": 3, "no": 1}}}


def test_hashes_shared_by_all_languages_are_stated_once():
    one, two = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()
    assert compact_hashes({"en": [one], "no": [one]}) == one
    assert compact_hashes({"en": [one, two], "no": [one, two]}) == [one, two]
    assert compact_hashes({"en": [one], "no": [two]}) == {"en": one, "no": two}
    assert compact_hashes({"en": [one]}) == {"en": one}
