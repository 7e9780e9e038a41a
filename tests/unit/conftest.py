"""A tiny tokenizer and network that need no files of the project; LaTeX."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

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
def encoder(tokenizer_folder):
    from crosstune.modeling.tokenization import TextEncoder

    return TextEncoder(tokenizer_folder)


@pytest.fixture
def new_network(encoder):
    """A 1-layer network drawn from a seed, without heads."""
    from crosstune.training.checkpoint_job import new_encoder

    def make(seed: int = 0, dropout: float = 0.1, packing: bool = True):
        size = {"hidden": 16, "layers": 1, "heads": 2, "max_length": 64, "packing": packing}
        return new_encoder({"seed": seed, "recipe": {"dropout": dropout}, **size}, encoder)

    return make


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
