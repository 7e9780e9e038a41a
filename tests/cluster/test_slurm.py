"""The workflow on a real SLURM, with the profile that is shipped: what comes out, and what befalls jobs on the way."""

import filecmp
import os
import re
import shutil
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from slurm_runs import (
    FIRST,
    HERE,
    HOME,
    IMPATIENT,
    LONG,
    SECOND,
    SMALL,
    UPDATES,
    finish,
    paused,
    stages,
    training,
    wait_until,
)

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
SAVED = "stopped on request; the state is saved"


def same(one: Path, other: Path, *paths: str) -> None:
    """Check that files of two folders have the same bytes."""
    for path in paths:
        assert filecmp.cmp(one / path, other / path, shallow=False), path


def trained(stage: str) -> list[str]:
    return [f"{stage}/{name}" for name in ("stage.json", "train.jsonl", "model/model.safetensors")]


WAITING = {
    "late": ("--snakefile", str(HERE / "late.smk")),
    "gpu": ("--snakefile", str(HERE / "gpus.smk")),
    "gres": ("--snakefile", str(HERE / "gpus.smk"), "--set-resources", "compute:gpu=0", "compute:gres=gpu:1"),
}


@pytest.fixture(scope="session")
def waiting(slurm, tmp_path_factory):
    """Runs, by name, of jobs that end too late and of jobs with GPUs, begun before all else: they only wait."""
    folders = {name: tmp_path_factory.mktemp(name) for name in WAITING}
    profile = str(ROOT / "profiles/slurm")
    runs = {name: slurm.start(folders[name], *arguments, profile=profile) for name, arguments in WAITING.items()}

    def finished_run(name: str) -> Path:
        finish(runs[name], folders[name])
        return folders[name]

    yield finished_run
    for run in runs.values():
        run.terminate()


@pytest.fixture(scope="session")
def study_on_slurm(waiting, slurm, new_project):
    """The small study, with partitions, a QOS and a constraint as docs/cluster.md has them; what Snakemake said."""
    folder = new_project("slurm")
    shutil.copy(SMALL, folder)
    partitions = {"main": {"max_gpu": 2}, "cpu": {"max_runtime": 1440}}
    (folder / "profiles/slurm/partitions.yaml").write_text(yaml.safe_dump({"partitions": partitions}))
    profile = folder / "profiles/slurm/config.yaml"
    lines = yaml.safe_load(profile.read_text()) | {
        "slurm-partition-config": "profiles/slurm/partitions.yaml",
        "persistence-backend": "db",
        "set-resources": {"train": {"gpu": 1, "qos": "long", "constraint": "a100&nvme"}},
    }
    profile.write_text(yaml.safe_dump(lines))
    return SimpleNamespace(folder=folder, said=slurm.run(folder, "--configfile", "small.yaml"))


def test_the_study_is_the_same_as_without_a_cluster(study_on_slurm, finished):
    folder, said = study_on_slurm.folder, study_on_slurm.said
    tables = [str(path.relative_to(finished)) for path in (finished / "results/small/tables").iterdir()]
    assert len(tables) > 3
    same(
        finished, folder, *tables, *trained(f"{HOME}/worldqa.qen@6/worldqa.qes@6"), *trained("results/small/tiny/base")
    )
    assert not list((folder / "results").rglob(".staging")), "what jobs keep is removed at the end"
    submitted = re.findall(r"has been submitted with SLURM jobid \d+ \(log: \S*/rule_(\w+)/", said)
    found = {rule: submitted.count(rule) for rule in submitted}
    assert found == {"leakage": 1, "pretrain": 1, "train": 5}, "trainings predict"
    assert len(list((folder / "logs/slurm").rglob("*.log"))) == len(submitted), "logs of good jobs are kept"


def test_jobs_go_where_their_resources_are(study_on_slurm, slurm):
    """Who needs no GPU runs in the partition without GPUs; QOS and constraint are those of the rule."""
    found = {}
    for job, rule in re.findall(r"jobid (\d+) \(log: \S*/rule_(\w+)/", study_on_slurm.said):
        found.setdefault(rule, set()).add(slurm.record(job, "Partition,QOS,Constraints,NodeList"))
    light = {"cpu|normal||node1"}
    assert found == {"leakage": light, "pretrain": light, "train": {"main|long|a100&nvme|node2"}}
    assert not list((study_on_slurm.folder / ".snakemake/metadata").iterdir()), "all records are in one file"


