"""A tiny tokenizer and network that need no files of the project; LaTeX."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from crosstune.artifacts.checkpoint import CheckpointJob
from crosstune.core.files import sha256_file, write_json, write_jsonl
from crosstune.modeling.folder import save_network

# A slow machine is no fault of the code.
settings.register_profile("crosstune", deadline=None)
settings.load_profile("crosstune")

TEXT = ["the cat sat on the mat", "a dog saw the red house", "who sat on the mat", "where is the house of the dog"] * 8


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory) -> Path:
    from crosstune.core.files import write_jsonl
    from crosstune.modeling.tokenizer_training import train_tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    write_jsonl(folder / "text.jsonl", ({"id": str(n), "text": text} for n, text in enumerate(TEXT)))
    train_tokenizer([folder / "text.jsonl"], 30, folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder):
    from crosstune.modeling.tokenization import Tokenizer

    return Tokenizer(tokenizer_folder)


@pytest.fixture(scope="session")
def new_network(tokenizer):
    """A small network, of 1 layer by default, drawn from a seed, without heads."""
    from crosstune.training.checkpoint_job import new_encoder

    def make(seed: int = 0, dropout: float = 0.1, packing: bool = True, layers: int = 1):
        size = {"hidden": 16, "layers": layers, "heads": 2, "max_length": 64, "packing": packing}
        return new_encoder({"seed": seed, "recipe": {"dropout": dropout}, **size}, tokenizer)

    return make


@pytest.fixture(scope="session")
def write_published(tokenizer, tokenizer_folder):
    """Write a tiny model with its tokenizer into a folder, as `save_pretrained` does with some options."""
    from transformers import BertConfig, BertForMaskedLM

    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertForMaskedLM(BertConfig(**size, vocab_size=tokenizer.vocabulary, max_position_embeddings=64))

    def write(folder: Path, **options) -> Path:
        model.save_pretrained(folder, **options)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_bytes((tokenizer_folder / name).read_bytes())
        return folder

    return write


@pytest.fixture
def fit(tokenizer, tmp_path):
    """Train a network on data; the learning curve and the moments.

    With `interrupt_after` the process gets a signal after so many updates: SIGTERM, as on a cluster, or `number`. A
    second call with the same `folder` resumes. `save_interval`: seconds between saved states.
    """
    import torch

    from crosstune.core.progress import Progress
    from crosstune.training.interruption import InterruptGuard
    from crosstune.training.micro_batches import MicroBatcher, TrainingSettings
    from crosstune.training.resume import ResumeFolder
    from crosstune.training.trainer import Trainer

    class Interrupting(Progress):
        def __init__(self, number: int, updates: int, *arguments):
            super().__init__(*arguments)
            self._number, self._left = number, updates

        def advance(self, units: int, **figures: str) -> None:
            super().advance(units, **figures)
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._number)

    def run(network, data, plan, recipe, *, key=("key",), precision="fp32", pass_tokens=4096, folder="state", stamp="x",
            interrupt_after=0, moments=None, profiler=None, lr_span=None, best=None, trackers=None,
            save_interval=1e9, number=signal.SIGTERM):  # fmt: skip
        torch.set_num_threads(1)
        settings = TrainingSettings(recipe, key, precision, pass_tokens, save_interval, lr_span)
        batcher = MicroBatcher(network, tokenizer, data, plan, settings)
        trainer = Trainer(batcher, ResumeFolder(tmp_path / folder, stamp), best, profiler, trackers=trackers)

        def progress(total: int, done: int) -> Progress:
            return Interrupting(number, interrupt_after, "test", total, done, tmp_path / "log")

        with InterruptGuard() as guard:
            return trainer.fit(guard, progress, moments)

    return run


@pytest.fixture
def typeset(tmp_path) -> Callable[[str], None]:
    """A function that lets LaTeX set floats as docs/tables.md says: in an article, with booktabs alone.

    Nothing may stick out of the page.
    """
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")

    def run(floats: str) -> None:
        text = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{floats}\end{{document}}"
        (tmp_path / "all.tex").write_text(text, encoding="utf-8")
        command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "all.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        assert "Overfull" not in done.stdout, done.stdout

    return run


RECIPE = {
    "lr": 1e-3, "warmup": 0.1, "lr_schedule": "linear", "weight_decay": 0.01, "max_grad_norm": 1.0,
    "sampling_alpha": 1.0, "label_smoothing": 0.0, "optimizer": "reset",
}  # fmt: skip


@pytest.fixture
def untrained_job(new_network, tokenizer_folder, tmp_path):
    """A stage that trains nothing and has no head, wanted for bitext retrieval at a layer of the one-layer encoder."""

    def make(layer: int) -> CheckpointJob:
        base = tmp_path / "base"
        save_network(new_network(), base / "model", tokenizer_folder, "")
        weights = sha256_file(base / "model/model.safetensors")
        write_json(base / "stage.json", {"weights": weights, "parents": [], "lineage": {}})
        rows = tmp_path / "data/tatoeba/test.th.jsonl"
        write_jsonl(
            rows, [{"id": "1", "text": "the cat", "pair": "a dog"}, {"id": "2", "text": "mat", "pair": "house"}]
        )
        manifest = rows.with_suffix(".json")
        write_json(manifest, {"dataset": "tatoeba", "lang": "th", "sha256": sha256_file(rows)})
        spec = {
            "seed": 1, "after": [], "sources": [], "replayed": [], "replay": 0.0, "updates": 0, "epochs": None,
            "tokens": 64, "heads": [], "source_heads": {}, "recipe": RECIPE,
            "encoding": {"max_length": 32}, "precision": "fp32", "packing": True,
        }  # fmt: skip
        encoding = {"max_length": 32, "layer": layer}
        wanted = {"dataset": "tatoeba", "head": "bitext", "encoding": encoding, "precision": "fp32", "packing": True}
        predictions = [{"spec": wanted, "data": [str(manifest)]}]
        return CheckpointJob(spec, base / "untrained", (base,), (), predictions=predictions)

    return make
