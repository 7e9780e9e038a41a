"""The reference of a study's keys says what the schema says."""

from pathlib import Path

import yaml

from document_config import document

ROOT = Path(__file__).parents[2]


def test_the_reference_is_that_of_the_schema():
    schema = yaml.safe_load((ROOT / "schemas/study.schema.yaml").read_text())
    assert (ROOT / "docs/config.md").read_text() == document(schema), "make docs writes it anew"


def test_every_key_of_the_schema_has_a_description():
    schema = yaml.safe_load((ROOT / "schemas/study.schema.yaml").read_text())
    rows = [line.split("|") for line in document(schema).splitlines() if line.startswith("| `")]
    assert rows
    assert [row[1] for row in rows if not row[4].strip()] == []


def test_the_default_study_comments_every_key():
    lines = (ROOT / "config.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if line and not line.startswith((" ", "#")):
            assert lines[number - 1].startswith("#"), line
