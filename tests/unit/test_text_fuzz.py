"""Texts and names that nobody would choose, in every place of a study: planned and shown as text, or refused."""

import copy
import csv
import io
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import pytest
import yaml

from crosstune.core.errors import UNPRINTABLE, UserError
from crosstune.core.files import canonical_json
from crosstune.reporting.tables.formats import TextTable, table_files
from crosstune.study.build import build_study
from crosstune.study.plan import plan_of
from crosstune.study.retention import RetentionPolicy
from crosstune.study.summary import summary

ROOT = Path(__file__).parents[2]
PARTS = (
    "'", '"', "`", "$(id)", "${HOME}", ";", "|", "&", ">", "<", "\\", "/", "../", "~", "*", "?", "[", "]", "{", "}",
    "{lang}", "{{7*7}}", "%", "#", "_", "^", "=1+1", "+", "-", "@", "\n", "\r", "\t", "\0", "\x1b[2J", "\x9d", "\u202e",
    "\u200d", "\ud800", "é", "e\u0301", "हिन्दी", "עברית", "</script>", "<img src=x onerror=x>", "&amp;", "\\input{x}",
    "a", "b", " ", ".", "-rf", "x" * 300, "",
)  # fmt: skip
STUDIES = 240


def config() -> dict:
    """The small study with every kind of text that a user may write."""
    small = yaml.safe_load((ROOT / "tests/workflow/small.yaml").read_text())
    small["tables"]["groups"]["caption"] = "A caption"
    small["datasets"] = {"mine": {
        "task": "tagging", "title": "A title", "licence": "A licence", "notes": "Notes", "reader": "columns",
        "tags": ["O", "B-PER"], "languages": ["qen"], "head": "names", "token_prefix": "{lang}:",
        "codes": {"qen": "code"}, "source": {"files": "{here}/{code}.{split}.tsv"}, "splits": {"train": {}, "test": {}},
    }}  # fmt: skip
    small["folders"] = {"here": "data"}
    small["tracks"]["names"] = copy.deepcopy(small["tracks"]["qa"]) | {
        "sources": "mine", "schedules": {"one": ["qen"]}, "evaluate": {"mine": "all"},
    }  # fmt: skip
    return small


def places(value, path=()) -> Iterator[tuple]:
    """The places of keys and texts: the path, and whether the key is meant."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        if isinstance(key, str):
            yield (*path, key), True
        if isinstance(part, str):
            yield (*path, key), False
        yield from places(part, (*path, key))


def put(value: dict, path: tuple, is_key: bool, text: str) -> None:
    for key in path[:-1]:
        value = value[key]
    if is_key:
        value[text] = value.pop(path[-1])
    else:
        value[path[-1]] = text


def texts(value) -> Iterator[str]:
    """All texts of a value, keys included."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield str(key)
            yield from texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield value


def assert_shown_as_text(words: list[str]) -> None:
    """A table of words has its rows and columns in every format, and no word means anything to a format's reader."""
    rows = [[word, word] for word in words]
    files = table_files(TextTable("t", words[0], ["a", "b"], rows, [["a", "b"], *rows]))
    found = list(csv.reader(io.StringIO(files["t.csv"])))
    assert [row[0].removeprefix("'") for row in found[1:]] == [word.removeprefix("'") for word in words]
    assert not any(re.match(r"[=@]|[+-][^\d.]", cell) for row in found for cell in row)
    table = files["t.md"].rstrip("\n").split("\n")[-len(words) - 2 :]
    assert all(len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3 for line in table), table
    plain = re.sub(r"\\([&%$#_{}])", "", re.sub(r"\\text\w+\{\}|\$\\pm\$|\$\\rightarrow\$", "", files["t.tex"]))
    assert plain.count("{") == plain.count("}") and not re.search(r"[%#^~$]|\\input", plain), plain
    assert "\n\n" not in files["t.tex"].split(r"\caption{")[1].split(r"\begin{tabular}")[0]


@pytest.mark.parametrize("seed", range(2))
def test_strange_texts_are_planned_and_shown_as_text_or_refused(seed, tmp_path, monkeypatch):
    for folder in ("schemas", "registry", "published", "claims"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    draw, planned, words = random.Random(seed), 0, []
    # Nearly every strange name is refused: half of the texts stand where any text may.
    every = list(places(config()))
    free = [(path, is_key) for path, is_key in every if path[-1] in ("caption", "title", "licence", "notes", "here")]
    for _ in range(STUDIES // 2):
        changed = config()
        text = "".join(draw.choices(PARTS, k=draw.randint(1, 4)))
        put(changed, *draw.choice(draw.choice([every, free])), text)
        try:
            study = build_study(changed)
            lines = summary(study, RetentionPolicy(study))
            plan = plan_of(study)
        except UserError as error:
            assert not UNPRINTABLE.search(str(error)) and len(str(error)) < 5_000
            continue
        planned += 1
        assert not UNPRINTABLE.search("\n".join(lines))
        assert all(len(part) < 256 for path in study.checkpoints for part in path.split("/"))
        assert all(re.fullmatch(r"[\w./@+~=, -]+", path) and ".." not in path for path in study.checkpoints)
        words += [word for word in texts(plan) if text in word][:5] or [text]
    assert planned > 5
    assert_shown_as_text([word for word in words if word.strip()] or ["a"])
    # As Snakemake's `:q` puts a param into a rule's command.
    quoted = subprocess.run(["bash", "-c", f"printf %s {quote(canonical_json(words))}"], capture_output=True)
    assert quoted.stdout.decode() == canonical_json(words)
