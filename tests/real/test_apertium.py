"""A real translator, Apertium, on real questions of SQuAD. Where it is missing, Debian's packages are installed."""

import json
from pathlib import Path

import pytest

from crosstune.core.errors import UserError
from crosstune.core.files import read_jsonl, sha256_file, write_json, write_jsonl
from crosstune.data.prepare import prepare
from crosstune.data.registry import load_registry
from crosstune.data.translation.answer_projection import row_lines
from crosstune.data.translation.translate_split import TRANSLATE_VERSION, translate_rows
from crosstune.data.translation.translators import load_translator

ROOT = Path(__file__).parents[2]
CONFIG = {"command": "apertium -u -f txt {pair}", "pairs": {"en-es": "eng-spa", "en-xx": "eng-xxx"}}


pytestmark = pytest.mark.usefixtures("apertium")


@pytest.fixture(scope="module")
def squad(bundle, tmp_path_factory) -> Path:
    """The manifest of every 20th question of the real SQuAD rows."""
    path = tmp_path_factory.mktemp("squad") / "train.en.json"
    record = load_registry(ROOT / "registry")["squad"]
    manifest = prepare(record, "train", "en", {"bundle": bundle}, path.parent, path.with_suffix(".jsonl"))
    write_jsonl(path.with_suffix(".jsonl"), read_jsonl(path.with_suffix(".jsonl"))[::20])
    write_json(path, manifest | {"sha256": sha256_file(path.with_suffix(".jsonl"))})
    return path


def test_nearly_all_answers_come_through(squad, tmp_path):
    spec = {"version": TRANSLATE_VERSION, "from": "en", "to": "es", "translator": CONFIG}
    out = tmp_path / "train.en-es.jsonl"
    manifest = translate_rows(spec, squad, out, load_translator(CONFIG))
    sources, rows = {row["id"]: row for row in read_jsonl(squad.with_suffix(".jsonl"))}, read_jsonl(out)
    assert manifest["rows"] == len(sources) == 219  # 4,370 / 20, rounded up
    assert len(rows) >= 0.95 * len(sources), json.dumps(manifest["dropped"])
    for row in rows:
        (text,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
        assert row["context"][start : start + len(text)] == text == text.strip() != ""
        assert "[[" not in row["context"] and "]]" not in row["context"]
        assert row["origin"] == f"squad.en/{row['id'].removeprefix('en-es:')}"
    # A number comes out as it was (as a whole: SQuAD has the answer 7 in 1817).
    answers = [(row_lines(sources[row["id"].removeprefix("en-es:")]).answer, row["answers"]["text"][0]) for row in rows]
    numbers = [(before, after) for before, after in answers if before.isdigit()]
    assert len(numbers) >= 10 and all(before == after for before, after in numbers)
    assert sum(" de " in row["context"] for row in rows) > 0.9 * len(rows), "this is Spanish"


def test_lines_do_not_run_into_each_other():
    found = load_translator(CONFIG).translate(["north", "south", "", "The dog", "cat"], "en", "es")
    assert [line.lower() for line in found] == ["del norte", "del sur", "", "el perro", "gato"]


def test_a_pair_that_is_not_installed_is_told():
    with pytest.raises(UserError) as caught:
        load_translator(CONFIG).translate(["a"], "en", "xx")
    assert "apertium -u -f txt eng-xxx ended with 1: Error: Mode eng-xxx does not exist" in str(caught.value)
    assert "apt install apertium apertium-eng-xxx" in str(caught.value)
