"""Studies, files and names of others: what they cannot do to the user, to other studies and to the terminal."""

import ast
import io
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
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.core.errors import UserError, end, printable, show
from crosstune.core.files import atomic_open, write_text
from crosstune.core.locks import file_lock
from crosstune.core.progress import Progress
from crosstune.data.download.fetch import fetch_unpinned, match_names
from crosstune.data.prepare import load_rows
from crosstune.data.registry import load_registry
from crosstune.data.translation.translate_split import PartialTranslation
from crosstune.data.translation.translators.command import CommandTranslator
from crosstune.machine.environment import agent, commit, tracked_files
from crosstune.machine.gpu_lease import log_line
from crosstune.modeling.feature_cache import save_windows
from crosstune.modeling.features import Windows
from crosstune.operations.crate import packed_files
from crosstune.reporting.tables.formats import TextTable, csv_text, latex_float, markdown, markdown_text
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.graph import Study
from crosstune.study.inspection import check_commands
from crosstune.study.specs import config_affecting_results

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


@pytest.mark.parametrize(
    "text", ["=HYPERLINK(1)", "+1+2", "-a", "@SUM(A1)", "\t=1", " =1", "\n=1", "\uff1d1+2", "\uff20SUM(A1)"]
)
def test_a_cell_is_no_formula_of_a_spreadsheet(text):
    assert csv_text([["a", text, "-1.25", "+3", -2.5]]).split(",", 1)[1].replace('"', "").startswith(f"'{text}")
    assert csv_text([["-1.25", "+3", -2.5]]) == "-1.25,+3,-2.5\n"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        r"\\<script>alert(1)</script>",
        "<!-- hidden",
        "[a](javascript:alert(1))",
        r"[a\](javascript:alert(1))",
        "![a](https://example.org/tracker.png)",
        "[a]: javascript:alert(1)",
        "one\n\n[a]: javascript:alert(1)\n\n<b>",
    ],
)
def test_a_table_of_markdown_shows_a_text_as_it_is(text):
    table = TextTable("x", f"{text}", ["row", text], [[text, text]], [])
    caption, *lines = markdown(table).split("\n\n")
    assert len(lines) == 1, "a caption is one paragraph"
    for part in (caption, lines[0]):
        assert not re.search(r"<[A-Za-z/!?]|\][(:]", part), part
    assert markdown_text("0 < 1 & [a, b] (c): d!") == "0 < 1 & [a, b] (c): d!"


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


def test_a_log_of_a_program_follows_no_planted_link(tmp_path, victim, monkeypatch, capsys):
    log = tmp_path / "train.log"
    log.symlink_to(victim)
    with pytest.raises(UserError, match="this is a link"):
        Progress("train", 2, log=log)
    with pytest.raises(UserError, match="this is a link"):
        log_line("waiting", log)
    monkeypatch.setattr(sys, "argv", ["train.py", "--log", str(log)])
    with pytest.raises(SystemExit):
        end("error: \x1b]0;title\x07")
    assert victim.read_text() == "precious"
    log.unlink()
    with pytest.raises(SystemExit) as ended:
        end("error: \x1b]0;title\x07")
    assert ended.value.code == "error: \\x1b]0;title\\x07" == log.read_text().rstrip()


def test_every_program_prints_through_one_function():
    for path in (ROOT / "scripts").rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = [call.func.id for call in calls if isinstance(call.func, ast.Name)]
        allowed = path.name == "errors.py" or "download" in path.parts
        assert "print" not in names or allowed, path
    show("a\x1b[2Jb", "c", file=(shown := io.StringIO()))
    assert shown.getvalue() == "a\\x1b[2Jb\nc\n"


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


def evaluated_url(url: str, **more) -> Study:
    record = {
        "task": "qa", "title": "Theirs", "licence": "none", "reader": "squad", "languages": ["qen"],
        "source": {"url": url}, "splits": {"test": {"sha256": "a" * 64}},
    } | more  # fmt: skip
    return study(datasets={"theirs": record}, tracks__qa__evaluate={"theirs": "all"})


@pytest.mark.parametrize(
    "url",
    [
        "https://$(touch pwned;id)/x.json",
        "https://`id`.org/x.json",
        "https://a b/x.json",
        "https://a'b/x.json",
        "https://{code}.org/x.json",
        "https://../x.json",
        "https://[fe80::1%$(id)]/x.json",
        "https://[x/x.json",
        "https://example.org:a/x.json",
        "https://example.org\\@evil/x.json",
    ],
)
def test_a_host_is_no_shell(url):
    with pytest.raises(UserError, match=r"host|address"):
        evaluated_url(url, codes={"qen": "$(id)"})


