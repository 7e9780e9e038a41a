"""Running a heavy program in a fork of the warm server, which has imported its libraries: the client's side."""

import hashlib
import json
import os
import re
import select
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from crosstune.core.errors import end
from crosstune.core.files import open_private_folder
from crosstune.core.locks import acquire_lock
from crosstune.machine.hardware import SPIN_COUNT
from crosstune.machine.slurm import in_slurm_job
from crosstune.machine.warm_server import BEGUN, FORWARDED, peer_user

# What a training or a prediction imports, except crosstune and models of other architectures.
MODULES = (
    "torch",
    "torch._dynamo",
    "torch.distributed.fsdp",
    "accelerate",
    "safetensors.torch",
    "sentencepiece",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.bert.modeling_bert",
    "transformers.models.xlm_roberta.modeling_xlm_roberta",
)

PROJECT = Path(__file__).parents[3]

SERVER = Path(__file__).with_name("warm_server.py")

# Variables that differ from job to job, and that no library reads while it is imported.
OF_A_JOB = re.compile(r"_|PWD|OLDPWD|SHLVL|CUDA_VISIBLE_DEVICES|GOMP_SPINCOUNT|CROSSTUNE_\w+|\w+_(NUM|MAXIMUM)_THREADS")

# Of one user and project at once: each has some hundred MiB. A job that would need another does without.
MOST_SERVERS = 4

# A server that has not begun a job by then hangs: no import takes so long.
SECONDS_TO_BEGIN = 120.0

SECONDS_OF_IDLE_SERVER = 60.0

SECONDS_BETWEEN_CHECKS = 1.0

LOCK = "lock"


def run_in_server(modules: Sequence[str] = MODULES) -> None:
    """Run this program, from its start, in a fork of the warm server that has imported `modules`; end as the fork does.

    Returns if the program is to run in this process: in a job of a cluster, as one of several that train together, in
    Apptainer (where each job has a container of its own), with options of Python's own, without standard input, output
    or errors, with CROSSTUNE_WARM_SERVER=0, and if there can be no server, whatever the reason.
    """
    if is_served(os.environ):
        connection = None
        with suppress(OSError):
            connection = _begin_job(modules)
        if connection:
            _end_as_job(connection)


