"""A study whose model and data come from a hub, through the real rules; the hub is a server on this machine."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import pyarrow
import pytest
import yaml
from hub_server import Repository, sha256
from pyarrow import parquet
from safetensors.numpy import load_file

MODEL, DATA, SCRIPT = (sha256(name)[:40] for name in (b"model", b"data", b"script"))
TOKEN = "hf_a_secret_that_must_not_be_anywhere"
CONTEXT = "the cat sat on the mat and the dog saw the red house"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "sat", "?", *sorted(set(CONTEXT.split()) - {"sat"})]


def questions(prefix: str, count: int) -> list[dict]:
    answers = {"text": ["cat"], "answer_start": [4]}
    return [
        {"id": f"{prefix}{number}", "context": CONTEXT, "question": "who sat ?", "answers": answers}
        for number in range(count)
    ]


def table(rows: list[dict]) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue()


def squad(rows: list[dict]) -> bytes:
    answers = [{"text": "cat", "answer_start": 4}]
    paragraphs = [
        {"context": row["context"], "qas": [{"id": row["id"], "question": row["question"], "answers": answers}]}
        for row in rows
    ]
    return json.dumps({"data": [{"paragraphs": paragraphs}]}).encode()


def zipped(name: str, content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, content)
    return sink.getvalue()


@pytest.fixture(scope="module")
def model_files(tmp_path_factory) -> dict[str, dict[str, bytes]]:
    """A tiny BERT as it would be published: with safetensors, and as it was in older days."""
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertForMaskedLM(BertConfig(vocab_size=len(WORDS), max_position_embeddings=96, **size))
    model.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "modeling_bert.py").write_text("raise SystemExit('foreign code was run')")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {
        "new": {name: content for name, content in files.items() if name != "pytorch_model.bin"},
        "old": {name: content for name, content in files.items() if name != "model.safetensors"},
    }


@pytest.fixture
def server(hub_server, model_files, tmp_path, monkeypatch):
    """The hub with two models and two data sets: one with a configuration per language, one in a single file."""
    files = {f"{lang}/train-00000-of-00001.parquet": table(questions(lang, 6)) for lang in ("en", "es")}
    both = {"data/validation-00000-of-00001.parquet": table(questions("english-", 2) + questions("spanish-", 3))}
    hub_server.token = TOKEN
    hub_server.add(
        Repository("models", "some/bert", {MODEL: model_files["new"]}, {"main": MODEL}, gated=True),
        Repository("models", "some/old-bert", {MODEL: model_files["old"]}, {"v1": MODEL}),
        Repository(
            "datasets", "some/questions", {DATA: files, SCRIPT: {"questions.py": b"raise SystemExit"}},
            {"main": SCRIPT, "refs/convert/parquet": DATA},
        ),
        Repository("datasets", "some/both", {DATA: both}, {"main": DATA}),
    )  # fmt: skip
    hub_server.files["/at/commit/all.zip"] = zipped("folder/fr.json", squad(questions("french-", 2)))
    for key, value in {"HF_ENDPOINT": hub_server.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(key, value)
    return hub_server


REGISTRY = """\
# A comment that stays.
questions:
  task: qa
  title: A configuration per language
  source: {hub: some/questions, config: "{lang}", revision: null}  # to be pinned
  languages: [en, es]
  licence: CC0-1.0
  splits: {train: {}}
both:
  task: qa
  title: All languages in one file
  source: {hub: some/both, split: validation, id_prefix: "{code}-", revision: null}
  languages: [en, es]
  codes: {en: english, es: spanish}
  licence: CC0-1.0
  splits: {test: {rows: {en: 2, es: 3}}}
archive:
  task: qa
  title: An archive at an address
  source: {url: "URL/at/commit/all.zip", member: "*/{lang}.json"}
  reader: squad
  languages: [fr]
  licence: CC0-1.0
  splits: {test: {sha256: SHA256}}
