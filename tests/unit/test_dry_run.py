"""What a dry run prints: records of Snakemake's log with its own events."""

import logging

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from crosstune.core.dry_run import DryRunFilter


def record(event=None, level=logging.INFO, message="text") -> logging.LogRecord:
    made = logging.LogRecord("snakemake", level, "file", 1, message, (), None)
    made.event = event
    return made


def test_a_short_dry_run_has_one_table_and_no_jobs():
    shown = DryRunFilter(lambda: True)
    events = [
        None,
        LogEvent.RUN_INFO,
        LogEvent.JOB_INFO,
        LogEvent.JOB_INFO,
        LogEvent.RUN_INFO,
    ]
    assert [shown.filter(record(event)) for event in events] == [True, True, False, False, False]
    assert not shown.filter(record(message="Reasons:\n    (check individual jobs above)"))


@pytest.mark.parametrize("event", [LogEvent.JOB_INFO, LogEvent.JOB_ERROR, LogEvent.RUN_INFO, LogEvent.ERROR, None])
def test_warnings_and_errors_are_always_shown(event):
    for level in (logging.WARNING, logging.ERROR, logging.CRITICAL):
        shown = DryRunFilter(lambda: True)
        assert all(shown.filter(record(event, level)) for _ in range(3))


@pytest.mark.parametrize("event", list(LogEvent))
def test_a_run_shows_everything(event):
    shown = DryRunFilter(lambda: False)
    assert all(shown.filter(record(event, message="Reasons:")) for _ in range(3))
