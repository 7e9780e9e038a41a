"""The short forms of the chaos campaigns: some random disturbances that need no file system, and one write hit."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import chaos
import chaos_trial
import chaos_writes
from chaos_hook import MOVED, WITHIN

STAGE = "worldqa.qen@8"

# The manifest is written before the weights, and is all that a complete checkpoint needs.
PLANTED = {
    "artifacts/checkpoint.py": {
        "return has_weights(folder) and all((folder / part).exists() for part in parts)": "return MANIFEST in parts"
        " and (folder / MANIFEST).exists()",
    },
    "training/checkpoint_job.py": {
        "    save_network(start.network, out / MODEL, start.tokenizer, start.main_head)\n"
        "    write_jsonl": "    aside = Path(tempfile.mkdtemp())\n"
        "    save_network(start.network, aside, start.tokenizer, start.main_head)\n    write_jsonl",
        "hash_weights(out / MODEL)": "hash_weights(aside)",
        '[start.parent["weights"]] if start.parent else [])\n\n\ndef predict': (
            '[start.parent["weights"]] if start.parent else [])\n'
            "    save_network(start.network, out / MODEL, start.tokenizer, start.main_head)\n\n\ndef predict"
        ),
    },
}


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
    trial = chaos_trial.Trial(tmp_path, None)
    output = f"before\n{chaos_trial.TRACEBACK}:\n" + frames.format(folder=tmp_path)
    assert trial.shows_own_traceback(output) is own
    assert not trial.shows_own_traceback(frames.format(folder=tmp_path))


@pytest.mark.parametrize(("output", "outcome"), [(chaos_trial.TRACEBACK, "traceback"), ("error: x", "stuck")])
def test_an_archive_that_cannot_be_made_again_is_a_fault(monkeypatch, output, outcome):
    class Failing:
        def run(self, targets):
            return 1, output

    monkeypatch.setattr(chaos_writes, "settle", lambda trial, expected: "same")
    finished = chaos_writes.Finished(Path(), {}, ())
    assert chaos_writes.settle_exported(Failing(), finished, ["export_results"]) == outcome
    assert outcome in chaos_trial.FAULTS


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The project as it is, with the undisturbed run whose writes are hit."""
    trial = chaos_writes.new_campaign(tmp_path_factory.mktemp("writes"), 1)
    return trial, chaos_writes.finish_undisturbed(trial)


def weights_of(finished: chaos_writes.Finished, stage: str) -> chaos_writes.Write:
    """The write of a stage's weights."""
    writes = [write for write in finished.writes if chaos_writes.kind_of(write) == "weights"]
    return next(write for write in writes if f"/{stage}/.staging/" in write.target)


@pytest.mark.parametrize("moment", [WITHIN, MOVED])
def test_a_kill_at_a_moment_of_the_weights_write_changes_no_byte(undisturbed, moment):
    trial, finished = undisturbed
    assert chaos_writes.hit_write(trial, finished, weights_of(finished, STAGE), moment) == "same"


def test_every_kind_of_write_happens(undisturbed):
    _, finished = undisturbed
    assert set(chaos_writes.KINDS) <= {chaos_writes.kind_of(write) for write in finished.writes}


def test_a_hit_that_does_not_happen_ends_the_campaign(undisturbed):
    trial, finished = undisturbed
    page = next(write for write in finished.writes if chaos_writes.kind_of(write) == "page")
    with pytest.raises(SystemExit, match="no hit within the write of results/writes/report"):
        chaos_writes.hit_write(trial, finished, replace(page, number=99), WITHIN)


def test_a_manifest_that_is_written_before_its_weights_is_a_fault(tmp_path):
    root = tmp_path / "planted"
    chaos_trial.copy_parts(chaos_trial.ROOT, root)
    for name, changes in PLANTED.items():
        path = root / "scripts/crosstune" / name
        text = path.read_text()
        for found, planted in changes.items():
            assert text.count(found) == 1, found
            text = text.replace(found, planted)
        path.write_text(text)
    trial = chaos_writes.new_campaign(tmp_path / "work", 1, root)
    finished = chaos_writes.finish_undisturbed(trial)
    outcome = chaos_writes.hit_write(trial, finished, weights_of(finished, STAGE), WITHIN)
    assert chaos_trial.is_fault(("weights", WITHIN, outcome)), outcome
