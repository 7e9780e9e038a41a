"""The line of a key in a file, for messages about its value."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crosstune.core.errors import UserError
from crosstune.core.yaml_lines import line_of, lines_named

TEXT = """\
study: x
tracks:
  qa.mine:
    schedules: {a: [qen], b:
      [qes,
       {train: qfr,
        lr: 1}]}
  qa: {sources: worldqa}
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("study", 1),
        ("tracks", 2),
        ("tracks.qa.mine.schedules", 4),
        ("tracks.qa.mine.schedules.b[0]", 5),
        ("tracks.qa.mine.schedules.b[1].lr", 7),
        ("tracks.qa.mine.schedules, worldqa.qen@12", 4),
        ("tracks.qa.sources", 8),
        ("tracks.qa.budget", 8),
        ("tracks.qa.mine.schedules.b[7]", 4),
        ("config", None),
        ("studyx", None),
        ("registry/tracks.yaml", None),
        ("", None),
    ],
)
def test_the_line_of_a_place_or_of_the_last_part_of_it(place, line):
    assert line_of(TEXT, place) == line


@pytest.mark.parametrize("text", ["", "a: [", "- 1\n", "text", "? [a]\n: 1\n"])
def test_a_file_without_the_place_has_no_line(text):
    assert line_of(text, "a.b[0]") is None


keys = st.text("ab.", min_size=1, max_size=4).filter(lambda text: text.strip(".") == text)
values = st.recursive(
    st.integers(0, 9), lambda part: st.lists(part, max_size=3) | st.dictionaries(keys, part, max_size=3)
)


def places(value, place=""):
    """All places of a value that name one key or item."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from [(f"{place}.{key}".lstrip("."), key), *places(part, f"{place}.{key}".lstrip("."))]
    elif isinstance(value, list) and place:
        for number, part in enumerate(value):
            yield from places(part, f"{place}[{number}]")


@given(st.dictionaries(keys, values, max_size=4))
def test_the_line_of_a_key_has_the_key(value):
    every = list(places(value))
    text = yaml.safe_dump(value, sort_keys=False, default_flow_style=False)
    for place, key in every:
        # Keys with dots can spell the place of another one.
        if not any("." in other for _, other in every):
            line = text.split("\n")[line_of(text, place) - 1]
            assert f"{key}:" in line
        assert line_of(json.dumps(value), place) == 1


def test_an_error_gets_the_line_of_the_last_file_that_has_the_key(tmp_path):
    for name, text in (("one", "study: a\nseeds: 1\n"), ("two", "\nstudy: b\n")):
        (tmp_path / name).write_text(text)
    files = [tmp_path / "one", tmp_path / "two"]

    def place(where: str, **options) -> str:
        with pytest.raises(UserError, match="message") as caught, lines_named(*files, **options):
            raise UserError("message", where, "fix")
        assert caught.value.fix == "fix"
        return caught.value.where

    assert place("study") == f"{files[1]}:2: study"
    assert place("seeds[0]") == f"{files[0]}:2: seeds[0]"
    assert place("seeds[0]", others=["seeds"]) == "seeds[0]"
    assert place("models.tiny") == "models.tiny" and place("") == ""
