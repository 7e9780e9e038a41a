"""Kills a process of a study at one moment of one write: an audit hook that Python installs when it starts.

A campaign copies this file as `sitecustomize.py` into a folder of PYTHONPATH. Two variables, which a process reads at
each write, so that the warm server's jobs have their own:

- CROSSTUNE_WRITES_LOG: a file that gets a line of JSON for every write.
- CROSSTUNE_WRITE_HIT: JSON of a Hit. The first process that reaches it takes the marker, and is killed.

A write is a file that appears as a whole under its name: a hidden temporary file that is moved, or a hard link.
"""

import json
import os
import re
import resource
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass

TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp")

# In the order in which a write passes them; the last two are of links.
BEFORE, WITHIN, AFTER, MOVED, UNLINKED, LINKED = MOMENTS = (
    "before the write",
    "within the write",
    "before the move",
    "after the move",
    "before the link",
    "after the link",
)


@dataclass(frozen=True)
class Write:
    """The `number`-th write of a process to a file, by its path in the project. Only links have a `source`."""

    target: str
    number: int
    process: int
    begin: float
    size: int
    source: str = ""


@dataclass(frozen=True)
class Hit:
    """A moment of a write. `byte`: where a hit within the write cuts it. `marker`: a file that exists once hit."""

    target: str
    number: int
    moment: str
    byte: int
    marker: str


def target_of(temporary: str) -> str:
    """The file that a temporary file becomes; empty if it is none."""
    folder, name = os.path.split(temporary)
    found = TEMPORARY.fullmatch(name)
    return os.path.join(folder, found[1]) if found else ""


class WriteHook:
    """Follows the writes of this process from its audit events."""

    def __init__(self):
        self._writes: Counter[str] = Counter()
        self._begun: dict[str, float] = {}
        self._events = {"open": self._open, "os.rename": self._move, "os.remove": self._remove, "os.link": self._link}
        self._busy = self._linked = False
        self._cut = ""
        self._process = os.getpid()

    def __call__(self, event: str, arguments: tuple) -> None:
        if self._busy or not (event in self._events or self._linked):
            return
        self._busy = True  # What the hook itself does raises events too.
        try:
            if self._linked:
                kill()
            self._events[event](*arguments)
        finally:
            self._busy = False

    def _open(self, path: object, mode: object, flags: int) -> None:
        temporary = absolute(path)
        if temporary in self._begun or not (target := target_of(temporary)):
            return
        self._begin(target)
        self._begun[temporary] = time.time()
        if self._hits(target, BEFORE):
            kill()
        if hit := self._hits(target, WITHIN):
            self._cut = temporary
            limit_size(hit.byte)

    def _move(self, source: object, target: object, *_: object) -> None:
        temporary = absolute(source)
        if temporary not in self._begun:
            return
        name = target_of(temporary)
        if temporary == self._cut:
            limit_size(resource.RLIM_INFINITY)
            note(wanted().marker, "the write was not cut")
        if self._hits(name, AFTER):
            kill()
        self._record(name, self._begun[temporary], os.stat(temporary).st_size)

    def _remove(self, path: object, *_: object) -> None:
        """A writer removes its temporary file once this has been moved."""
        temporary = absolute(path)
        is_moved = self._begun.pop(temporary, None) and not os.path.exists(temporary)
        if is_moved and self._hits(target_of(temporary), MOVED):
            kill()

    def _link(self, source: object, target: object, *_: object) -> None:
        source, target = absolute(source), absolute(target)
        self._begin(target)
        if self._hits(target, UNLINKED):
            kill()
        self._linked = bool(self._hits(target, LINKED))  # Killed at whatever this process does next.
        self._record(target, time.time(), os.stat(source).st_size, os.path.relpath(source))

    def _begin(self, target: str) -> None:
        if self._process != os.getpid():  # A fork of the warm server.
            self._writes.clear()
            self._process = os.getpid()
        self._writes[target] += 1

    def _hits(self, target: str, moment: str) -> Hit | None:
        """The hit, if it is this moment of the current write to a target, and nobody had it."""
        hit = wanted()
        here = (os.path.relpath(target), self._writes[target], moment)
        return hit if hit and here == (hit.target, hit.number, hit.moment) and claim(hit.marker) else None

    def _record(self, target: str, begin: float, size: int, source: str = "") -> None:
        if log := os.environ.get("CROSSTUNE_WRITES_LOG"):
            write = Write(os.path.relpath(target), self._writes[target], os.getpid(), begin, size, source)
            note(log, json.dumps(asdict(write)))


def absolute(path: object) -> str:
    """The absolute path of an event's argument; empty for a descriptor."""
    return os.path.abspath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else ""


def wanted() -> Hit | None:
    text = os.environ.get("CROSSTUNE_WRITE_HIT")
    return Hit(**json.loads(text)) if text else None


def claim(marker: str) -> bool:
    """Whether this process alone has made the marker."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


def note(path: str, line: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def limit_size(byte: int) -> None:
    """Let this process die of the first write beyond a byte of a file. Python ignores the signal otherwise."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (byte, resource.RLIM_INFINITY))


if __name__ == "sitecustomize":
    sys.addaudithook(WriteHook())
