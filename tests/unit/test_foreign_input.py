"""Studies, files and names of others: what they cannot do to the user, to other studies and to the terminal."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from helpers.study_config import STUDY, study
from hypothesis import given
from hypothesis import strategies as st

from crosstune.core.errors import UserError, printable
from crosstune.core.files import atomic_open, write_text
from crosstune.core.locks import file_lock
from crosstune.data.download.fetch import fetch_unpinned, match_names
from crosstune.data.translation.translate_split import PartialTranslation
from crosstune.data.translation.translators.command import CommandTranslator
from crosstune.machine.environment import agent, tracked_files
from crosstune.modeling.feature_cache import save_windows
from crosstune.modeling.features import Windows
from crosstune.operations.crate import packed_files
from crosstune.reporting.tables.formats import csv_text, latex_float
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.inspection import check_commands, check_consents

ROOT = Path(__file__).parents[2]


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"study": "default\n"},
        {"tracks": {"qa\n": STUDY["tracks"]["qa"]}},
        {"models": {"tiny\n": STUDY["models"]["tiny"]}},
        {"low_resource": ["qno\n"]},
        {"datasets": {"mine\n": {}}},
    ],
)
def test_a_name_with_a_newline_at_its_end_is_refused(changes):
    with pytest.raises(UserError):
        study(**changes)


@pytest.mark.parametrize("text", ["Joint\x1b[2J", "a\x00b", "left\u202eright"])
def test_a_text_with_characters_that_nobody_sees_is_refused(text):
    with pytest.raises(UserError, match="a character that no reader sees"):
        study(tables={"one": {"panels": "qa", "rows": "schedule", "columns": "language", "caption": text}})
    with pytest.raises(UserError, match="a character that no reader sees"):
        study(datasets={"mine": {"title": text}})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\rb", r"a\rb"),
        ("title\x9d0;x\x07", r"title\x9d0;x\x07"),
        ("abc\u202efdp.exe", r"abc\u202efdp.exe"),
        ("line\n\tand tab", "line\n\tand tab"),
        ("क्‍ष می‌خواهم", "क्‍ष می‌خواهم"),
    ],
)
def test_a_message_commands_no_terminal(text, shown):
    assert printable(text) == shown
    assert str(UserError(text, "here")) == f"here: {shown}"


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1+2", "-a", "@SUM(A1)", "\t=1"])
def test_a_cell_is_no_formula_of_a_spreadsheet(text):
    assert csv_text([["a", text, "-1.25", "+3", -2.5]]).split(",", 1)[1].replace('"', "").startswith(f"'{text}")
    assert csv_text([["-1.25", "+3", -2.5]]) == "-1.25,+3,-2.5\n"


# --- planted links ---------------------------------------------------------------------------------------------------


@pytest.fixture
def victim(tmp_path) -> Path:
    path = tmp_path / "victim"
    path.write_text("precious")
    return path


def test_a_written_file_follows_no_planted_link(tmp_path, victim):
    (tmp_path / f".table.csv.{os.getpid()}.tmp").symlink_to(victim)
    write_text(tmp_path / "table.csv", "new")
    assert (tmp_path / "table.csv").read_text() == "new" and victim.read_text() == "precious"


def test_a_written_file_follows_no_link_under_a_guessed_name(tmp_path, victim, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda size: "guessed")
    (tmp_path / ".table.csv.guessed.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_text(tmp_path / "table.csv", "new")
    assert victim.read_text() == "precious"


def test_a_written_file_has_the_users_mode(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_open(tmp_path / "file") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_lock_follows_no_planted_link(tmp_path, victim):
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(UserError, match="this is a link"), file_lock(tmp_path / "lock", wait=False):
        pass
    assert victim.read_text() == "precious"


def test_a_partial_translation_follows_no_planted_link(tmp_path, victim):
    (tmp_path / "rows.part").symlink_to(victim)
    with pytest.raises(UserError, match="this is a link"):
        PartialTranslation(tmp_path / "rows.part", "stamp")
    assert victim.read_text() == "precious"


# --- files of a study ------------------------------------------------------------------------------------------------


def evaluated_on(tmp_path: Path, files: str, **more) -> DataRequirements:
    record = {
        "task": "qa", "title": "Theirs", "licence": "none", "reader": "squad", "languages": ["qen"],
        "source": {"files": files}, "splits": {"test": {}},
    } | more  # fmt: skip
    folders = {"theirs": str(tmp_path / "data")}
    (tmp_path / "data").mkdir(exist_ok=True)
    planned = study(datasets={"theirs": record}, folders=folders, tracks__qa__evaluate={"theirs": "all"})
    return DataRequirements(planned)


@pytest.mark.parametrize("files", ["/etc/passwd", "../../etc/passwd", "{theirs}/../../x", "{theirs}/{code}/passwd"])
def test_a_study_reads_no_file_outside_its_folders(tmp_path, files):
    with pytest.raises(UserError, match="lies outside the project and the study's folders"):
        evaluated_on(tmp_path, files, codes={"qen": "../../../../../../etc"}).check_files()


def test_a_study_reads_no_device_pipe_or_process(tmp_path):
    for place in ("/proc", "/dev"):
        record = evaluated_on(tmp_path, "{theirs}/x")
        planned = study(
            datasets={"theirs": {
                "task": "qa", "title": "T", "licence": "none", "reader": "squad", "languages": ["qen"],
                "source": {"files": "{theirs}/self/environ"}, "splits": {"test": {}},
            }},
            folders={"theirs": place},
            tracks__qa__evaluate={"theirs": "all"},
        )  # fmt: skip
        with pytest.raises(UserError, match="no regular file"):
            DataRequirements(planned).check_files()
    os.mkfifo(tmp_path / "data/x")
    with pytest.raises(UserError, match="no regular file"):
        record.check_files()


# --- programs --------------------------------------------------------------------------------------------------------

TRANSLATORS = {"lexicon": {"command": "cat -u", "pairs": {"qhi-qbn": "x", "qta-qbn": "x"}}}


def test_a_study_runs_programs_only_if_the_user_allows_it():
    schedules = {"english": ["qen"], "translated": ["worldchaii_mt.qbn"]}
    planned = study(translators=TRANSLATORS, tracks__qa__schedules=schedules)
    with pytest.raises(UserError, match=r"(?s)with your rights.*cat -u.*--config allow_commands=true"):
        check_commands(planned, DataRequirements(planned))
    allowed = study(translators=TRANSLATORS, tracks__qa__schedules=schedules, allow_commands="true")
    check_commands(allowed, DataRequirements(allowed))
    unused = study(translators=TRANSLATORS)
    check_commands(unused, DataRequirements(unused))


def test_a_translator_sees_no_tokens(monkeypatch):
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY", "GIT_PASSWORD"):
        monkeypatch.setenv(name, "s3cret")
    assert CommandTranslator("sh -c 'env | grep -c s3cret; echo'", {"a-b": "x"}).translate(["one"], "a", "b") == ["0"]


YTE = "__use_yte__: true\nstudy: ?open('ran.txt', 'w').write('x')\n"


def inspect(folder: Path, text: str) -> subprocess.CompletedProcess:
    (folder / "study.yaml").write_text(text)
    command = [sys.executable, str(ROOT / "scripts/inspect_study.py"), "study.yaml"]
    for part in ("schemas", "registry", "published", "claims"):
        (folder / part).symlink_to(ROOT / part)
    return subprocess.run(command, cwd=folder, text=True, capture_output=True)


def test_an_inspection_runs_no_python_of_a_study(tmp_path):
    done = inspect(tmp_path, YTE)
    assert done.returncode == 1 and "run Python from this file" in done.stderr, done.stderr
    assert not (tmp_path / "ran.txt").exists()


@pytest.mark.parametrize("key", ["allow_commands", "replace"])
def test_a_file_gives_no_consent(key, tmp_path):
    done = inspect(tmp_path, yaml.safe_dump(STUDY | {key: True}))
    assert done.returncode == 1 and f"study.yaml: {key}: a file cannot give your consent" in done.stderr, done.stderr
    check_consents(STUDY | {key: False}, "study.yaml")


def test_an_inspection_lists_what_a_study_would_do(tmp_path):
    config = STUDY | {"translators": TRANSLATORS}
    config["models"] = {"theirs": {"hub": "some/model", "revision": "a" * 40}}
    config["tracks"] = config["tracks"] | {
        "qa": STUDY["tracks"]["qa"] | {"schedules": {"translated": ["worldchaii_mt.qbn"]}}
    }
    done = inspect(tmp_path, yaml.safe_dump(config))
    assert done.returncode == 0, done.stderr
    for line in ("  cat -u", f"  some/model at {'a' * 40}", f"  results/{STUDY['study']}"):
        assert f"{line}\n" in done.stdout, done.stdout


# --- the archive -----------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path) -> Path:
    """A checkout with a secret beside its files and links out of it."""
    folder = tmp_path / "project"
    for name in ("Snakefile", "scripts/train.py", "results/toy/tables/a.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@b", "-C", str(folder)]
    for words in (["init", "-q"], ["add", "Snakefile", "scripts"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    (folder / "scripts/passwords.txt").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/id_rsa").write_text("secret")
    (folder / "results/toy/tables/link.csv").symlink_to(tmp_path / "outside/id_rsa")
    (folder / "results/toy/figures").symlink_to(tmp_path / "outside")
    return folder


def test_the_archive_has_tracked_files_and_no_links(project):
    toy = SimpleNamespace(results="results/toy", checkpoints={})
    assert packed_files(toy, [], project) == ["Snakefile", "results/toy/tables/a.csv", "scripts/train.py"]


def test_a_copy_of_the_project_in_another_checkout_is_packed_whole(project):
    copy = project / "copies/mine"
    copy.mkdir(parents=True)
    (copy / "Snakefile").write_text("x")
    assert tracked_files(copy) is None
    assert packed_files(SimpleNamespace(results="results/toy", checkpoints={}), [], copy) == ["Snakefile"]


def test_a_login_name_is_not_published(project, monkeypatch):
    monkeypatch.setenv("HOME", str(project))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("LOGNAME", "jane")
    assert agent(project) == "unknown"


# --- the rest ---------------------------------------------------------------------------------------------------------

PATTERNS = st.text("ab/*?", max_size=12)


@given(PATTERNS.filter(lambda pattern: "***" not in pattern and pattern.count("**") < 4), st.text("ab/", max_size=10))
def test_patterns_of_files_match_as_if_all_ways_were_tried(pattern, name):
    parts = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = "".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*|\?)", pattern))
    assert match_names([name], pattern) == ([name] if re.fullmatch(expression, name, re.DOTALL) else [])


def test_an_address_without_tls_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"(?s)not an https address.*https://example.org/x.csv"):
        fetch_unpinned("http://example.org/x.csv", tmp_path, "none")


def test_a_page_may_load_nothing_and_send_nothing():
    template = (ROOT / "scripts/crosstune/reporting/page/templates/report.html.j2").read_text()
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', template)[1].split("; ")
    assert {"default-src 'none'", "base-uri 'none'", "form-action 'none'"} <= set(policy)
    assert not re.search(r"https?:", " ".join(policy))


def test_a_caption_keeps_its_float_together():
    assert "\n\n" not in latex_float("x", "one\n\ntwo", "", "l", ["a"])


def test_the_cache_of_features_has_the_users_mode(tmp_path):
    windows = Windows(*(np.zeros(1, dtype=np.int32) for _ in range(5)), {}, {})
    before = os.umask(0o077)
    try:
        save_windows(windows, tmp_path / "cache/entry", {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "cache/entry").stat().st_mode) == 0o700
