"""What Snakemake prints of a dry run: a study has thousands of jobs, and the table of their numbers says enough."""

import logging
from collections.abc import Callable

# Snakemake's names of events.
JOB, TABLE = "JOB_INFO", "RUN_INFO"

REASONS = "Reasons:"


class DryRunFilter(logging.Filter):
    """A filter of Snakemake's log that leaves the summary and one table of the jobs, while `is_short` says so.

    Snakemake prints its table before the jobs and again after them, and then what reasons there were.
    """

    def __init__(self, is_short: Callable[[], bool]):
        super().__init__()
        self._is_short = is_short
        self._tables = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to print a record; warnings and errors always."""
        if record.levelno > logging.INFO or not self._is_short():
            return True
        event = getattr(getattr(record, "event", None), "name", "")
        self._tables += event == TABLE
        return not (event == JOB or (event == TABLE and self._tables > 1) or str(record.msg).startswith(REASONS))
