"""The warm server: real clients, real servers, in a copy of the code whose server imports next to nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.processes import is_running, wait_until

from crosstune.machine.warm_client import MODULES, is_served

PACKAGE = Path(__file__).parents[2] / "scripts/crosstune"
# A program that runs the code that it is given, in a server that has imported some modules.
PROGRAM = """
import json, os, signal, sys, time
from crosstune.core.errors import run_program
from crosstune.machine.warm_client import run_in_server

def main():
    run_in_server(os.environ.get("CROSSTUNE_TEST_MODULES", "fractions").split())
    exec(sys.argv[1], globals())

if __name__ == "__main__":
    run_program(main)
"""
# What a program sees of its surroundings, except those that tell one process from another.
LOOK = """
def target(number):
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return None
umask = os.umask(0)
print(json.dumps({
    "arguments": sys.argv[2:], "name": __name__, "file": __file__, "folder": os.getcwd(), "umask": umask,
    "environment": dict(os.environ), "path": sys.path, "files": [target(number) for number in range(3)],
    "streams": [str(file and file.encoding) for file in (sys.stdin, sys.stdout, sys.stderr)],
    "niceness": os.nice(0), "cores": sorted(os.sched_getaffinity(0)),
    "main": sys.modules["__main__"].__dict__ is globals(),
}), file=sys.stdout or open(sys.argv[-1], "w"))
"""
FOREIGN = re.compile(r"SLURM_\w+|WORLD_SIZE|\w+_CONTAINER|CROSSTUNE_\w+")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not FOREIGN.fullmatch(name)}
ENVIRONMENT["CROSSTUNE_WARM_IDLE"] = "600"
WARM = "print('fractions' in sys.modules, os.getppid(), os.getpid(), flush=True)"
# In short sleeps: Python handles a signal that comes just before a sleep begins after that sleep.
WAIT = "while True: time.sleep(0.1)"


class Project:
    """A copy of the code that the server consists of, and its programs, each a process."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.sockets = folder / f".snakemake/warm-{os.getuid()}"
        for part in ("__init__.py", "core", "machine"):
            copy = shutil.copy if part.endswith(".py") else shutil.copytree
            (folder / "scripts/crosstune").mkdir(parents=True, exist_ok=True)
            copy(PACKAGE / part, folder / "scripts/crosstune" / part)
        self.write("program", PROGRAM)

    def write(self, module: str, text: str) -> None:
        (self.folder / f"scripts/{module}.py").write_text(text)

    def begin(self, code: str, *arguments: str, environ: dict | None = None, **options) -> subprocess.Popen:
        command = [sys.executable, "scripts/program.py", code, *arguments]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environ = {**ENVIRONMENT, **(environ or {})}
        return subprocess.Popen(command, **{"cwd": self.folder, "env": environ, **pipes, **options})

    def run(self, code: str, *arguments: str, **options) -> tuple[int, str, str]:
        """Exit status, output and errors of a program."""
        process = self.begin(code, *arguments, **options)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def server(self, code: str = WARM, **options) -> int | None:
        """The process of the server that runs a program; None if it runs by itself."""
        status, output, errors = self.run(code, **options)
        assert status == 0, errors
        is_warm, parent, _ = output.split()
        return int(parent) if is_warm == "True" else None

    def servers(self) -> list[int]:
        """The servers of this project that are there."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(self.folder / "scripts/crosstune/machine/warm_server.py").encode() in command:
                found.append(int(folder.name))
        return found


@pytest.fixture
def new_project(tmp_path):
    made = []

    def make(name: str = "project") -> Project:
        made.append(Project(tmp_path / name))
        return made[-1]

    yield make
    for project in made:
        for server in project.servers():
            os.kill(server, signal.SIGKILL)


@pytest.fixture
def project(new_project) -> Project:
    return new_project()


@pytest.mark.parametrize("redirection", ["", "<&-", ">&-", "<&- >&- 2>&-"])
def test_a_program_sees_the_same_as_in_a_process_of_its_own(project, tmp_path, redirection):
    seen = []
    for warm in ("0", "1"):
        out = tmp_path / f"seen{warm}"
        command = f'umask 027; cd {tmp_path}; exec nice -n 1 taskset -c 0 "$@" {redirection}'
        program = [sys.executable, "project/scripts/program.py", LOOK, "two words", "", str(out)]
        environ = {**ENVIRONMENT, "CROSSTUNE_WARM_SERVER": warm, "ODD": "\udcff"}
        shell = ["bash", "-c", command, "bash", *program]
        done = subprocess.run(shell, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environ)
        assert (done.returncode, done.stderr) == (0, "")
        found = json.loads((done.stdout or out.read_text()).replace(str(out), "OUT"))
        del found["environment"]["CROSSTUNE_WARM_SERVER"]
        found["files"] = [re.sub(r"\d+", "N", file or "closed") for file in found["files"]]
        seen.append(found)
    assert len(project.servers()) == (not redirection)
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "code",
    [
        "print('out', end=''); print('err', file=sys.stderr)",
        "sys.exit(3)",
        "sys.exit('a message')",
        "from crosstune.core.errors import UserError; raise UserError('wrong', 'here', 'fix')",
        "import atexit; atexit.register(print, 'at the end'); sys.exit(2)",
        "from concurrent.futures import ThreadPoolExecutor; ThreadPoolExecutor(1).submit(print, 'late')",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.abort()",
    ],
)
def test_a_program_ends_as_in_a_process_of_its_own(project, code):
    assert project.run(code) == project.run(code, environ={"CROSSTUNE_WARM_SERVER": "0"})
    assert len(project.servers()) == 1


def test_an_error_keeps_its_traceback(project):
    status, _, errors = project.run("1 / 0")
    assert status == 1 and errors.rstrip().endswith("ZeroDivisionError: division by zero")


def test_the_job_of_a_killed_client_ends_and_so_do_the_processes_that_it_has_started(project):
    code = f"import subprocess; print(subprocess.Popen(['sleep', '600']).pid, end=' '); {WARM}\n{WAIT}"
    client = project.begin(code)
    sleeper, _, server, job = client.stdout.readline().split()
    assert all(map(is_running, map(int, (sleeper, server, job))))
    client.kill()
    wait_until(lambda: not is_running(int(job)) and not is_running(int(sleeper)))
    assert project.server() == int(server), "it lives on"


def test_no_job_outlives_a_killed_snakemake(project):
    snakemake = subprocess.Popen(["sleep", "600"])
    client = project.begin(f"{WARM}\n{WAIT}", environ={"CROSSTUNE_SNAKEMAKE_PID": str(snakemake.pid)})
    job = int(client.stdout.readline().split()[2])
    snakemake.kill()  # and nobody waits for it yet
    wait_until(lambda: not is_running(job))
    assert client.wait(timeout=60) == 1
    snakemake.wait()


def test_a_client_says_that_its_server_was_killed(project):
    client = project.begin(f"{WARM}\n{WAIT}")
    _, server, job = client.stdout.readline().split()
    os.kill(int(server), signal.SIGKILL)
    assert client.communicate(timeout=60)[1] == (
        "error: the warm server was killed, and this job with it\n  Run the same command again.\n"
    )
    assert client.returncode == 1
    wait_until(lambda: not is_running(int(job)))
    assert project.server() not in (None, int(server)), "the next client starts another"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_signals_reach_the_job(project, number):
    handled = f"signal.signal({int(number)}, lambda *_: sys.exit('state is saved')); {WARM}\n{WAIT}"
    for code, status, message in ((handled, 1, "state is saved\n"), (f"{WARM}\n{WAIT}", -number, None)):
        client = project.begin(code)
        assert client.stdout.readline().startswith("True")
        client.send_signal(number)
        errors = client.communicate(timeout=60)[1]
        assert client.returncode == status
        assert message in (None, errors)


def test_clients_at_once_start_one_server(project):
    clients = [project.begin(f"{WARM}; time.sleep(1)") for _ in range(4)]
    outputs = [client.communicate(timeout=60)[0].split() for client in clients]
    assert len({server for _, server, _ in outputs}) == 1
    assert len({job for *_, job in outputs}) == 4
    assert [client.returncode for client in clients] == [0] * 4


def test_an_idle_server_ends(project):
    server = project.server(environ={"CROSSTUNE_WARM_IDLE": "0.5"})
    wait_until(lambda: not is_running(server))
    assert [path.name for path in project.sockets.iterdir()] == ["lock"]


def test_a_server_whose_socket_is_gone_ends(project):
    server = project.server()
    shutil.rmtree(project.sockets)
    wait_until(lambda: not is_running(server))


def test_a_server_of_other_code_packages_or_surroundings_is_not_used(project):
    packages = project.folder / "packages"
    packages.mkdir()
    (packages / "package.py").write_text("version = 1")
    use = {"CROSSTUNE_TEST_MODULES": "fractions package", "PYTHONPATH": str(packages)}
    version = f"import package; print(package.version, file=sys.stderr); {WARM}"
    assert project.run(version, environ=use)[2] == "1\n"
    first = project.server(environ=use)
    assert project.server(environ=use) == first
    (packages / "package.py").write_text("version = 22")
    assert project.run(version, environ=use)[2] == "22\n"
    wait_until(lambda: not is_running(first))
    second = project.server(environ=use)
    (packages / "another.py").touch()
    third = project.server(environ=use)
    fourth = project.server(environ={**use, "HF_HOME": "/elsewhere"})
    with (project.folder / "scripts/crosstune/machine/warm_server.py").open("a") as file:
        file.write("# changed\n")
    fifth = project.server(environ=use)
    assert len({first, second, third, fourth, fifth} - {None}) == 5


def test_variables_of_a_job_need_no_other_server(project):
    assert project.server() == project.server(environ={"OMP_NUM_THREADS": "7", "CUDA_VISIBLE_DEVICES": "1"})


def test_an_edit_of_the_programs_is_seen(project):
    server = project.server()
    code = "import crosstune.core.text as text; print(text.EDITED, os.getppid())"
    with (project.folder / "scripts/crosstune/core/text.py").open("a") as file:
        file.write("EDITED = 'yes'\n")
    assert project.run(code)[1].split() == ["yes", str(server)]


def test_a_user_has_few_servers_of_a_project(project):
    servers = [project.server(environ={"ODD": str(number)}) for number in range(6)]
    assert None not in servers[:4] and servers[4:] == [None, None]
    os.kill(servers[0], signal.SIGKILL)
    wait_until(lambda: not is_running(servers[0]))
    assert project.server(environ={"ODD": "another"})


def allow_others(sockets: Path) -> None:
    sockets.mkdir(parents=True)
    sockets.chmod(0o750)


def make_link(sockets: Path) -> None:
    (sockets.parent / "elsewhere").mkdir(parents=True, mode=0o700)
    sockets.symlink_to("elsewhere")


def make_lock_a_link(sockets: Path) -> None:
    sockets.mkdir(parents=True, mode=0o700)
    (sockets / "lock").symlink_to("elsewhere")


@pytest.mark.parametrize("prepare", [allow_others, make_link, make_lock_a_link, lambda path: path.parent.touch()])
def test_without_a_folder_of_its_own_a_program_runs_by_itself(project, prepare):
    prepare(project.sockets)
    status, output, errors = project.run(WARM)
    assert (status, errors) == (0, "") and output.startswith("False")
    assert project.servers() == []


def test_a_server_that_has_threads_serves_nobody(project):
    project.write(
        "threaded", "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    )
    use = {"CROSSTUNE_TEST_MODULES": "fractions threaded", "PYTHONPATH": str(project.folder / "scripts")}
    assert project.server(environ=use) is None


@pytest.mark.parametrize("tmpdir", ["/nonexistent", "/proc"])
def test_no_folder_for_temporary_files_is_needed(project, tmpdir):
    assert project.server(environ={"TMPDIR": tmpdir})


def test_a_projects_path_may_be_long_and_have_spaces(new_project):
    assert new_project(f"a project/{'x' * 60}/{'y' * 60}").server()


@pytest.mark.parametrize(
    "environ",
    [{"SLURM_JOB_ID": "1"}, {"WORLD_SIZE": "2"}, {"APPTAINER_CONTAINER": "/x.sif"}, {"CROSSTUNE_WARM_SERVER": "0"}],
)
def test_some_programs_run_by_themselves(project, environ):
    assert project.server(environ=environ) is None
    assert project.servers() == []


def test_a_program_with_options_of_pythons_own_runs_by_itself(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["program.py", "x"])
    for options, served in (([], True), (["-X", "importtime"], False)):
        monkeypatch.setattr(sys, "orig_argv", ["python", *options, "program.py", "x"])
        assert is_served({}) == served


def test_a_job_writes_its_memory(project, tmp_path):
    note = tmp_path / "benchmarks/train.requested.json"
    code = (
        f"from crosstune.machine.job_usage import record_usage; record_usage(({str(note)!r}, '100', '10')); "
        f"block = b'x' * 200_000_000; {WARM}"
    )
    assert project.server(code)
    found = json.loads(note.read_text())
    assert found["mem_mb"] == 100 and 200 < found["peak_mib"] < 400 and found["cpu_seconds"] < 60


def test_weights_are_those_of_a_process_of_its_own(project):
    """With everything that a training imports, on one thread and on two."""
    code = """
from crosstune.machine.hardware import use_threads
print(sum(name.startswith("transformers.models") for name in sys.modules) > 5, os.getppid(), os.getpid())
print(len(os.listdir(f"/proc/{os.getppid()}/task")))
use_threads(int(sys.argv[2]))
import torch, hashlib
torch.manual_seed(1)
model = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
optimizer = torch.optim.AdamW(model.parameters())
for _ in range(3):
    model(torch.randn(8, 64, 64)).square().mean().backward()
    optimizer.step()
print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest())
"""
    use = {"CROSSTUNE_TEST_MODULES": " ".join(MODULES)}
    for threads in ("1", "2"):
        cold, warm = (
            project.run(code, threads, environ={**use, "CROSSTUNE_WARM_SERVER": on})[1].split() for on in "01"
        )
        assert (cold[0], warm[0], warm[3]) == ("False", "True", "1")
        assert cold[-1] == warm[-1]
