"""What jobs ask for: enough for what was measured, in proportion to what is known, more at every attempt."""

import pytest
from helpers.study_config import study

from crosstune.study import resources
from crosstune.study.model_size import Size, gpus_of
from crosstune.study.resources import JobResources, Resources, averaging, pairs_of, prediction, training
from crosstune.study.retention import RetentionPolicy

HOME = "results/test/tiny/seed1/qa"
HUB = {"hub": "a/b", "revision": "0" * 40}
LARGE = HUB | {"parameters": 559_890_432}
MBERT = HUB | {"parameters": 177_853_440}


def jobs(**changes) -> JobResources:
    found = study(**changes)
    return JobResources(found, RetentionPolicy(found))


def test_every_attempt_asks_for_more():
    amount = Resources(1000.2, 61)
    assert amount.as_snakemake() == {"mem_mb": 1001, "runtime": 2}
    assert amount.as_snakemake(3) == {"mem_mb": 4004, "runtime": 6}


def test_a_gpu_is_named_where_one_is_wanted_and_slurm_starts_one_task():
    assert Resources(1, 1, 1).as_snakemake() == {"mem_mb": 1, "runtime": 1, "gpu": 1}
    assert Resources(1, 1, 2).as_snakemake() == {"mem_mb": 1, "runtime": 1, "gpu": 2, "tasks": 0}


def test_one_process_has_the_memory_of_its_largest_part_and_the_time_of_all():
    assert Resources(5, 1, 0).plus(Resources(9, 2, 2), Resources(7, 3, 1)) == Resources(9, 6, 2)


@pytest.mark.parametrize(
    ("model", "gpus"),
    [
        (HUB, 1),
        (LARGE, 1),
        (HUB | {"parameters": 49_999_999}, 0),
        (LARGE | {"gpus": 4}, 4),
        (LARGE | {"gpus": 0}, 0),
        ({"pretrain": {"vocabulary": 500, "max_length": 128, "hidden": 32, "layers": 1}}, 0),
        ({"pretrain": {"vocabulary": 50_000, "max_length": 512, "hidden": 768, "layers": 12}}, 1),
    ],
)
def test_a_model_that_is_not_known_to_be_small_has_a_gpu(model, gpus):
    assert gpus_of(model) == gpus


def test_it_is_enough_for_what_was_measured():
    """benchmarks/results/base.md: 4.05 GiB, and 221 tokens a second on two cores, with 12 layers of 768 in fp32."""
    size = Size.of(MBERT | {"gpus": 0})
    amount = training(size, updates=1000, tokens=1452, rows=1000, threads=2)
    assert 1.2 * 4.05 < amount.mib / 1024 < 4 * 4.05
    assert 1.2 < amount.seconds / (1000 * 1452 / 221) < 10


def test_fp32_training_holds_weight_gradient_and_moments():
    small, large = (training(Size(10**9 * n, 1, 1, 0), 1, 1, 0, 1).mib for n in (1, 2))
    assert large - small == pytest.approx(10**9 * (16 + 16) / 2**20)


def test_each_process_of_a_training_has_memory():
    one, two, four = (training(Size(10**9, 1, 1, gpus), 1, 1, 0, 1).mib for gpus in (1, 2, 4))
    assert two - one == pytest.approx(4500 + 10**9 * 16 / 2**20) and four - one == pytest.approx(3 * (two - one))


def test_time_is_in_proportion_to_updates_and_gpus():
    def seconds(updates, **model):
        return training(Size.of(LARGE | model), updates, 8192, 0, 2).seconds

    start = seconds(0)
    assert seconds(2000) - start == pytest.approx(2 * (seconds(1000) - start))
    assert seconds(1000, gpus=2) < seconds(1000) < seconds(1000, gpus=0)


def test_a_model_of_unknown_size_asks_for_no_less_than_xlm_r_large():
    for amount in (lambda size: training(size, 100, 8192, 0, 1), lambda size: prediction(size, 1000, 384, 1)):
        unknown, large = amount(Size.of(HUB)), amount(Size.of(LARGE))
        assert unknown.mib >= large.mib and unknown.seconds >= large.seconds


def test_a_training_has_the_time_of_its_predictions():
    found, scored = jobs(), f"{HOME}/worldqa.qen@60"
    unscored = jobs(tracks__qa__score="final").train(f"{HOME}/worldqa.qen@20")
    stage = found.train(f"{HOME}/worldqa.qen@20")
    prediction = found.predict(f"{HOME}/worldqa.qen@20", "worldqa").seconds - resources.START_SECONDS
    assert stage.seconds == pytest.approx(unscored.seconds + prediction)
    assert found.train(scored).seconds > stage.seconds, "three times the updates"


def test_rows_are_those_of_the_record_then_those_prepared_then_a_guess(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifest = "data/worldqa/test.qen.json"
    assert jobs().rows_at(manifest, 77) == 77
    (tmp_path / "data/worldqa").mkdir(parents=True)
    (tmp_path / manifest).write_text('{"rows": 12}')
    assert jobs().rows_at(manifest, 77) == 12
    assert jobs().rows_at("data/xquad_full/test.hi.json", 77) == 1190


def test_another_number_of_rows_is_another_time():
    size = Size.of(MBERT)
    assert prediction(size, 20_000, 384, 1).seconds == pytest.approx(20 * prediction(size, 1000, 384, 1).seconds)


@pytest.mark.parametrize(
    ("recipe", "heads", "pairs"),
    [
        ({}, {"squad.en": "qa"}, 0),
        ({}, {"mewsli.en": "retrieval"}, 64),
        ({"negatives": 512}, {"mewsli.en": "retrieval"}, 512),
        ({"contrastive": {"weight": 1.0, "negatives": 32}}, {"squad.en": "qa"}, 32),
    ],
)
def test_texts_that_share_a_pass_whatever_their_length_are_counted(recipe, heads, pairs):
    assert pairs_of({"recipe": recipe, "source_heads": heads}) == pairs


def test_epochs_ask_for_what_the_rows_take():
    track = {"tracks__qa__budget": {"epochs": 1, "tokens": 512, "matched": False}}
    twice = {"tracks__qa__budget": {"epochs": 2, "tokens": 512, "matched": False}}
    path = f"{HOME}/worldqa.qen+qes+qfr@"
    once, two = jobs(**track)._checkpoint(f"{path}1ep"), jobs(**twice)._checkpoint(f"{path}2ep")
    assert two.seconds > 1.5 * once.seconds


def test_an_average_needs_no_gpu_and_the_sum_in_fp64():
    amount = averaging(Size.of(LARGE), 3)
    assert amount.gpus == 0 and amount.mib > 559_890_432 * 20 / 2**20


def test_every_job_of_a_study_asks_for_something():
    found = jobs(tracks__qa__schedules={"a": ["qen"], "b": ["qes"], "soup": {"average": ["a", "b"]}})
    for path, node in found._study.checkpoints.items():
        asked = (found.average if "average" in node.spec else found.train)(path).as_snakemake()
        assert asked["mem_mb"] >= resources.PROCESS_MIB and asked["runtime"] >= 3 and "gpu" not in asked


def test_translation_asks_for_a_gpu_where_a_model_does_it():
    manifest = "data/xquad_full/test.hi.json"
    by_model, by_program = (jobs().translate(manifest, kind) for kind in (True, False))
    assert (by_model.gpus, by_program.gpus) == (1, 0)
    assert by_model.seconds > 3 * 0.5 * 1190 and by_program.seconds < by_model.seconds
