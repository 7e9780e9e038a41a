"""YAML that says one thing and means another is refused, with its place and a line to paste."""

import random
from pathlib import Path

import pytest
import yaml

from crosstune.core.errors import UserError
from crosstune.core.strict_yaml import read_strict

ROOT = Path(__file__).parents[2]
FOLDERS = ("registry", "studies", "claims", "published", "schemas")
SHIPPED = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.yaml"))


def write(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", [ROOT / "config.yaml", *SHIPPED], ids=lambda path: path.name)
def test_shipped_files_have_no_traps(path):
    assert read_strict(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "place", "meaning", "line"),
    [
        ("a:\n  low: [sv, no, da]\n", "2:13", "no as false", 'low: [sv, "no", da]'),
        ("no: {name: Norwegian}\n", "1:1", "no as false", '"no": {name: Norwegian}'),
        ("matched: off # by hand\n", "1:10", "off as false", 'matched: "off" # by hand'),
        ("ü: [ą, Yes]\n", "1:8", "Yes as true", 'ü: [ą, "Yes"]'),
        ("updates: 010\n", "1:10", "010 as 8", "updates: 10"),
        ("seeds: [1, -017]\n", "1:12", "-017 as -15", "seeds: [1, -17]"),
        ("a: 0b11\n", "1:4", "0b11 as 3", 'a: "0b11"'),
        ("a: 1:30\n", "1:4", "1:30 as 90", 'a: "1:30"'),
        ("runtime: 20:00", "1:10", "20:00 as 1200", 'runtime: "20:00"'),
        ("a: 1:30.5\n", "1:4", "1:30.5 as 90.5", 'a: "1:30.5"'),
        ("lr: .nan\n", "1:5", ".nan as nan", 'lr: ".nan"'),
        ("study: 2026-01-31\n", "1:8", "2026-01-31 as a date", 'study: "2026-01-31"'),
    ],
)
def test_a_word_that_yaml_reads_as_another_value_is_refused_with_a_line_to_paste(tmp_path, text, place, meaning, line):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=f"YAML reads {meaning}") as caught:
        read_strict(path)
    assert caught.value.where == f"{path}:{place}" and caught.value.fix.endswith(f"\n{line}")


@pytest.mark.parametrize(
    ("text", "place", "first"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1", 1),
        ("x:\n  a: 1\n  'a': 2\n", "3:3", 2),
        ("{a: 1, a: 2}", "1:8", 1),
        ("- a: 1\n  a: 1\n", "2:3", 1),
        ("x: &x {a: 1}\ny:\n  <<: *x\n  b: 1\n  b: 2\n", "5:3", 4),
    ],
)
def test_a_key_given_twice_is_refused_with_both_lines(tmp_path, text, place, first):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=f"is given twice, first in line {first}") as caught:
        read_strict(path)
    assert caught.value.where == f"{path}:{place}"


def test_a_merged_key_may_be_overridden_however_deep_its_anchor_lies(tmp_path):
    text = "a: &a {x: 1}\nz: {y: {w: &b {<<: *a, x: 2}}}\nc: {<<: *b, x: 3}\nd: {<<: [*a, *b]}\n"
    found = read_strict(write(tmp_path, text))
    assert (found["z"]["y"]["w"], found["c"], found["d"]) == ({"x": 2}, {"x": 3}, {"x": 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [\n", "not valid YAML"),
        ("a:\t1\nb: \t- 2", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML .*another document"),
        ("a: !run 1\n", "not valid YAML .*constructor for the tag"),
        ("? [a]\n: 1\n", "not valid YAML .*unhashable"),
        ("a: !!int x\n", "not valid YAML"),
        ("[" * 100, "not valid YAML"),
        ("[" * 50_000, "more than 100 lists and mappings inside each other"),
        ("- " * 30_000, "more than 100 lists and mappings inside each other"),
        ("? " * 30_000, "more than 100 lists and mappings inside each other"),
        ("\n".join(" " * depth + "a:" for depth in range(1000)), "more than 100 lists and mappings inside each other"),
        ("".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9 if n else 1}]\n" for n in range(30)), "more than 1,000,000 parts"),
        ("a: &x [*x]\n", "an alias .* lies inside"),
        ("a: &x {b: [*x]}\n", "an alias .* lies inside"),
    ],
)
def test_other_faults_are_user_errors_too(tmp_path, text, message):
    with pytest.raises(UserError, match=f"(?s){message}") as caught:
        read_strict(write(tmp_path, text))
    assert caught.value.where.startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "place", "says", "line"),
    [
        ("a:\n\tb: 1\n", "2:1", "a tab in the indentation", "  b: 1"),
        ("a:\n  \tb: 1\n", "2:3", "a tab in the indentation", "    b: 1"),
        ("seeds:[1]\nb: 2\n", "1:6", "a colon without a space after it", "seeds: [1]"),
        ("seeds:\u00a0[1]\nb: 2\n", "1:7", "a no-break space", "seeds: [1]"),
        ("a:\n\u00a0\u00a0b: 1\n", "2:1", "a no-break space", "b: 1"),
        ("study: small: x\n", "1:13", "a text with a colon", 'study: "small: x"'),
        ("a: 1\n  b: 2\n", "2:4", "indented by 2 spaces, below a line with 0", "b: 2"),
        ("a:\n  b: 1\n\n    c: 2\n", "4:6", "indented by 4 spaces, below a line with 2", "  c: 2"),
    ],
)
def test_a_frequent_slip_is_named_with_its_line_and_a_line_to_paste(tmp_path, text, place, says, line):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=says) as caught:
        read_strict(path)
    assert caught.value.where == f"{path}:{place}"
    assert caught.value.fix.split("\n")[-1].strip() == line.strip() and str(caught.value).count("\n") <= 3


def test_a_no_break_space_inside_of_quotes_stays(tmp_path):
    text = 'title: "100\u00a0%"\n"a\u00a0b": 1\n'
    assert read_strict(write(tmp_path, text)) == {"title": "100\u00a0%", "a\u00a0b": 1}


def test_values_that_mean_what_they_say_are_read(tmp_path):
    text = "{a: true, b: False, c: 0, d: -3, e: 1_000, f: 0x1F, g: 1.5, h: 1e-5, i: null, j: '010', k: \"no\", l: 08}"
    assert list(read_strict(write(tmp_path, text)).values()) == [
        True, False, 0, -3, 1000, 31, 1.5, "1e-5", None, "010", "no", "08",
    ]  # fmt: skip


def test_random_damage_gives_content_or_a_user_error(tmp_path):
    draw, text = random.Random(0), (ROOT / "config.yaml").read_text(encoding="utf-8")
    for _ in range(200):
        begin = draw.randrange(len(text))
        damaged = text[:begin] + draw.choice(["", "\t", "[", "}", "&a ", "*a", "!x", "\0", "\ud7ff", "|", ": "]) + text[
            begin + draw.randrange(30) :
        ]  # fmt: skip
        try:
            read_strict(write(tmp_path, damaged))
        except UserError as error:
            assert error.where.startswith(str(tmp_path / "study.yaml"))
