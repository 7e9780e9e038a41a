"""The short form of the chaos campaign: a few random disturbances of each of the kinds that need no file system."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import chaos


def test_a_disturbed_study_ends_in_the_same_bytes_or_says_what_to_do(tmp_path):
    kinds = ["kill-job", "kill-server", "kill-group", "damage", "soft-signal"]
    events = chaos.campaign(6, 4, kinds, tmp_path)
    assert len(events) == 6
    assert all(outcome in ("same", "message", "snakemake") for *_, outcome in events), events


@pytest.mark.parametrize(
    ("frames", "own"),
    [
        ('  File "{folder}/scripts/train.py", line 3, in main\n', True),
        ('  File "/usr/lib/python3/snakemake/cli.py", line 3, in main\n', False),
    ],
)
def test_a_traceback_without_a_line_of_the_project_is_snakemakes(tmp_path, frames, own):
    trial = chaos.Trial(tmp_path, None)
    output = f"before\n{chaos.TRACEBACK}:\n" + frames.format(folder=tmp_path)
    assert trial.shows_own_traceback(output) is own
    assert not trial.shows_own_traceback(frames.format(folder=tmp_path))