@pytest.mark.parametrize("host", ["example.org", "Example.ORG", "127.0.0.1:8080", "[::1]:80", "xn--bcher-kva.example"])
def test_a_host_is_a_name_or_a_number(host):
    (manifest,) = DataRequirements(evaluated_url(f"https://{host}/x.json")).downloads
    assert re.fullmatch(r"data/raw/url/[a-z0-9.:-]+/x.json-[0-9a-f]{8}.json", manifest)


@settings(deadline=None, max_examples=40)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_no_host_leaves_its_characters(host):
    try:
        (manifest,) = DataRequirements(evaluated_url(f"https://{host}/x.json")).downloads
    except UserError:
        return
    assert re.fullmatch(r"data/raw/url/[a-z0-9._:-]+/[\w.-]+", manifest) and "/../" not in manifest


@pytest.mark.parametrize("name", ["/etc/passwd", "../../../../home/secret/keys.yaml", "a/../../x"])
def test_a_name_of_a_language_leads_out_of_no_folder(tmp_path, name):
    with pytest.raises(UserError, match="leaves the folder of the synthetic data"):
        evaluated_on(tmp_path, "", source={"synthetic": "{code}"}, codes={"qen": name})


def test_rows_are_read_inside_the_folder_of_synthetic_data(tmp_path, victim):
    (tmp_path / "raw/world").mkdir(parents=True)
    (tmp_path / "raw/world/x.json").symlink_to(victim)
    source = {"synthetic": "x.json"}
    record = evaluated_on(tmp_path, "", source=source).records("theirs")["theirs"]
    dataset = load_registry(tmp_path, {"theirs": record})["theirs"]
    with pytest.raises(UserError, match="lies outside"):
        load_rows(dataset, "test", "qen", {}, tmp_path / "raw")


@pytest.mark.parametrize("link", ["file", "folder"])
def test_links_in_a_folder_of_data_lead_out_of_it_only_by_name(tmp_path, link):
    (tmp_path / "private").mkdir()
    (tmp_path / "private/x.json").write_text("precious")
    needs = evaluated_on(tmp_path, "{theirs}/sub/x.json")
    if link == "file":
        (tmp_path / "data/sub").mkdir()
        (tmp_path / "data/sub/x.json").symlink_to(tmp_path / "private/x.json")
    else:
        (tmp_path / "data/sub").symlink_to(tmp_path / "private")
    message = rf"(?s)outside.*\(a link to {tmp_path}/private/x.json\).*mine: {tmp_path}/private"
    with pytest.raises(UserError, match=message):
        needs.check_files()
    dataset = load_registry(tmp_path, needs.records("theirs"))["theirs"]
    folders = {"theirs": str(tmp_path / "data")}
    with pytest.raises(UserError, match=message):
        load_rows(dataset, "test", "qen", folders, tmp_path / "raw")
    with pytest.raises(UserError, match="JSON"):
        load_rows(dataset, "test", "qen", folders | {"mine": str(tmp_path / "private")}, tmp_path / "raw")


def test_a_link_to_the_process_is_no_data(tmp_path):
    needs = evaluated_on(tmp_path, "{theirs}/x")
    (tmp_path / "data/x").symlink_to("/proc/self/environ")
    with pytest.raises(UserError, match="outside"):
        needs.check_files()


def test_the_place_of_a_file_is_not_published(tmp_path):
    needs = evaluated_on(tmp_path, f"{tmp_path}/data/x")
    (tmp_path / "data/x").write_text("{}")
    with pytest.raises(UserError, match=rf"(?s)would be published.*mine: {tmp_path}/data\n.*{{mine}}/x"):
        needs.check_files()
    published = config_affecting_results(study(folders={"priv": "/home/alice/secret-project"}).config)
    assert published["folders"] == {"priv": "priv"}


def test_a_published_table_is_one_of_the_project(tmp_path):
    (tmp_path / "keys.yaml").write_text("tab: {secret: 1}")
    table = {"panel": "qa/worldqa", "columns": {"x": "all"}, "rows": {"y": "joint"}}
    for name in (f"{tmp_path}/keys.tab", "../keys.tab", "a/b.tab"):
        with pytest.raises(UserError, match=r"published\.p\.table: .* is not allowed"):
            study(published={"p": table | {"table": name}})


@pytest.mark.parametrize("model", ["safe--org/model", "safe/org--model", "a..b/c"])
def test_a_model_is_fetched_under_the_name_that_is_shown(model):
    with pytest.raises(UserError, match="is not allowed"):
        study(models={"theirs": {"hub": model, "revision": "a" * 40}})


# --- programs --------------------------------------------------------------------------------------------------------

