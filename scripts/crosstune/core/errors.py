"""The one exception that a user can cause, and the guard that prints it without a traceback."""

import argparse
import contextlib
import errno
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from typing import NoReturn, TextIO

SECONDS_TO_REPORT = 1.0

# Words of torch and of its kernels where there is no memory, on a CPU and on a GPU.
WITHOUT_MEMORY = ("can't allocate memory", "could not create a primitive", "out of memory")

# What a user can mend on a machine: the fault and the remedy by the system's number.
FULL_DISK = ("the disk is full", "Free some space")
FULL_MEMORY = ("the memory is full", "Give the job more memory")
MACHINE_FAULTS = {
    errno.ENOSPC: FULL_DISK,
    errno.EDQUOT: FULL_DISK,
    errno.EROFS: ("the disk is read-only", "Make it writable"),
    errno.ENOMEM: FULL_MEMORY,
}

# Control characters except tabs and ends of lines, marks that reorder text, halves of surrogate pairs.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """A text for a terminal: control characters and those that reorder text are shown as escapes.

    Names and messages may come from servers, archives and data files.
    """
    return UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], text)


def show(*lines: str, file: TextIO | None = None) -> None:
    """Print lines for a terminal, by default on stdout, with control characters as escapes."""
    print(printable("\n".join(lines)), file=file or sys.stdout, flush=True)


class UserError(Exception):
    """A mistake in the input: the message, its place, and the remedy.

    `where` is a config key (`tracks.qa.budget`), a file, or `file:line`; `fix` is one or more lines to act on or paste.
    """

    def __init__(self, message: str, where: str = "", fix: str = ""):
        super().__init__(message, where, fix)
        self.message, self.where, self.fix = message, where, fix

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        return printable(head + (f"\n  {self.fix.replace(chr(10), chr(10) + '  ')}" if self.fix else ""))


def run_program(main: Callable[[], None]) -> None:
    """Run a command-line program: a UserError, a disk without room or a full memory ends it with one message.

    The message, or the traceback of another error, also goes to the file of the option --log, if there is one. A
    program reads nothing from the terminal: a library that asks there gets the end of a file.
    """
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    try:
        main()
    except UserError as error:
        end(f"error: {error}")
    except Exception as error:
        _log(traceback.format_exc())
        if not (found := _fault(error)):
            raise
        fault, fix = found
        where = f" while writing {error.filename}" if getattr(error, "filename", None) else ""
        end(f"error: {fault}{where}\n  What was finished stays. {fix} and run the same command again.")


def _fault(error: Exception) -> tuple[str, str] | None:
    """The fault of the machine behind an error, with its remedy; None for other errors.

    torch has no exception of its own for a full memory on a CPU: it raises a RuntimeError.
    """
    if isinstance(error, MemoryError):
        return FULL_MEMORY
    if isinstance(error, RuntimeError) and any(words in str(error) for words in WITHOUT_MEMORY):
        return FULL_MEMORY
    return MACHINE_FAULTS.get(error.errno) if isinstance(error, OSError) else None


def end(message: str) -> NoReturn:
    """End the program with exit code 1 and a message, which goes to its log too.

    Of several processes that train together only the first reports. The others wait for it, because the end
    of one process ends all.
    """
    if os.environ.get("RANK", "0") != "0":
        time.sleep(SECONDS_TO_REPORT)
        sys.exit(1)
    _log(f"{message}\n")
    sys.exit(printable(message))


def _log(text: str) -> None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--log")
    path = parser.parse_known_args()[0].log
    if path:
        # A log on a full disk must not hide the report of the full disk.
        with contextlib.suppress(OSError), open(path, "a", encoding="utf-8", opener=_open_no_link) as file:
            file.write(printable(text))


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
