"""Weights that are gone come back with their bytes, once, or not at all."""

import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
from test_stage import node  # noqa: F401 (a stage that trains nothing)

from crosstune.artifacts.checkpoint import WEIGHTS, has_weights, remove_weights
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, sha256_file, write_json
from crosstune.training.checkpoint_job import Knobs, make_checkpoints
from crosstune.training.restore import needed, restore


@pytest.fixture
def made(node):  # noqa: F811
    stage = replace(node(layer=1), predictions=())
    make_checkpoints(stage, [], Knobs())
    stage.settle()
    return stage


def test_they_have_the_same_bytes_and_nothing_else_is_touched(made):
    before = sha256_file(made.out / WEIGHTS), (made.out / "stage.json").stat().st_mtime_ns
    names = {path.name for path in made.out.iterdir()}
    remove_weights(made.out)
    assert not (made.out / "model").exists()
    restore([made.out], [made], Knobs(), None, 1)
    assert (sha256_file(made.out / WEIGHTS), (made.out / "stage.json").stat().st_mtime_ns) == before
    assert {path.name for path in made.out.iterdir()} - {"state"} == names - {"state"}
    assert (made.out / "model/tokenizer.json").exists()


def test_what_is_there_is_left_alone(made):
    before = (made.out / WEIGHTS).stat().st_ino
    restore([made.out], [made], Knobs(), None, 1)
    assert (made.out / WEIGHTS).stat().st_ino == before


def test_what_nobody_needs_is_not_made(made):
    """The last stage has weights again, as when its own job was run anew."""
    last = replace(made, out=made.out / "last", parents=(made.out,))
    (last.out / "model").mkdir(parents=True)
    assert needed([last.out], [made, last]) == [last]
    remove_weights(made.out)
    assert needed([last.out], [made, last]) == [made, last] and needed([made.out], [made, last]) == [made]
    (last.out / WEIGHTS).touch()
    assert needed([last.out], [made, last]) == []


def test_other_weights_are_refused(made):
    manifest = read_json(made.out / "stage.json")
    write_json(made.out / "stage.json", manifest | {"weights": "of another processor"})
    remove_weights(made.out)
    with pytest.raises(UserError, match=r"(?s)training them again gives others.*--forcerun .*untrained/stage.json"):
        restore([made.out], [made], Knobs(), None, 1)
    assert not has_weights(made.out) and not (made.out / "ahead").exists()


def test_without_its_data_or_parent_it_is_one_message(made):
    remove_weights(made.out)
    (made.parents[0] / "stage.json").unlink()
    with pytest.raises(UserError, match=r"no such file, and the weights of .*untrained must be trained again"):
        restore([made.out], [made], Knobs(), None, 1)


def test_a_second_process_waits_for_the_first(made, monkeypatch):
    remove_weights(made.out)
    # Signals are for the main thread.
    monkeypatch.setattr(
        "crosstune.training.restore.InterruptGuard", lambda: nullcontext(SimpleNamespace(requested=False))
    )
    with made.alone():
        second = threading.Thread(target=restore, args=[[made.out], [made], Knobs(), None, 1])
        second.start()
        time.sleep(0.3)
        assert second.is_alive() and not made.draft.exists()
    second.join()
    assert has_weights(made.out)
