"""A tiny tokenizer and network that need no files of the project."""

from pathlib import Path

import pytest

TEXT = ["the cat sat on the mat", "a dog saw the red house", "who sat on the mat", "where is the house of the dog"] * 8


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory) -> Path:
    from crosstune.files import write_jsonl
    from crosstune.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    write_jsonl(folder / "text.jsonl", ({"id": str(n), "text": text} for n, text in enumerate(TEXT)))
    train_tokenizer([folder / "text.jsonl"], 30, folder)
    return folder


@pytest.fixture(scope="session")
def encoder(tokenizer_folder):
    from crosstune.encoding import TextEncoder

    return TextEncoder(tokenizer_folder)


@pytest.fixture
def new_network(encoder):
    """A 1-layer network drawn from a seed, without heads."""
    from crosstune.stage import new_encoder

    def make(seed: int = 0, dropout: float = 0.1, packing: bool = True):
        size = {"hidden": 16, "layers": 1, "heads": 2, "max_length": 64, "packing": packing}
        return new_encoder({"seed": seed, "recipe": {"dropout": dropout}, **size}, encoder)

    return make