"""


@pytest.fixture
def project(new_project, server) -> Path:
    folder = new_project("network")
    archive = server.files["/at/commit/all.zip"]
    record = REGISTRY.replace("URL", server.url).replace("SHA256", sha256(archive))
    (folder / "registry/own.yaml").write_text(record)
    study = {
        "study": "net", "seeds": [1], "allow_leakage": ["questions > both", "questions > archive"],
        "models": {"bert": {"hub": "some/bert"}, "old-bert": {"hub": "some/old-bert", "revision": "v1"}},
        "tracks": {"qa": {
            "sources": "questions", "budget": {"updates": 2, "tokens": 256}, "recipe": {"lr": 1e-3},
            "encoding": {"max_length": 64, "stride": 16, "max_question_length": 16},
            "schedules": {"joint": ["en + es"]},
            "evaluate": {"both": "all", "archive": "all"},
        }},
    }  # fmt: skip
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return folder


def pin_models(folder: Path) -> None:
    """Write the commit of the study's models, as `pin` prints it."""
    config = yaml.safe_load((folder / "study.yaml").read_text())
    for model in config["models"].values():
        model["revision"] = MODEL
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def written(folder: Path) -> dict[str, str]:
    """Every text that a run left, logs and Snakemake's own files too."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".safetensors", ".parquet"))
    return {str(path.relative_to(folder)): path.read_bytes().decode("utf-8", "replace") for path in files}


def test_a_study_from_the_network(project, server, snakemake, monkeypatch, jobs, tmp_path):
    study = ("--cores", "2", "--configfile", "study.yaml")

    # Nothing is pinned: said before any job; then `pin` writes the commits into the registry, and prints the models'.
    done = snakemake(project, *study, check=False)
    assert done.returncode and "not pinned to a version: both, questions, models.bert (main), models.old-bert (v1)" in (
        done.stdout
    )
    assert "snakemake --cores 1 pin" in done.stdout and server.requests == []
    before = (project / "registry/own.yaml").read_text()
    outputs = [snakemake(project, "pin", *study).stdout]
    assert (project / "registry/own.yaml").read_text() == before.replace("null}", f'"{DATA}"}}')
    printed = outputs[0]
    assert printed.count(f'  revision: "{MODEL}"\n') == 2 and "models.old-bert: paste it into the study" in printed
    pin_models(project)

    # Without a network the run stops before any job.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = snakemake(project, *study, check=False)
    assert done.returncode and "6 downloads" in done.stdout and "snakemake --cores 1 downloads" in done.stdout

    # With one, everything is fetched by jobs of its own, from servers that have their bad moments.
    monkeypatch.delenv("HF_HUB_OFFLINE")
    blob = sha256(server.repositories[2].commits[DATA]["en/train-00000-of-00001.parquet"])
    server.faults |= {f"/blob/{blob}": ["truncate", 503], f"/api/datasets/some/both/tree/{DATA}": [503]}
    server.faults["/at/commit/all.zip"] = ["truncate", 503]
    outputs.append(snakemake(project, "downloads", *study).stdout)
    found = jobs(outputs[-1])
    assert found == {"downloads": 1, "fetch": 4, "fetch_model": 2}, "the single file is fetched for both languages"
    assert all(words in outputs[-1] for words in ("Trying to resume download", "next try in", "trying again"))
    left = {path.suffix for path in (project / "data/raw").rglob("*") if path.is_file()}
    assert left == {".parquet", ".zip", ".json"}, "no temporary file"

    # From here on neither network nor cache is needed.
    shutil.rmtree(tmp_path / "home")
    asked = len(server.requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    scores = [f"results/net/bert/seed1/qa/questions.en+es@2/scores/{name}.json" for name in ("both", "archive")]
    outputs.append(snakemake(project, *scores, *study).stdout)
    assert len(server.requests) == asked
    assert [set(json.loads((project / path).read_text())["languages"]) for path in scores] == [{"en", "es"}, {"fr"}]
    rows = {lang: json.loads((project / f"data/both/test.{lang}.json").read_text()) for lang in ("en", "es")}
    assert [rows["en"]["rows"], rows["es"]["rows"]] == [2, 3] and rows["en"]["sources"] == rows["es"]["sources"]

    # The token went to the hub alone, and is written nowhere.
    sent = {
        (request.host, request.path.startswith("/at/"))
        for request in server.requests
        if "authorization" in map(str.lower, request.headers)
    }
    assert sent == {("hub", False)}
    texts = written(project) | {f"output {number}": text for number, text in enumerate(outputs)}
    assert [name for name, text in texts.items() if TOKEN in text] == []
    assert not list(project.rglob("modeling_bert.py"))

    # Old weights, which are pickled, give the same model.
    new, old = (
        load_file(project / f"models/some--{name}@{MODEL}/model/model.safetensors") for name in ("bert", "old-bert")
    )
    assert set(new) <= set(old) and all((new[name] == old[name]).all() for name in new)


def test_refusals_of_the_network_are_one_message(project, server, snakemake, monkeypatch):
    """The jobs that fail say why and what to do, in their own log too, and leave nothing half made."""
    config = yaml.safe_load((project / "study.yaml").read_text())
    del config["models"]["old-bert"]
    (project / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    pin_models(project)
    pinned = (project / "registry/own.yaml").read_text().replace("null}", f'"{DATA}"}}')
    (project / "registry/own.yaml").write_text(pinned)
    monkeypatch.setenv("HF_TOKEN", "hf_of_someone_else")
    blob = sha256(server.repositories[3].commits[DATA]["data/validation-00000-of-00001.parquet"])
    server.faults |= {f"/blob/{blob}": ["wrong"], f"/api/datasets/some/questions/tree/{DATA}": [404] * 9}
    del server.files["/at/commit/all.zip"]
    done = snakemake(project, "downloads", "--keep-going", "--cores", "2", "--configfile", "study.yaml", check=False)
    assert done.returncode and "Traceback" not in done.stdout and "hf_of_someone_else" not in done.stdout
    for message in (
        "some/bert: the hub wants its terms accepted first",
        f"some/both at {DATA}: data/validation-00000-of-00001.parquet: the download does not have the hash",
        "some/questions: the hub has no such data set, or not for you (HTTP 404",
        f"{server.url}/at/commit/all.zip: cannot be downloaded (HTTP 404",
    ):
        assert message in done.stdout, message
    logs = [path.read_text() for path in (project / "logs/fetch").rglob("*.log")]
    assert len(logs) == 5 and all(log.startswith("error: ") for log in logs)
    assert not list((project / "models").rglob("stage.json"))
    left = {path.name for path in (project / "data/raw").rglob("*") if path.is_file()}
    assert left == set(), "nothing is left half made"
