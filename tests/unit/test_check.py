"""The program that tells, before any training, what a study's models can read of its rows."""

import json
import shutil
import subprocess
import sys

import pytest
from helpers.study_config import ROOT, STUDY

from crosstune.core.files import read_json, write_jsonl


@pytest.fixture
def prepared(tokenizer_folder, tmp_path):
    """A project with the base model's tokenizer, and prepared rows of one language."""
    for part in ("schemas", "registry"):
        (tmp_path / part).symlink_to(ROOT / part)
    shutil.copytree(tokenizer_folder, tmp_path / "results/test/tiny/base/model")
    context = "the cat sat on the mat " * 4
    rows = [
        {"id": "1", "question": "who sat", "context": context, "answers": {"text": ["cat"], "answer_start": [4]}},
        {"id": "2", "question": "☃ " * 80, "context": context, "answers": {"text": [context], "answer_start": [0]}},
    ]
    write_jsonl(tmp_path / "data/worldqa/test.qno.jsonl", rows)
    return tmp_path


def test_the_rows_at_hand_are_checked(prepared):
    command = [sys.executable, str(ROOT / "scripts/check.py"), "--config", json.dumps(STUDY), "--out", "encoding.json"]
    done = subprocess.run(command, cwd=prepared, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    (found,) = read_json(prepared / "encoding.json")["encodings"]
    names = {"model": "tiny", "track": "qa", "dataset": "worldqa", "split": "test", "language": "qno"}
    assert found.items() >= {**names, "rows": 2, "cut": 1}.items()
    (line,) = [line for line in (prepared / "encoding.md").read_text().splitlines() if line.startswith("| tiny ")]
    assert [cell.strip() for cell in line.split("|")][2:6] == ["qa", "worldqa", "test", "qno"]
    assert found["unknown"] > 0.1 and found["ceiling"]["exact_match"] == 50
    assert "tiny, track qa, worldqa/test.qno: 2 rows, 1 cut" in done.stdout
    assert "tokens of this language are unknown to the model's tokenizer" in done.stdout
