"""Code that runs in a process of its own with little memory and time, and what became of it.

A limit that is broken then ends that process alone, not the machine with all that runs on it.
"""

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.core.errors import UserError

SCRIPTS = Path(__file__).parents[2] / "scripts"


@dataclass(frozen=True)
class Outcome:
    """`error` is the name of the exception, or empty; `grown` is the address space taken beyond that of the imports."""

    error: str
    message: str
    grown: int


def run_limited(folder: Path, prepare: str, action: str, memory: int, seconds: int = 60) -> Outcome:
    """Run the statements `prepare`, and then evaluate `action` with at most `memory` bytes more and so many seconds."""
    command = [sys.executable, __file__, prepare, action, str(memory), str(seconds)]
    environ = os.environ | {"PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    environ |= {"MALLOC_ARENA_MAX": "1"}  # Each thread reserves address space otherwise.
    done = subprocess.run(command, cwd=folder, env=environ, text=True, capture_output=True, timeout=10 * seconds)
    if done.returncode:
        return Outcome("killed", f"exit code {done.returncode}\n{done.stderr[-2000:]}", 0)
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


def main(prepare: str, action: str, memory: int, seconds: int) -> None:
    names: dict[str, Any] = {}
    exec(prepare, names)
    before = address_space("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (before + memory, before + memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    error, message = "", ""
    try:
        eval(action, names)
    except UserError as fault:
        error, message = "UserError", str(fault)
    except Exception as fault:
        error, message = type(fault).__name__, str(fault)[:1000]
    print(json.dumps({"error": error, "message": message, "grown": address_space("VmPeak") - before}))


def address_space(key: str) -> int:
    """A size of this process in bytes, by its name in /proc."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[key].split()[0]) * 1024


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
