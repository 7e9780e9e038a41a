"""The orderly end of a training on a signal."""

import signal

INTERRUPTED = "stopped on request; the state is saved, rerun the same command to resume"


class TrainingInterrupted(Exception):
    """A signal asked the job to end; its state is saved."""


class InterruptGuard:
    """While open, SIGTERM and SIGUSR1 set `requested` instead of killing the process."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "InterruptGuard":
        self._handlers = {s: signal.signal(s, self._request) for s in (signal.SIGTERM, signal.SIGUSR1)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _request(self, *_: object) -> None:
        self.requested = True
