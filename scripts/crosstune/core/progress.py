"""The progress of long work: a bar in a terminal, plain lines in a log."""

import sys
import time
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from crosstune.core.files import open_log

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Reports `total` steps of `name`, `done` of them earlier; call `advance` after each. A step has several units."""

    def __init__(
        self,
        name: str,
        total: int,
        done: int = 0,
        log: Path | None = None,
        terminal: TextIO = sys.stderr,
        unit: str = "tok",
    ):
        self._name, self._total, self._done, self._unit = name, total, done, f"{unit}/s"
        self._first, self._units, self._begin = done, 0, time.monotonic()
        self._log = open_log(log) if log else None
        # Without a log file the lines go to the terminal's stream, if it shows no bar.
        self._lines = self._log or (None if terminal.isatty() else terminal)
        shown = terminal.isatty()
        self._bar = tqdm(total=total, initial=done, desc=name, file=terminal, disable=not shown, leave=False)
        self._next_line = self._begin + SECONDS_BETWEEN_LINES
        if done and self._lines:
            self._lines.write(f"{name} resumes at {done}/{total}\n")
            self._lines.flush()

    def advance(self, units: int, **figures: str) -> None:
        """Report a step that worked on `units` units, and the latest figures."""
        self._done += 1
        self._units += units
        now = time.monotonic()
        self._bar.set_postfix({**figures, self._unit: f"{self._rate(now):,.0f}"}, refresh=False)
        self._bar.update()
        if self._lines and (now >= self._next_line or self._done == self._total):
            self._next_line = now + SECONDS_BETWEEN_LINES
            left = (now - self._begin) / (self._done - self._first) * (self._total - self._done)
            parts = [f"{self._name} {self._done}/{self._total}", *(f"{k} {v}" for k, v in figures.items())]
            parts += [f"{self._rate(now):,.0f} {self._unit}", f"{left:.0f} s left"]
            self._lines.write(", ".join(parts) + "\n")
            self._lines.flush()

    def close(self) -> None:
        self._bar.close()
        if self._log:
            self._log.close()

    def _rate(self, now: float) -> float:
        return self._units / max(now - self._begin, 1e-9)
