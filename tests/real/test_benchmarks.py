"""The benchmarks run; what they measure is not tested."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_variant_of_the_rivals_runs_and_the_answers_are_equal(bundle, tmp_path):
    sizes = ["--model", "small", "--steps", "1", "--windows", "9", "--repeats", "1", "--threads", "1"]
    command = [
        sys.executable,
        "benchmarks/rivals.py",
        "--bundle",
        str(bundle),
        *sizes,
        "--out",
        str(tmp_path / "out.md"),
    ]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    page = (tmp_path / "out.md").read_text()
    assert page.count("| crosstune, packed |") == 2
    assert "Equal answers: 10,000 of 10,000." in page


@pytest.fixture
def small_encoder(bundle, tmp_path) -> Path:
    """A model in a folder, in the place of a real one: random weights, and a tokenizer of real text."""
    from transformers import BertConfig, BertModel

    from crosstune.core.files import read_text, write_jsonl
    from crosstune.data.readers import read_rows
    from crosstune.modeling.tokenizer_training import train_tokenizer

    files = sorted((bundle / "qa/xquad").glob("*.xz"))
    texts = {row["context"] for path in files for row in read_rows("squad", [(str(path), read_text(path))])[::20]}
    write_jsonl(tmp_path / "texts.jsonl", ({"text": text} for text in sorted(texts)))
    folder = tmp_path / "small-encoder"
    train_tokenizer([tmp_path / "texts.jsonl"], 8000, folder)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(**size, vocab_size=9000, max_position_embeddings=512)).save_pretrained(folder)
    return folder


def test_an_encoder_in_a_folder_is_measured_against_both_rivals(bundle, small_encoder, tmp_path):
    """Both sides have equal tokens, or the program ends with an error."""
    command = [sys.executable, "benchmarks/rivals.py", "--model", "e5", "--folder", str(small_encoder)]
    options = ["--size", "smoke", "--bundle", str(bundle), "--threads", "1", "--out", str(tmp_path / "out.md")]
    found = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    page = (tmp_path / "out.md").read_text()
    assert page.count("| as shipped |") == page.count("| best flags |") == page.count("| crosstune |") == 4
    assert page.count("| optimizer, clipping |") in (2, 4)
    assert "commit " in page and "Matrix rate between the turns, GFLOP/s: fp32 " in page


def test_a_folder_without_a_model_is_named(tmp_path):
    command = [sys.executable, "benchmarks/rivals.py", "--model", "e5", "--folder", str(tmp_path / "none")]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 1
    assert "Traceback" not in found.stderr and "no model in this folder" in found.stderr


def test_the_checks_the_timings_and_the_traces_of_a_gpu_run(tmp_path):
    """On the CPU with a tiny model, without compilation, in more time than any machine needs."""
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--shapes", "tiny", "--tokens", "500"]
    options = ["--no-compile", "--row-seconds", "0.1", "--seconds", "1800", "--out", str(tmp_path / "gpu.md")]
    found = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    page = (tmp_path / "gpu.md").read_text()
    assert "with wrong bounds, as a control" in page
    assert page.count("interrupted and resumed equals uninterrupted bit for bit") in (2, 4)
    assert "- LoRA, fp32: " in page and ", merged " in page
    assert "skipped" not in page
    assert "| tiny | 500 | crosstune |" in page
    assert "| idle: the device waits for the host |" in page
