"""The expected cost of a study: hours computed by hand, shared stages, measured speeds, the printed report."""

import pytest
from helpers.study_config import ROOT, study

from crosstune.core.errors import UserError
from crosstune.core.files import write_json
from crosstune.machine.devices import Device, Devices, load_devices
from crosstune.study.cost_estimate import CostEstimate
from crosstune.study.cost_report import cost_report, jobs_of
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.resources import JobResources
from crosstune.study.retention import RetentionPolicy

HOME = "results/test/tiny/seed1/qa"
SHARE = {"bf16": 0.5, "fp32": 0.5}
# The model of the planned study has one layer 32 wide: 12 x 32 x 32 parameters in matrices, which learn with 6
# operations and predict with 2. So a core of this table learns 1,000 tokens a second and predicts 3,000.
LEARNS = 6 * 12 * 32 * 32 * 1000
CORE = Device("cpu", known_as=("CPU core",), tflops={"fp32": 2 * LEARNS / 1e12}, watts=5, share=SHARE)
FAST = Device("A100", known_as=("A100",), tflops={"bf16": 400, "fp32": 20}, watts=400, share=SHARE)
OLD = Device("V100", known_as=("V100",), tflops={"fp32": 20}, watts=300, share=SHARE)
# Two schedules that begin alike, 40 updates of 500 tokens each; 5,000 rows (unknown) of a language, 128 tokens or less.
BRANCHES = {
    "tracks__qa__schedules": {"one": ["qen", "qes"], "other": ["qen", "qfr"]},
    "tracks__qa__budget": {"updates": 40, "tokens": 500},
    "tracks__qa__evaluate": {"worldqa": ["qen"]},
    "tracks__qa__encoding": {"max_length": 128, "stride": 32},
}
MBERT = {"hub": "a/b", "revision": "0" * 40, "parameters": 100_000_000}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Results are looked for where the process is."""
    monkeypatch.chdir(tmp_path)


def expected(**changes) -> CostEstimate:
    found = study(**BRANCHES | changes)
    return CostEstimate(found, JobResources(found, RetentionPolicy(found)), Devices([CORE, OLD, FAST], SHARE))


def plant(stage: str, seconds: float, tokens: int, **device) -> None:
    """A finished stage."""
    manifest = {"spec": {"threads": 1}, "updates": 1, "exposure": {"worldqa.qen": {"examples": 1, "tokens": tokens}}}
    write_json(f"{stage}/stage.json", manifest)
    write_json(f"{stage}/cost.json", {"seconds": seconds, "device": "some CPU", "devices": 0, "cores": 1} | device)


# Seconds of a stage of 20 updates of 500 tokens, with 0.05 s beside each; of 5,000 rows that fill half of 128 tokens.
STAGE, PREDICTED = 20 * 500 / 1000 + 20 * 0.05, 5000 * 64 / 3000
# Of the base: 10 updates of 512 tokens.
BASE = 10 * 512 / 1000 + 10 * 0.05


def test_a_stage_takes_its_operations_and_its_updates():
    found = expected()
    path = f"{HOME}/worldqa.qen@20"
    assert found.training_hours(path, CORE) == pytest.approx(STAGE / 3600)
    assert found.prediction_hours(path, CORE) == pytest.approx(PREDICTED / 3600)
    assert found.training_hours(f"{HOME}/untrained", CORE) == 0
    assert found.training_hours("results/test/tiny/base", CORE) == pytest.approx(BASE / 3600)
    assert found.hours([path], CORE) == pytest.approx((STAGE + PREDICTED) / 3600)


def test_partners_and_evaluations_of_a_stage_count():
    path = f"{HOME}/worldqa.qen@20"
    plain, found = (
        expected(tracks__qa__recipe=recipe) for recipe in ({"lr": 1e-3}, {"lr": 1e-3, "contrastive": {"weight": 1.0}})
    )
    assert found.training_hours(path, CORE) - plain.training_hours(path, CORE) == pytest.approx(10 / 3600)
    looking = expected(tracks__qa__select={"dataset": "worldqa", "every": 8})
    languages = len(looking.study.registry["worldqa"].splits["validation"].languages)
    # After 8, 16 and 20 updates.
    more = 3 * languages * PREDICTED / 3600
    assert looking.training_hours(path, CORE) - plain.training_hours(path, CORE) == pytest.approx(more)


def test_epochs_take_as_many_updates_as_the_rows_fill():
    found = expected(tracks__qa__budget={"epochs": 2, "tokens": 500, "matched": False})
    # 20,000 rows (unknown) of 64 tokens, twice.
    assert found.work(f"{HOME}/worldqa.qen@2ep").updates == 2 * 20_000 * 64 / 500


def test_shared_stages_are_trained_once():
    found = expected()
    seeds, (one,) = 2, [found.runs("tiny", "qa", "one")[:1]]
    assert found.hours(found.unshared_stages(one), CORE) == pytest.approx(2 * (STAGE + PREDICTED) / 3600)
    # On their own: the untrained head, and two times two stages. Shared: three stages.
    alone = BASE + seeds * (PREDICTED + 4 * (STAGE + PREDICTED))
    shared = BASE + seeds * (PREDICTED + 3 * (STAGE + PREDICTED))
    assert found.unshared_hours(["tiny"], CORE) == pytest.approx(alone / 3600)
    assert found.hours(found.stages("tiny"), CORE) == pytest.approx(shared / 3600)
    assert found.hours(found.stages("tiny", "qa"), CORE) == pytest.approx((shared - BASE) / 3600)


def test_an_average_costs_its_members_and_nothing_itself():
    schedules = {"one": ["qen"], "other": ["qes"], "soup": {"average": ["one", "other"]}}
    found = expected(tracks__qa__schedules=schedules)
    (run, _) = found.runs("tiny", "qa", "soup")
    assert found.training_hours(run.stages[-1], CORE) == 0
    assert found.hours(found.unshared_stages([run]), CORE) == pytest.approx((4 * STAGE + 3 * PREDICTED) / 3600)


def test_a_measurement_replaces_the_assumption_for_its_device():
    path, later = f"{HOME}/worldqa.qen@20", f"{HOME}/worldqa.qen@20/worldqa.qes@20"
    # 7,200 tokens in 36 seconds of two cores: 100 tokens a second and core.
    plant(path, 36, 7200 // 2, cores=1)
    plant(f"{HOME}/worldqa.qfr@20", 36, 7200 // 2, cores=1)
    found = expected()
    assert found.training_hours(later, CORE) == pytest.approx(20 * 500 / 100 / 3600)
    assert found.training_hours(later, FAST) < STAGE / 3600 / 1000 + 20 * 0.05 / 3600 + 1e-9
    assert found.prediction_hours(later, CORE) == pytest.approx(PREDICTED / 3600), "no prediction is measured"
    plant(path, 36, 7200, cores=2)
    assert expected().training_hours(later, CORE) == pytest.approx(20 * 500 / 100 / 3600)
    write_json(f"{path}/predictions/worldqa.json", {})
    write_json(f"{path}/predictions/worldqa/cost.json", {"seconds": 9, "device": "CPU", "devices": 0, "cores": 2})
    assert expected().prediction_hours(later, CORE) == pytest.approx(18 / 3600)


def test_a_track_has_its_own_speed_or_else_its_models():
    second = {
        "sources": "worldpos", "budget": {"updates": 10, "tokens": 500}, "schedules": {"a": ["qen"]},
        "evaluate": {"worldpos": ["qen"]},
    }  # fmt: skip
    plant("results/test/tiny/base", 100, 1000)
    plant(f"{HOME}/worldqa.qen@20", 10, 1000)
    found = expected(tracks__pos=second)
    assert found.training_hours(f"{HOME}/worldqa.qen@20/worldqa.qes@20", CORE) == pytest.approx(10_000 / 100 / 3600)
    assert found.training_hours("results/test/tiny/seed1/pos/worldpos.qen@10", CORE) == pytest.approx(
        5000 / (2000 / 110) / 3600
    )


def test_a_gpu_computes_in_the_precision_that_it_has():
    path = f"{HOME}/worldqa.qen@20"
    # 100 million parameters, three quarters of them in matrices.
    learned, predicted = 6 * 75e6 * 20 * 500, 2 * 75e6 * 5000 * 64
    found = expected(models={"tiny": MBERT})
    assert found.training_hours(path, FAST) == pytest.approx((learned / 200e12 + 20 * 0.05) / 3600)
    assert found.training_hours(path, OLD) == pytest.approx((learned / 10e12 + 20 * 0.05) / 3600)
    assert found.prediction_hours(path, FAST) == pytest.approx(predicted / 10e12 / 3600), "in fp32 unless asked for"
    other = expected(models={"tiny": MBERT}, precision="fp32", predict_precision="bf16")
    assert other.training_hours(path, FAST) == found.training_hours(path, OLD)
    assert other.prediction_hours(path, FAST) == pytest.approx(predicted / 200e12 / 3600)
    several = expected(models={"tiny": MBERT | {"gpus": 4}})
    assert several.training_hours(path, FAST) == pytest.approx((learned / 200e12 + 4 * 20 * 0.05) / 3600)


def test_a_gpu_outside_the_table_is_reported_if_measured():
    models = {"tiny": MBERT, "other": MBERT}
    path = f"{HOME}/worldqa.qen@20"
    assert expected(models=models).device_of("tiny") == FAST
    plant(path, 10, 5000, device="NVIDIA B300", devices=1)
    found = expected(models=models)
    new = found.device_of("tiny")
    assert new == Device("NVIDIA B300") and new in found.reported_devices(models)
    assert found.training_hours(path, new) == pytest.approx(10_000 / 500 / 3600)
    assert found.hours([path], new) is None and found.unshared_hours(["other"], new) is None
    assert found.device_of("other") == FAST
    plant(path, 10, 5000, device="NVIDIA A100-SXM4-80GB", devices=1)
    assert expected(models=models).has_measurements("tiny", FAST)


def test_finished_work_does_not_remain():
    plant(f"{HOME}/worldqa.qen@20", 11, 10_000, device="elsewhere", devices=1)
    found = expected()
    paths = [f"{HOME}/worldqa.qen@20", f"{HOME}/worldqa.qen@20/worldqa.qes@20"]
    assert found.remaining_hours(paths, CORE) == pytest.approx((STAGE + 2 * PREDICTED) / 3600)
    write_json(f"{paths[0]}/predictions/worldqa.json", {})
    assert found.remaining_hours(paths, CORE) == pytest.approx((STAGE + PREDICTED) / 3600)


def report(found: CostEstimate) -> str:
    return cost_report(found, DataRequirements(found.study), RetentionPolicy(found.study))


def test_the_report_has_jobs_hours_energy_and_savings():
    found = expected()
    text = report(found)
    seconds = 2 * (PREDICTED + 4 * (STAGE + PREDICTED)) + BASE, 2 * (PREDICTED + 3 * (STAGE + PREDICTED)) + BASE
    alone, shared = (f"{total / 3600:.2f}" for total in seconds)
    assert f"Schedules on their own would take {alone} core h; shared stages make it {shared} core h." in text
    rows = {line.split("  ")[0].strip(): line.split() for line in text.splitlines() if line}
    assert rows["train"] == ["train", "8", "0"] and rows["predict"] == ["predict", "8", "0"]
    # Three quarters of an hour of a core with 5 W.
    kwh = seconds[1] / 3600 * 5 / 1000
    assert kwh < 0.01 and rows["cpu"] == ["cpu", alone, shared, shared, "<", "0.01", "assumed"]
    assert "Track qa, hours of 2 seeds\n" in text
    assert rows["one"] == ["one", "80", "0.04", f"{2 * 2 * (STAGE + PREDICTED) / 3600:.2f}"]
    assert f"{2 * (PREDICTED + 3 * (STAGE + PREDICTED)) / 3600:.2f}" in text
    assert "Measured" not in text and "V100" not in text
    assert "each taken for 5,000 for testing: 1." in text
    write_json("data/worldqa/test.qen.json", {"rows": 12})
    assert "not counted" not in report(expected())


def test_the_report_has_the_measurements():
    plant(f"{HOME}/worldqa.qen@20", 36, 3600)
    text = report(expected())
    assert "Measured: tiny, qa, 100 tokens/s a cpu." in text and "measured: tiny" in text
    assert ("train", 8, 1) in jobs_of(expected(), DataRequirements(study(**BRANCHES)))


def test_models_with_gpus_and_without_have_tables_of_their_own():
    models = {"tiny": study().config["models"]["tiny"], "mbert": MBERT, "unknown": {"hub": "c/d", "revision": "1" * 40}}
    text = report(expected(models=models))
    assert "In all: mbert, unknown. " in text and "In all: tiny. " in text
    assert "tiny, core h" in text and "mbert, A100 h" in text
    assert "does not state its `parameters`: unknown." in text


def test_every_device_of_the_registry_has_a_source():
    devices = load_devices(ROOT / "registry")
    assert {"cpu", "V100", "A100", "H100", "H200", "L40S", "RTX 4090"} <= {device.name for device in devices}
    assert all(device.source and device.title and device.watts for device in devices)
    assert devices.lookup("NVIDIA H200").name == "H200" and devices.lookup("Tesla V100-SXM2-16GB").name == "V100"
    assert devices.lookup("CPU core").name == "cpu" and not devices.lookup("TPU v5").tflops


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ("{A100: {tflops: {bf16: 1, fp32: 1}}}", "gpus.yaml: A100"),
        ("{A100: {tflops: {bf16: 1}, watts: 1}}", "gpus.yaml: A100"),
        ("{A100: {tflops: {fp32: 1}, watts: 1, price: 1}}", "gpus.yaml: A100"),
        ("{A100: {tflops: {fp32: 1}, watts: 1}}", "gpus.yaml: no record of 'cpu'"),
    ],
)
def test_a_record_that_lacks_something_is_refused(tmp_path, table, place):
    (tmp_path / "gpus.yaml").write_text(f"share: {{bf16: 0.5, fp32: 0.5}}\ndevices: {table}\n")
    with pytest.raises(UserError) as error:
        load_devices(tmp_path)
    assert place in str(error.value)