def is_served(environ: Mapping[str, str]) -> bool:
    """Whether this program, in an environment, may run in a server."""
    foreign = {"WORLD_SIZE", "APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"} & environ.keys()
    is_wanted = environ.get("CROSSTUNE_WARM_SERVER") != "0" and not foreign and not in_slurm_job(environ)
    is_plain = sys.orig_argv[1:] == sys.argv and None not in (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    return sys.platform == "linux" and is_wanted and is_plain  # A fork of the server is not plain.


def server_name(modules: Sequence[str], environ: Mapping[str, str]) -> str:
    """A hash of everything that forks inherit from a server. Programs that differ in any of it share no server."""
    proc = Path("/proc/self")
    inherited = (b"Uid", b"Gid", b"Groups", b"Cap", b"NoNewPrivs", b"Seccomp", b"Cpus_allowed", b"Mems_allowed")
    parts = [
        [path.read_bytes() for path in (SERVER, Path(__file__))],
        [str(PROJECT), sys.version, sys.executable, sys.path[1:], *modules],
        sorted(environ.items()),
        [line for line in (proc / "status").read_bytes().splitlines() if line.startswith(inherited)],
        [(proc / name).read_bytes() for name in ("cgroup", "limits")],
        [os.readlink(link) for link in sorted((proc / "ns").iterdir())],
        [os.getpriority(os.PRIO_PROCESS, 0), Path("/proc/sys/kernel/random/boot_id").read_bytes()],
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _begin_job(modules: Sequence[str]) -> socket.socket | None:
    """The connection to the server that has begun this program; None if it is not begun. Raises OSError likewise."""
    environ = {name: value for name, value in os.environ.items() if not OF_A_JOB.fullmatch(name)}
    path = PROJECT / ".snakemake" / f"warm-{os.getuid()}" / server_name(modules, environ)
    folder = open_private_folder(path.parent)
    try:
        # A server that is out of date refuses the job and ends; then there is another.
        for _ in range(2):
            with suppress(ConnectionError):
                connection = _connect(folder, path.name) or _start_server(folder, path, modules, environ)
                _send_request(connection)
                if connection.recv(1) == BEGUN:
                    return connection
    finally:
        os.close(folder)
    return None


def _connect(folder: int, name: str) -> socket.socket | None:
    """A connection to the server whose socket is `name` in an open folder; None if there is no server."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(SECONDS_TO_BEGIN)
    try:
        # So the path is short enough for a socket, however long the project's is.
        connection.connect(f"/proc/self/fd/{folder}/{name}")
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    if peer_user(connection) != os.getuid():
        raise PermissionError
    return connection


def _start_server(folder: int, path: Path, modules: Sequence[str], environ: Mapping[str, str]) -> socket.socket:
    """The connection to a server that imports `modules`: a new one, or one that another client has just started."""
    from subprocess import DEVNULL, Popen

    lock = acquire_lock(Path(f"/proc/self/fd/{folder}/{LOCK}"), wait=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        servers = 0
        for name in set(os.listdir(folder)) - {LOCK}:
            connection = _connect(folder, name)
            if connection and name == path.name:
                return connection
            servers += bool(connection)
            if not connection:
                os.unlink(name, dir_fd=folder)
        if servers >= MOST_SERVERS:
            raise BlockingIOError
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        listener.listen(128)
        idle = os.environ.get("CROSSTUNE_WARM_IDLE", str(SECONDS_OF_IDLE_SERVER))
        command = [sys.executable, "-P", str(SERVER), str(listener.fileno()), str(path), idle, *modules]
        # Libraries read these once: OpenMP's threads spin so long, and OpenBLAS starts no threads before the fork.
        settings = {"GOMP_SPINCOUNT": SPIN_COUNT, "OPENBLAS_NUM_THREADS": "1"}
        options = {"env": {**environ, **settings}, "pass_fds": [listener.fileno()], "start_new_session": True}
        Popen(command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, **options).wait()
        connection = _connect(folder, path.name)
        if not connection:
            raise FileNotFoundError(path)
        return connection
    finally:
        listener.close()
        os.close(lock)


def _send_request(connection: socket.socket) -> None:
    umask = os.umask(0o077)
    os.umask(umask)
    job = {"arguments": sys.argv, "search_path": sys.path, "environment": dict(os.environ), "umask": umask}
    folder = os.open(".", os.O_PATH)
    with open(os.memfd_create("job"), "w+", encoding="utf-8") as file:
        json.dump(job, file)
        file.seek(0)
        socket.send_fds(connection, [b"j"], [file.fileno(), folder, 0, 1, 2])
    os.close(folder)


def _end_as_job(connection: socket.socket) -> NoReturn:
    """Wait for a job that has begun, forward signals to it, and end as it ends."""

    def forward(number: int, _: object) -> None:
        with suppress(OSError):
            connection.send(bytes([number]))

    for number in FORWARDED:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, forward)
    snakemake = os.environ.get("CROSSTUNE_SNAKEMAKE_PID")
    while not select.select([connection], [], [], SECONDS_BETWEEN_CHECKS)[0]:
        if snakemake and not _is_running(snakemake):
            sys.exit(1)  # The server then kills the job.
    answer = b""
    with suppress(ConnectionError):
        answer = connection.recv(4)
    if not answer:
        end("error: the warm server was killed, and this job with it\n  Run the same command again.")
    (status,) = struct.unpack("i", answer)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with suppress(OSError):  # Of SIGKILL.
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(os.WEXITSTATUS(status))


def _is_running(process: str) -> bool:
    """Whether a process is there and has not ended, from its number."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