SECRETS = (
    "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY", "GIT_PASSWORD", "GPG_PASSPHRASE", "GITHUB_PAT", "MYSQL_PWD",
    "SSHPASS", "OPENAI_KEY", "PRIVATE_KEY", "DATABASE_URL", "COOKIE", "https_proxy", "SESSION", "NETRC", "PGPASSFILE",
)  # fmt: skip

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
    for name in SECRETS:
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("LC_MESSAGES", "C")
    translator = CommandTranslator("sh -c 'env | grep -c s3cret; echo'", {"a-b": "x"})
    assert translator.translate(["one"], "a", "b") == ["0"]
    translator = CommandTranslator("sh -c 'echo $PATH $LC_ALL $LC_MESSAGES; echo'", {"a-b": "x"})
    assert translator.translate(["one"], "a", "b") == [f"{os.environ['PATH']} C.UTF-8 C"]


def test_git_runs_no_program_of_a_copy_s_settings(project):
    (project / "hook.sh").write_text(f"#!/bin/sh\ntouch {project}/ran\n")
    (project / "hook.sh").chmod(0o755)
    git = ["git", "-C", str(project), "config", "core.fsmonitor"]
    subprocess.run([*git, str(project / "hook.sh")], check=True)
    assert commit(project)["commit"] and tracked_files(project)
    assert not (project / "ran").exists()


@pytest.mark.parametrize("consent", ["allow_commands: true", "replace: true", 'replace: "true"', "archive: theirs.zip"])
def test_a_file_consents_to_nothing(tmp_path, consent):
    done = inspect(tmp_path, f"{yaml.safe_dump(STUDY)}\n{consent}\n")
    key, value = consent.split(": ")
    assert done.returncode == 1, done.stdout
    assert f"the key '{key}' is for the command line alone" in done.stderr
    assert f"--config {key}={value.strip(chr(34))}" in done.stderr


YTE = "__use_yte__: true\nstudy: ?open('ran.txt', 'w').write('x')\n"


def inspect(folder: Path, text: str) -> subprocess.CompletedProcess:
    folder.mkdir(exist_ok=True)
    (folder / "study.yaml").write_text(text)
    command = [sys.executable, str(ROOT / "scripts/inspect_study.py"), "study.yaml"]
    for part in ("schemas", "registry", "published", "claims"):
        (folder / part).symlink_to(ROOT / part)
    return subprocess.run(command, cwd=folder, text=True, capture_output=True)


def test_an_inspection_runs_no_python_of_a_study(tmp_path):
    done = inspect(tmp_path, YTE)
    assert done.returncode == 1 and "run Python from this file" in done.stderr, done.stderr
    assert not (tmp_path / "ran.txt").exists()


def test_an_inspection_lists_what_a_study_would_do(tmp_path):
    config = STUDY | {"translators": TRANSLATORS, "trackers": ["wandb"]}
    config["models"] = {"theirs": {"hub": "some/model", "revision": "a" * 40}}
    config["tracks"] = config["tracks"] | {
        "qa": STUDY["tracks"]["qa"] | {"schedules": {"translated": ["worldchaii_mt.qbn"]}}
    }
    done = inspect(tmp_path, yaml.safe_dump(config))
    assert done.returncode == 0, done.stderr
    for line in ("  cat -u", "  wandb", f"  some/model at {'a' * 40}", f"  results/{STUDY['study']}"):
        assert f"{line}\n" in done.stdout, done.stdout


def inspected(tmp_path: Path, **changes) -> list[str]:
    done = inspect(tmp_path, yaml.safe_dump(STUDY | changes))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("hidden", ["\n" * 100 + "runs:\n  nothing", " " * 500 + "runs:", "\u2028runs:", "\u3000runs:"])
def test_a_value_of_a_study_stays_in_its_line(tmp_path, hidden):
    lines = inspected(tmp_path, folders={"theirs": f"/data/{hidden}"})
    plain = inspected(tmp_path / "plain", folders={"theirs": "/data"})
    assert len(lines) == len(plain)
    (line,) = (line for line in lines if "theirs" in line)
    assert re.match(r"  theirs: /data/ ?\\x", line) and not re.search(r"\S\s{2}", line)


def test_an_inspection_lists_every_file(tmp_path):
    record = {
        "task": "qa", "title": "T", "licence": "none", "reader": "squad", "languages": ["qen", "qes"],
        "source": {"synthetic": "qa/{lang}.test.json"}, "splits": {"test": {}},
    }  # fmt: skip
    lines = inspected(
        tmp_path,
        datasets={"made": record, "own": record | {"source": {"files": "{theirs}/{lang}.json"}}},
        tracks={"qa": STUDY["tracks"]["qa"] | {"evaluate": {"made": "all", "own": "all"}}},
        folders={"theirs": "/data"},
        distances={"file": "{theirs}/features.npz"},
    )
    files = lines[lines.index("reads the files:") :]
    assert files[1:4] == ["  /data/features.npz", "  /data/qen.json", "  /data/qes.json"]
    assert "  qa/qes.test.json" in lines[lines.index("reads the synthetic data:") :]


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
    assert stat.S_IMODE((tmp_path / "cache/entry").stat().st_mode) == 0o600
