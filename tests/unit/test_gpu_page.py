"""The page of a run on a GPU: what fails, what there is no time for, and what does not end."""

import time
from pathlib import Path

import pytest


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    import gpu

    return gpu


def test_a_block_without_end_is_broken_off(gpu):
    with pytest.raises(gpu.OutOfTime, match="broken off"), gpu.time_limit(0.1):
        while True:
            time.sleep(0.01)


def test_rows_that_fail_or_do_not_fit_are_named_and_the_next_goes_on(gpu, tmp_path):
    def fail(error: BaseException):
        raise error

    out = tmp_path / "page.md"
    out.write_text("part 1\n")
    page = gpu.Page(out, 1e6, time.time())
    page.attempt("one", 0, lambda: fail(gpu.OutOfTime("broken off after 9 s")))
    page.attempt("two", 0, lambda: fail(RuntimeError("no|kernel")), columns=1)
    page.attempt("three", 1e9, lambda: ["- three: done"])
    assert page.failed
    page.attempt("four", 0, lambda: ["- four: done"])
    lines = out.read_text().splitlines()
    assert lines[:3] == [
        "part 1",
        "- one: FAILED, OutOfTime: broken off after 9 s:",
        "| two: FAILED, RuntimeError: no/kernel | |",
    ]
    assert lines[3].startswith("- three: skipped, ") and lines[4] == "- four: done"
