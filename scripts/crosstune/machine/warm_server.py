"""The warm server: a process that has imported the slow libraries, and forks for every job. `warm_client` starts it.

    python -P warm_server.py LISTENER SOCKET IDLE MODULE...

LISTENER is the inherited descriptor of a listening Unix socket, SOCKET its path, IDLE the seconds without a job after
which the server ends. The modules are third-party ones. A job imports crosstune itself, after the fork, so it sees
every edit: this file imports the standard library alone.

Protocol, one stream a job. The client sends a byte with descriptors: the request as JSON, its working folder, its
standard files. The server forks and sends BEGUN. Each further byte of the client is the number of a signal for the job.
At the job's end the server sends its wait status (a C int). If the client's stream ends, the server kills the job. A
server that cannot serve ends the stream before BEGUN: nothing has happened.
"""

import atexit
import ctypes
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType

BEGUN = b"b"

FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

# How often a server looks whether a job has ended, and an idle one whether its socket is still there.
SECONDS_BETWEEN_LOOKS, SECONDS_BETWEEN_CHECKS = 0.02, 5.0

# Devices of NVIDIA's driver, of that in WSL, and of AMD's.
GPU_DEVICES = ("/dev/nvidia", "/dev/dxg", "/dev/kfd", "/dev/dri")

PR_SET_PDEATHSIG = 1

LIBC = ctypes.CDLL(None)


def main() -> None:
    status: list[int] = []
    # Registered before any library's: it runs after all of theirs.
    atexit.register(leave, status)
    listener, path, idle, *modules = sys.argv[1:]
    if os.fork():
        os._exit(0)  # The client waits for this process. The server is no descendant of its first client.
    os.chdir("/")
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    before = file_identities()
    gc.disable()
    for module in modules:
        with suppress(Exception):  # The job meets the same error, and reports it.
            import_module(module)
    gc.freeze()
    gc.enable()
    request = Server(socket.socket(fileno=int(listener)), path, float(idle), file_identities() | before).serve()
    status.append(run_job(request) if request else 0)


def leave(status: list[int]) -> None:
    """End this process at once: to free every imported module takes 0.3 s. Does nothing if an error ends it."""
    if status:
        for file in (sys.stdout, sys.stderr):
            file.flush()
        os._exit(status[0])


def file_identities() -> dict[str, tuple | None]:
    """The identity of every file that this process is made of: interpreter, search path, imported modules."""
    modules = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    paths = {sys.executable, *sys.path, *(path for path in modules if isinstance(path, str))}
    return {path: file_identity(path) for path in paths}


def file_identity(path: str) -> tuple[int, int, int] | None:
    """Inode, modification time (ns) and size of a file; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def is_forkable() -> bool:
    """Whether a fork of this process can compute: it has one thread, and no GPU, which no fork could use.

    That libcuda is loaded means nothing: a driver in use has its devices open.
    """
    opened = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # The folder's own, which is closed by now.
            opened.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return len(os.listdir("/proc/self/task")) == 1 and not any(path.startswith(GPU_DEVICES) for path in opened)


def peer_user(connection: socket.socket) -> int:
    """The user of the process at the other end of a Unix socket."""
    return struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))[1]


class Server:
    """Forks for jobs, until it has had none for `idle` seconds, or its socket or one of its `files` has changed."""

    def __init__(self, listener: socket.socket, path: str, idle: float, files: dict[str, tuple | None]):
        self._listener, self._path, self._idle, self._files = listener, path, idle, files
        self._socket, self._forkable, self._last_job = file_identity(path), is_forkable(), time.monotonic()
        self._jobs: dict[socket.socket, int] = {}  # The process of each client's job; 0 before its request.

    def serve(self) -> list[int] | None:
        """Run until the server's end, and return None; in the fork of a job, return the descriptors of its request."""
        while self._jobs or self._listener.fileno() >= 0:
            listener = [self._listener] if self._listener.fileno() >= 0 else []
            seconds = SECONDS_BETWEEN_LOOKS if self._jobs else min(self._idle, SECONDS_BETWEEN_CHECKS)
            for ready in select.select([*listener, *self._jobs], [], [], seconds)[0]:
                if ready is self._listener:
                    client, _ = ready.accept()
                    if peer_user(client) == os.getuid():
                        self._jobs[client] = 0
                elif self._jobs[ready]:
                    self._forward(ready)
                elif request := self._begin(ready):
                    return request
            self._reap()
            if self._jobs:
                self._last_job = time.monotonic()
            elif time.monotonic() - self._last_job > self._idle or file_identity(self._path) != self._socket:
                self._retire()
        return None

    def _begin(self, client: socket.socket) -> list[int] | None:
        """Fork for the request that a client has sent; in the fork, return its descriptors."""
        request: list[int] = []
        with suppress(OSError):  # There may be no memory for a fork.
            _, request, _, _ = socket.recv_fds(client, 1, 5)
            if request and self._forkable and self._is_current():
                server, process = os.getpid(), os.fork()
                if not process:
                    self._become_job(server)
                    return request
                self._jobs[client] = process
                client.send(BEGUN)
        for descriptor in request:
            os.close(descriptor)
        if not self._jobs[client]:
            self._drop(client)
        return None

    def _become_job(self, server: int) -> None:
        """In a fork: have nothing of the server's any more, and end when it ends."""
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:
            os._exit(1)
        os.setpgid(0, 0)
        for connection in (self._listener, *self._jobs):
            connection.close()

    def _is_current(self) -> bool:
        changed = any(file_identity(path) != identity for path, identity in self._files.items())
        if changed:
            self._retire()
        return not changed

    def _forward(self, client: socket.socket) -> None:
        """Send a job the signals that its client has received; kill it if the client has closed the connection."""
        numbers = b""
        with suppress(ConnectionError):
            numbers = client.recv(64)
        process = self._jobs[client]
        for number in numbers or [signal.SIGKILL]:
            os.kill(process, number)
        if not numbers:
            with suppress(ProcessLookupError):  # The fork has not made its group yet, so it has started nothing.
                os.killpg(process, signal.SIGKILL)
            self._drop(client)

    def _reap(self) -> None:
        """Send the wait statuses of jobs that have ended to their clients."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                for client in [client for client, process in self._jobs.items() if process == ended[0]]:
                    with suppress(ConnectionError):
                        client.send(struct.pack("i", ended[1]))
                    self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        del self._jobs[client]
        client.close()

    def _retire(self) -> None:
        """Take no more jobs. The next client starts another server."""
        if file_identity(self._path) == self._socket:
            os.unlink(self._path)
        self._listener.close()


def run_job(request: list[int]) -> int:
    """Become the client's process in everything that a program sees, and run its program; the exit status."""
    description, folder, *standard_files = request
    with open(description, encoding="utf-8") as file:
        job = json.load(file)
    os.fchdir(folder)
    os.close(folder)
    os.umask(job["umask"])
    os.environ.clear()
    os.environ.update(job["environment"])
    sys.argv, sys.path[:] = job["arguments"], job["search_path"]
    for number, descriptor in enumerate(standard_files):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())
    for number in FORWARDED:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    # State of libraries in the server that a process of its own would draw or look up anew.
    tempfile.tempdir = None
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()
    program = ModuleType("__main__")
    program.__file__ = os.path.abspath(sys.argv[0])
    sys.modules["__main__"] = program
    try:
        exec(compile(Path(program.__file__).read_bytes(), program.__file__, "exec"), vars(program))
    except SystemExit as end:
        if not isinstance(end.code, int | None):  # A message, which Python prints.
            raise
        return (end.code or 0) & 0xFF
    return 0


if __name__ == "__main__":
    main()