@pytest.fixture(scope="session")
def bad_day(slurm, begun):
    """Three trainings: one is cancelled, one preempted, one first has too little memory and is then told to end.

    On top of it the controller is restarted. A job that SLURM starts meanwhile may fail, and is tried once more.
    """
    folder = begun("bad-day")
    memory = 'train:mem_mb=100 if attempt == 1 and "worldqa.qes@" in wildcards.stage else 2000'
    run = slurm.start(
        folder, *stages(*LONG), "--configfile", "long.yaml",
        "--set-resources", "train:slurm_partition=spot", "train:gpu=1", memory,
    )  # fmt: skip
    with paused(folder, LONG["qen"], LONG["qen+qes"]):
        wait_until(lambda: len(slurm.jobs(folder, LONG["qes"])) == 2)
        wait_until(lambda: training(folder, LONG["qes"]))
        warned = slurm.jobs(folder, LONG["qes"])[-1]
        slurm.tell("scancel", "--signal=USR1", warned)
        # Not before: a controller that is ended passes on no signal.
        wait_until(lambda: slurm.state(warned) != "RUNNING")

        controller = int((Path(slurm.environ["SLURM_CONF"]).parent / "run/slurmctld.pid").read_text())
        os.kill(controller, signal.SIGTERM)
        wait_until(lambda: not Path(f"/proc/{controller}").exists())
        subprocess.run([HERE / "slurm_up.sh"], check=True, stdout=subprocess.DEVNULL)

        (cancelled,) = slurm.jobs(folder, LONG["qen"])
        slurm.tell("scancel", cancelled)
        (preempted,) = slurm.jobs(folder, LONG["qen+qes"])
        slurm.tell("sbatch", "--partition=main", "--exclusive", "--nodes=2", "--output=/dev/null", "--wrap=sleep 1")
        # The other one waits for jobs of its own partition, such as those that end too late.
        wait_until(lambda: slurm.state(preempted) != "RUNNING", seconds=300)
    finish(run, folder)
    return SimpleNamespace(folder=folder, cancelled=cancelled, preempted=preempted, warned=warned)


@pytest.mark.parametrize("name", LONG)
def test_a_disturbed_training_ends_in_the_same_bytes(bad_day, finished, name):
    same(finished, bad_day.folder, *trained(LONG[name]))


def printed(folder: Path, job: str) -> str:
    """What a job has printed."""
    (log,) = (folder / "logs/slurm").rglob(f"{job}.log")
    return log.read_text()


def resumed_at(folder: Path, name: str) -> list[int]:
    """The updates at which a training went on, from its log."""
    log = (folder / LONG[name] / "logs/train.log").read_text()
    return [int(update) for update in re.findall(rf"resumes at (\d+)/{UPDATES}\n", log)]


def test_a_cancelled_training_saves_its_state_and_is_tried_again(bad_day, slurm):
    assert slurm.record(bad_day.cancelled, "State").startswith("CANCELLED")
    tries = slurm.jobs(bad_day.folder, LONG["qen"])
    assert tries[0] == bad_day.cancelled and len(tries) > 1
    assert SAVED in printed(bad_day.folder, bad_day.cancelled)
    assert resumed_at(bad_day.folder, "qen")


def test_a_preempted_training_is_put_back_into_the_queue_and_goes_on(bad_day, slurm):
    tries = slurm.jobs(bad_day.folder, LONG["qen+qes"])
    assert tries[0] == bad_day.preempted
    states = slurm.record(bad_day.preempted, "State").splitlines()
    assert states[0] == "PREEMPTED" and len(states) > 1, "SLURM starts the same job again"
    assert slurm.record(tries[-1], "State").splitlines()[-1] == "COMPLETED"
    assert SAVED in printed(bad_day.folder, bad_day.preempted), "and its log goes on too"
    assert resumed_at(bad_day.folder, "qen+qes")


def test_a_training_that_runs_out_of_memory_gets_more(bad_day, slurm):
    first, second = slurm.jobs(bad_day.folder, LONG["qes"])[:2]
    assert slurm.record(first, "State").splitlines()[0] in ("FAILED", "OUT_OF_MEMORY", "CANCELLED by 0")
    assert "mem=100M" in slurm.record(first, "ReqTRES")
    assert "mem=2000M" in slurm.record(second, "ReqTRES")


def test_a_training_that_is_warned_saves_its_state_and_is_tried_again(bad_day, slurm):
    *_, last = slurm.jobs(bad_day.folder, LONG["qes"])
    assert last != bad_day.warned
    assert slurm.record(bad_day.warned, "State").splitlines()[-1] == "FAILED"
    assert slurm.record(last, "State").splitlines()[-1] == "COMPLETED"
    assert SAVED in printed(bad_day.folder, bad_day.warned)
    assert resumed_at(bad_day.folder, "qes")


def test_a_training_gets_one_gpu(bad_day, slurm):
    assert {"gres/gpu=1"} == {
        part for part in slurm.record(bad_day.preempted, "AllocTRES").replace("\n", ",").split(",") if "gpu=" in part
    }


def test_trainings_that_outlive_a_killed_snakemake_are_not_made_twice(slurm, begun, finished, snakemake):
    folder = begun("killed")
    wanted = (*stages("qen"), "--configfile", "long.yaml")
    first = slurm.start(folder, *wanted)
    with paused(folder, LONG["qen"]):
        first.kill()
        first.wait()
        snakemake(folder, "--unlock", "--configfile", "long.yaml")
    slurm.run(folder, *wanted)
    same(finished, folder, *trained(LONG["qen"]))
    orphan, second = slurm.jobs(folder, LONG["qen"])
    assert slurm.record(orphan, "State") == slurm.record(second, "State") == "COMPLETED"
    ended = datetime.fromisoformat(slurm.record(orphan, "End")).timestamp()
    assert (folder / LONG["qen"] / "model/model.safetensors").stat().st_mtime <= ended + 1, "it is the first one's"


