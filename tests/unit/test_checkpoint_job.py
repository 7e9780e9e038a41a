"""One checkpoint job: a task without head, and predictions after the training."""

from dataclasses import replace

import pytest

from crosstune.artifacts.checkpoint import CheckpointJob, staged_predictions_dir
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, sha256_file, write_json, write_jsonl
from crosstune.training.checkpoint_job import RuntimeOptions, make_checkpoint
from crosstune.training.interruption import InterruptGuard


def stage(job: CheckpointJob) -> None:
    with InterruptGuard() as stop:
        make_checkpoint(job, job.parents, RuntimeOptions(), stop)


def test_a_task_without_head_is_evaluated_on_the_bare_encoder(untrained_job):
    job = untrained_job(layer=1)
    stage(job)
    assert read_json(job.staging_dir / "model/config.json")["crosstune_heads"] == {}
    answers = (staged_predictions_dir(job.out, "tatoeba") / "th.jsonl").read_text().splitlines()
    assert len(answers) == 2


def test_predictions_that_fail_end_the_job_and_leave_the_training_staged(untrained_job):
    job = untrained_job(layer=9)
    for _ in range(2):
        with pytest.raises(UserError, match="the encoder has 1 layers, and layer 9 is wanted"):
            stage(job)
        assert job.is_staged()
    assert not staged_predictions_dir(job.out, "tatoeba").with_suffix(".json").exists()


def test_predictions_that_a_killed_process_missed_are_made_from_the_staged_checkpoint(untrained_job):
    job = untrained_job(layer=1)
    stage(job)
    predictions = staged_predictions_dir(job.out, "tatoeba")
    answers, weights = (predictions / "th.jsonl").read_bytes(), job.staging_dir / "model/model.safetensors"
    trained = weights.stat().st_mtime_ns
    predictions.with_suffix(".json").unlink()
    (predictions / "th.jsonl").unlink()
    stage(job)
    assert (predictions / "th.jsonl").read_bytes() == answers and job.missing_predictions == []
    assert weights.stat().st_mtime_ns == trained


def test_the_log_warns_of_rows_that_the_tokenizer_does_not_know(untrained_job, tmp_path):
    job = untrained_job(layer=1)
    rows = tmp_path / "data/worldtext/train.xx.jsonl"
    write_jsonl(rows, [{"id": "1", "text": "☃ ☄ the cat"}])
    manifest = rows.with_suffix(".json")
    write_json(manifest, {"dataset": "worldtext", "lang": "xx", "split": "train", "sha256": sha256_file(rows)})
    predicted = tmp_path / "data/tatoeba/test.th.jsonl"
    write_jsonl(predicted, [{"id": "1", "text": "☃", "pair": "☄"}])
    spec = job.spec | {"sources": ["worldtext.xx"], "updates": 1, "heads": [{"name": "mlm", "labels": []}]}
    spec |= {"source_heads": {"worldtext.xx": "mlm"}, "recipe": job.spec["recipe"] | {"mlm_probability": 0.15}}
    stage(replace(job, spec=spec, data=(manifest,), log=tmp_path / "log"))
    log = (tmp_path / "log").read_text(encoding="utf-8")
    for name in ("worldtext.xx", "tatoeba.th"):
        assert f"of the tokens of {name} are unknown to the model's tokenizer" in log
