"""The shell commands of the rules: no value of a study is a piece of shell, and no planted link leads a log away."""

import ast
import re
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]


def shell_commands(file: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every shell command of a file of rules; a directive ends where the indentation does."""
    lines = file.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if match := re.fullmatch(r"( *)shell:(.*)", line):
            inside = [match[2]]
            for following in lines[number:]:
                if following.strip() and not following.startswith(f"{match[1]} "):
                    break
                inside.append(following)
            yield number, ast.literal_eval("(" + "\n".join(inside) + "\n)")


COMMANDS = [pytest.param(text, id=f"{file.name}:{line}") for file in FILES for line, text in shell_commands(file)]


def test_every_command_is_found():
    directives = sum(len(re.findall(r"^ *shell:", file.read_text(), re.MULTILINE)) for file in FILES)
    assert len(COMMANDS) == directives > 30
    # The other ways to run a shell.
    for file in FILES:
        assert not re.search(r"\b(shell|os\.system|os\.popen)\(|shell=True|^ *run:", file.read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_value_in_a_command_is_quoted(command):
    fields = [(name, form) for _, name, form, _ in string.Formatter().parse(command) if name is not None]
    assert fields and all(form == "q" for _, form in fields), fields
    # Inside quotes of the command, the quotes of the value would end them.
    assert not re.search(r"[\"'][^\"' ]*\{[a-z]", command), command


@pytest.mark.parametrize("command", COMMANDS)
def test_every_log_is_written_by_the_program_or_without_links(command):
    written = re.findall(r"(\S+ ?\S*) \{log:q\}", command)
    assert len(written) == 1 and written[0].endswith(("--log", "sh scripts/log.sh")), command


@pytest.mark.parametrize("target", ["a file", "no file"])
def test_a_log_follows_no_planted_link(tmp_path, target):
    victim, log = tmp_path / "victim", tmp_path / "log"
    if target == "a file":
        victim.write_text("precious")
    log.symlink_to(victim)
    command = ["sh", str(ROOT / "scripts/log.sh"), str(log)]
    done = subprocess.run(command, input="line\n", text=True, capture_output=True, check=True)
    assert done.stdout == log.read_text() == "line\n" and not log.is_symlink()
    assert victim.read_text() == "precious" if target == "a file" else not victim.exists()
    subprocess.run(command, input="next\n", text=True, capture_output=True, check=True)
    assert log.read_text() == "next\n"
