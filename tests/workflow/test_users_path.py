"""A user's path: a model in a folder, own questions and treebanks, a language new to the registry, a pilot first."""

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

STUDY = """\
study: mine
seeds: [1, 2]
folders: {mine: ../mine}
models:
  own: {folder: ../mine/encoder}
languages:
  luo: {name: Luo, family: Nilo-Saharan, script: Latn, resource: low}
datasets:
  questions:
    task: qa
    title: Our questions
    licence: ours
    reader: squad
    languages: [en, sw, luo]
    source: {files: "{mine}/qa/{lang}.{split}.json"}
    splits: {train: {}, test: {}}
  words:
    task: tagging
    title: Our treebanks
    licence: ours
    reader: conllu
    languages: [en, sw, luo]
    source: {files: "{mine}/pos/{lang}.{split}.conllu"}
    splits: {train: {}, test: {}}
tracks:
  qa:
    sources: questions
    budget: {updates: 12, tokens: 256}
    recipe: {lr: 1e-3}
    encoding: {max_length: 64, stride: 32, max_question_length: 16}
    schedules:
      joint: [en + sw]
      sequential: [en, sw]
      few: [{train: en + sw, updates: 8}, {train: luo, sample: [0, 10, 100]}]
    evaluate: {questions: all}
  pos:
    sources: words
    budget: {updates: 12, tokens: 256}
    recipe: {lr: 1e-3}
    encoding: {max_length: 64}
    schedules:
      joint: [en + sw]
      sequential: [en, sw]
      few: [{train: en + sw, updates: 8}, {train: luo, sample: [0, 10, 100]}]
    evaluate: {words: all}
"""

SIZES = {"train": 110, "test": 12}


def write_questions(path: Path, draw: random.Random, number: int) -> None:
    paragraphs = []
    for n in range(number):
        words = ["".join(draw.choices("abdegiklmnorstu", k=6)) for _ in range(9)]
        context, answer = " ".join(words), draw.choice(words[2:])
        answers = [{"text": answer, "answer_start": context.index(answer)}]
        question = {"id": f"{path.stem}-{n}", "question": f"{words[0]} {words[1]}?", "answers": answers}
        paragraphs.append({"context": context, "qas": [question]})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"data": [{"title": path.stem, "paragraphs": paragraphs}]}))


def write_treebank(path: Path, draw: random.Random, number: int) -> None:
    tags = ("NOUN", "VERB", "ADJ", "DET")
    lines = []
    for _ in range(number):
        for place in range(1, 8):
            word, tag = "".join(draw.choices("abdegiklmnorstu", k=5)), draw.choice(tags)
            lines.append("\t".join([str(place), word, word, tag, "_", "_", str(place - 1), "dep", "_", "_"]))
        lines.append("")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def mine(new_project) -> Path:
    """A clone of the project with the user's files beside it."""
    folder = new_project("users-path")
    shutil.copy(ROOT / ".gitignore", folder)
    for command in (("init", "-q"), ("add", "-A"), ("-c", "user.name=u", "-c", "user.email=u@x", "commit", "-qm", "x")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    draw = random.Random(1)
    for language in ("en", "sw", "luo"):
        for split, number in SIZES.items():
            write_questions(folder.parent / f"mine/qa/{language}.{split}.json", draw, number)
            write_treebank(folder.parent / f"mine/pos/{language}.{split}.conllu", draw, number)
    write_encoder(folder.parent / "mine")
    (folder.parent / "mine/study.yaml").write_text(STUDY)
    return folder


def write_encoder(mine: Path) -> None:
    from transformers import BertConfig, BertModel

    from crosstune.core.files import write_jsonl
    from crosstune.modeling.tokenizer_training import train_tokenizer

    texts = [path.read_text() for path in sorted(mine.glob("pos/*.conllu"))]
    words = [line.split("\t")[1] for text in texts for line in text.splitlines() if line]
    write_jsonl(mine / "text.jsonl", ({"id": str(n), "text": word} for n, word in enumerate(words)))
    train_tokenizer([mine / "text.jsonl"], 60, mine / "encoder")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(**size, vocab_size=60, max_position_embeddings=66)).save_pretrained(mine / "encoder")


def test_a_user_s_path_from_files_to_few_shot_curves(mine, snakemake):
    assert len(STUDY.splitlines()) <= 50
    study = ("--cores", "2", "--configfile", "../mine/study.yaml")
    snakemake(mine, *study, "--config", "pilot=5")
    pilot = (mine / "results/mine~pilot/report.html").read_text()
    assert "pilot" in pilot.lower() and not (mine / "results/mine").exists()
    snakemake(mine, *study)
    tables = {path.name for path in (mine / "results/mine/tables").glob("*.few-shot.csv")}
    assert tables == {"qa.questions.own.f1.few-shot.csv", "pos.words.own.f1.few-shot.csv"}
    page = (mine / "results/mine/report.html").read_text()
    assert "Luo" in page and "../mine" not in page
    status = subprocess.run(["git", "status", "--porcelain"], cwd=mine, capture_output=True, text=True, check=True)
    assert status.stdout == ""