def test_a_cancelled_second_stage_resumes_and_the_first_is_trained_once(slurm, begun, finished):
    folder = begun("two-stages")
    run = slurm.start(folder, f"{SECOND}/stage.json", "--configfile", "long.yaml")
    wait_until(lambda: training(folder, SECOND)).suspend()  # SLURM's own signals end the pause
    (cancelled,) = slurm.jobs(folder, SECOND)
    slurm.tell("scancel", cancelled)
    finish(run, folder)
    assert SAVED in printed(folder, cancelled)
    assert (len(slurm.jobs(folder, FIRST)), len(slurm.jobs(folder, SECOND))) == (1, 2)
    assert "resumes at" in (folder / SECOND / "logs/train.log").read_text()
    same(finished, folder, *trained(FIRST), *trained(SECOND))


def test_a_second_stage_that_fails_says_why_and_keeps_the_first(slurm, begun):
    folder = begun("failing")
    shutil.rmtree(folder / HOME / "worldqa.qen@6")
    config = yaml.safe_load((folder / "long.yaml").read_text())
    diverging = {"train": "qes", "lr": 1e30, "max_grad_norm": 0.0}
    config["tracks"]["qa"] |= {"schedules": {"diverging": ["qen", diverging]}, "budget": {"updates": 12, "tokens": 512}}
    (folder / "failing.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    assert slurm.start(folder, "--configfile", "failing.yaml", "--retries", "0").wait(timeout=300) == 1
    assert "error: the loss is" in (folder / "snakemake.log").read_text()
    assert (folder / HOME / "worldqa.qen@6/stage.json").exists()


@pytest.mark.parametrize("flavour", ["gpu", "gres"])
def test_a_gpu_job_has_one_gpu_and_another_waits_for_it(waiting, flavour):
    spans = []
    for path in (waiting(flavour) / name for name in ("one.txt", "two.txt")):
        begin, devices, processes, end = path.read_text().split()
        assert (devices, processes) == ("0", "1")
        spans.append((float(begin), float(end)))
    (_, first_end), (second_begin, _) = sorted(spans)
    assert first_end <= second_begin


def test_a_training_that_slurm_starts_twice_refuses(slurm, tmp_path):
    program = [sys.executable, str(ROOT / "scripts/train.py"), "--spec", '{"threads": 1}', "--out", str(tmp_path / "x")]
    command = ["srun", "--partition=main", "--ntasks=2", "--mem=500", *program]
    done = subprocess.run(command, env=slurm.environ, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "SLURM has started 2 copies of this program" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()


def test_the_whole_workflow_runs_in_one_job(slurm, begun):
    """As docs/cluster.md has it for sites where Snakemake may not submit."""
    folder = begun("one-job")
    shutil.copy(SMALL, folder)
    shutil.rmtree(folder / "results/small/tables")
    inside = "snakemake results/small/tables --cores 2 --configfile small.yaml"
    slurm.tell(
        "sbatch", "--wait", "--partition=main", "--ntasks=1", "--cpus-per-task=2", "--mem=2000", "--time=10",
        f"--chdir={folder}", f"--output={folder}/job.log", f"--wrap={inside}",
    )  # fmt: skip
    assert (folder / "results/small/tables").is_dir(), (folder / "job.log").read_text()


def test_a_study_outlives_the_time_of_its_controller(slurm, begun, finished):
    """The signal comes from here: SLURM sends its own only after minutes."""
    folder = begun("controller")
    job = slurm.tell(
        "sbatch", "--parsable", "--partition=cpu", "--mem=2000", "--time=60", f"--chdir={folder}",
        "--export=ALL,FINISH_SECONDS=0", str(ROOT / "profiles/slurm/controller.sh"),
        *IMPATIENT, *stages("qen"), "--configfile", "long.yaml",
    )  # fmt: skip
    log = folder / "study.log"
    with paused(folder, LONG["qen"]):
        slurm.tell("scancel", "--signal=USR1", "--batch", job)
        wait_until(lambda: "goes on in this job's next run" in log.read_text())
    wait_until(lambda: slurm.state(job) in ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED"), seconds=300)
    assert slurm.record(job, "State").splitlines() == ["REQUEUED", "COMPLETED"], log.read_text()
    assert resumed_at(folder, "qen")
    same(finished, folder, *trained(LONG["qen"]))


@pytest.mark.parametrize(("job", "told"), [("obedient", "TERM"), ("deaf", "nothing")])
def test_a_job_that_runs_out_of_time_gets_more(waiting, job, told):
    first, second = (waiting("late") / f"{job}.txt").read_text().splitlines()
    assert first == f"1 {told}"
    assert second == "2 4 minutes"
