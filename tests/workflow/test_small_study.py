"""A small study through the real Snakemake: it runs, it repeats byte for byte, and it does no work twice."""

import contextlib
import copy
import csv
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from helpers.processes import end_snakemake

from crosstune.core import locks
from crosstune.machine.job_usage import read_job_usage

SMALL = Path(__file__).with_name("small.yaml")
ROOT = Path(__file__).parents[2]
HOME = "results/small/tiny/seed1/qa"


def write_config(folder: Path, **changes) -> str:
    """The small study's config in a project's folder, with values put at dotted keys."""
    config = yaml.safe_load(SMALL.read_text())
    for path, value in changes.items():
        part = config
        *parents, last = path.split("__")
        for key in parents:
            part = part[key]
        part[last] = value
    (folder / "small.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return "small.yaml"


def results(folder: Path) -> dict[str, str]:
    """Hashes of everything that must be the same in every run of a study."""
    kept = ("tables/", "scores/", "predictions/", "stage.json", "train.jsonl", "model.safetensors", "baselines/")
    # What making them took is another time each time.
    other = ("cost.json", ".snakemake_timestamp")
    files = [path for path in (folder / "results").rglob("*") if path.is_file() and path.name not in other]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if any(part in str(path.relative_to(folder)) for part in kept)
    }


@pytest.fixture(scope="module")
def finished(new_project, snakemake) -> Path:
    folder = new_project("two-cores")
    snakemake(folder, "--cores", "2", "--configfile", write_config(folder))
    return folder


def test_the_folder_tree_is_the_schedule_tree(finished):
    for stage in ("untrained", "worldqa.qen@12", "worldqa.qen+qes@12", "worldqa.qen@6", "worldqa.qen@6/worldqa.qes@6"):
        for name in ("stage.json", "model/model.safetensors", "predictions/worldqa/qka.jsonl", "scores/worldqa.json"):
            assert (finished / HOME / stage / name).exists(), f"{stage}/{name}"
        assert not (finished / HOME / stage / "resume").exists()
    for name in (
        "report.html",
        "tables/qa.worldqa.tiny.f1.md",
        "figures/qa.worldqa.tiny.languages.svg",
        "provenance.json",
    ):
        assert (finished / "results/small" / name).exists(), name


def test_what_the_schedules_took_is_told_and_goes_into_the_plan(finished, snakemake):
    with (finished / "results/small/cost/cost.qa.worldqa.tiny.csv").open(encoding="utf-8") as file:
        took = {row["schedule"]: row for row in csv.DictReader(file)}
    assert float(took["sequential"]["hours"]) > 0 and took["sequential"]["updates"] == "12"
    told = snakemake(finished, "-n", "estimate_cost", "--configfile", write_config(finished)).stdout
    assert "Measured: tiny, qa, " in told and "measured: tiny" in told
    assert re.search(r"^train +5 +5$", told, re.MULTILINE) and re.search(r"^cpu .* 0 +< 0.01 +", told, re.MULTILINE)


def test_every_cell_of_every_table_agrees_with_its_terms(finished):
    """As audited from the scores, with all hashes, by the program that does not know how tables are made."""
    tables = sorted((finished / "results/small/tables").glob("*.json"))
    assert {"groups", "steps", "qa.worldqa.tiny.f1", "qa.worldqa.tiny.f1.transfer"} <= {path.stem for path in tables}
    for path in tables:
        command = [sys.executable, ROOT / "scripts/audit.py", path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_snakemakes_report_has_page_figures_and_tables(finished, snakemake):
    snakemake(finished, "--configfile", write_config(finished), "--report", "snakemake.html")
    report = (finished / "snakemake.html").read_text()
    for name in ("report.html", "qa.worldqa.tiny.languages.svg", "qa.worldqa.tiny.f1.csv", "cost.qa.worldqa.tiny.csv"):
        assert f'"{name}"' in report


def test_a_stage_loads_with_transformers(finished):
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    folder = finished / HOME / "worldqa.qen@12/model"
    model, report = AutoModelForQuestionAnswering.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    tokens = AutoTokenizer.from_pretrained(folder)("a", "b", return_tensors="pt")
    assert model(**tokens).start_logits.shape == tokens["input_ids"].shape


@pytest.mark.parametrize(
    "name", [f"{HOME}/worldqa.qen@12/predictions/worldqa/qka.jsonl", "results/small/tables/qa.worldqa.tiny.f1.csv"]
)
def test_a_finished_file_that_something_has_changed_is_told_and_made_anew(finished, snakemake, jobs, name):
    config, before = write_config(finished), results(finished)
    (finished / name).write_bytes((finished / name).read_bytes()[:20])
    snakemake(finished, "status", "--cores", "1", "--configfile", config)  # which looks only
    refused = snakemake(finished, "--cores", "2", "--configfile", config, check=False)
    assert refused.returncode and f"1 file changed after the last run had ended: {name}" in refused.stdout
    (command,) = re.findall(r"^  (rm -rf .+)$", refused.stdout, re.MULTILINE)
    subprocess.run(command, shell=True, cwd=finished, check=True)
    (forced,) = re.findall(r"^  --forcerun (.+)$", refused.stdout, re.MULTILINE)
    snakemake(finished, "--cores", "2", "--configfile", config, "--forcerun", *forced.split())
    assert results(finished) == before
    assert jobs(snakemake(finished, "-n", "--configfile", config).stdout) == {}


def test_nothing_is_left_to_do(finished, snakemake, jobs):
    assert jobs(snakemake(finished, "-n", "--configfile", write_config(finished)).stdout) == {}


def test_reordered_keys_run_nothing(finished, snakemake, jobs):
    config = yaml.safe_load(SMALL.read_text())

    def reverse(value):
        return {key: reverse(value[key]) for key in reversed(value)} if isinstance(value, dict) else value

    reordered = reverse(copy.deepcopy(config))
    schedules = config["tracks"]["qa"]["schedules"]
    reordered["tracks"]["qa"]["schedules"] = schedules  # their order is the order of the tables' rows
    (finished / "small.yaml").write_text(yaml.safe_dump(reordered, sort_keys=False))
    assert jobs(snakemake(finished, "-n", "--configfile", "small.yaml").stdout) == {}


def test_a_new_seed_runs_that_seed_and_the_tables(finished, snakemake, jobs):
    found = jobs(snakemake(finished, "-n", "--configfile", write_config(finished, seeds=[1, 2])).stdout)
    made = {"train": 5, "install_predictions": 5, "score": 5}
    assert found == {**made, "plan_file": 1, "provenance": 1, "tables": 1, "figures": 1, "report": 1}


def test_a_dropped_seed_rebuilds_only_the_tables(finished, snakemake, new_project, jobs):
    folder = new_project("dropped")
    for part in ("data", "results", ".snakemake"):
        subprocess.run(["cp", "-a", finished / part, folder / part], check=True)
    two = write_config(folder, seeds=[1, 2])
    snakemake(folder, "--touch", "--cores", "1", "--configfile", two, check=False)
    found = jobs(snakemake(folder, "-n", "--configfile", write_config(folder, seeds=[1])).stdout)
    assert set(found) <= {"plan_file", "provenance", "tables", "figures", "report"}


def test_what_is_published_trains_nothing(finished, snakemake, new_project, jobs):
    """Names, figures, cards and examples: made of what is there, and only a changed name is made anew everywhere."""
    folder = new_project("published")
    for part in ("data", "results", ".snakemake"):
        subprocess.run(["cp", "-a", finished / part, folder / part], check=True)
    snakemake(folder, "--touch", "--cores", "1", "--configfile", write_config(folder), check=False)
    wanted = {
        "names": {"schedules": {"joint": "All at once"}, "languages": {"qka": "Kashic"}},
        "figures": {"gains": {"kind": "differences", "panels": "qa", "relative_to": "english"}},
        "model_cards": {},
    }
    config = write_config(folder, **wanted)
    made = dict.fromkeys(("plan_file", "provenance", "tables", "figures", "figure", "report", "model_cards"), 1)
    assert jobs(snakemake(folder, "-n", "--configfile", config).stdout) == made
    snakemake(folder, "--cores", "1", "--configfile", config)
    snakemake(folder, "--cores", "1", "examples", "--configfile", config)
    results = folder / "results/small"
    assert "All at once − english" in (results / "paper/gains.svg").read_text()
    assert "All at once" in (results / "tables/qa.worldqa.tiny.f1.md").read_text()
    assert "joint" in (results / "tables/qa.worldqa.tiny.f1.csv").read_text()
    assert ">All at once</th>" in (results / "examples/qa.worldqa.tiny.html").read_text()
    cards = json.loads((results / "model_cards.json").read_text())["cards"]
    assert len(cards) == 4 and all((results / card["checkpoint"] / "model/README.md").exists() for card in cards)
    assert jobs(snakemake(folder, "-n", "--configfile", config).stdout) == {}

    renamed = write_config(folder, **{**wanted, "names": {"schedules": {"joint": "Together"}}})
    assert jobs(snakemake(folder, "-n", "--configfile", renamed).stdout) == made


def test_a_new_evaluation_language_trains_nothing(finished, snakemake, jobs):
    config = write_config(finished, tracks__qa__evaluate={"worldqa": ["qen", "qes", "qno", "qka", "qeu"]})
    found = jobs(snakemake(finished, "-n", "--configfile", config).stdout)
    assert found.pop("prepare") == 1
    assert found == {
        "leakage": 1,
        "baselines": 1,
        "predict": 5,
        "score": 5,
        "plan_file": 1,
        "provenance": 1,
        "tables": 1,
        "figures": 1,
        "report": 1,
    }


def test_a_new_schedule_trains_only_what_is_new(finished, snakemake, jobs):
    schedules = {"english": ["qen"], "joint": ["qen + qes"], "sequential": ["qen", "qes"], "back": ["qen", "qfr"]}
    found = jobs(
        snakemake(finished, "-n", "--configfile", write_config(finished, tracks__qa__schedules=schedules)).stdout
    )
    assert found["train"] == 1


def test_no_job_used_more_than_it_asked_for(finished):
    jobs = read_job_usage(finished / "results/small")
    # Trainings predict at once; a prediction that is only moved into place is no job of this table.
    assert Counter(job.rule for job in jobs).items() >= {"pretrain": 1, "train": 5}.items()
    assert [job for job in jobs if job.memory_share > 1 or job.time_share > 1] == []
    assert any(job.memory_share > 0.1 for job in jobs), "somebody measured it"
    assert "Memory and time of the jobs" in (finished / "results/small/report.html").read_text()


def test_what_a_job_asks_for_and_which_weights_stay_run_nothing_again(finished, snakemake, jobs):
    pretrain = yaml.safe_load(SMALL.read_text())["models"]["tiny"]["pretrain"]
    gpus = write_config(finished, models={"tiny": {"pretrain": pretrain, "gpus": 2, "sharded": True}})
    assert jobs(snakemake(finished, "-n", "--configfile", gpus).stdout) == {}
    again = snakemake(finished, "-n", "-p", "-F", "results/small/tiny/base/stage.json", "--configfile", gpus).stdout
    assert "--gpus 2 --parallelism sharded" in again
    assert jobs(snakemake(finished, "-n", "--configfile", write_config(finished, keep_weights="final")).stdout) == {
        "remove_weights": 1
    }


KINDS = {
    "english": ["qen"],
    "replayed": ["qen", {"train": "qes", "replay": 0.3}],
    "carried": ["qen", {"train": "qes", "optimizer": "carry"}],
    "soup": {"average": [["qen"], ["qes"]]},
    "tagged-first": ["worldpos.qen", "qen + qes"],
}


def kinds_config(folder: Path, languages: Sequence[str] = ("qen", "qno"), **schedules) -> str:
    """Every kind of schedule, and no weights that stay."""
    headline = {"track": "qa", "dataset": "worldqa", "metric": "f1", "single": "english"}
    evaluate = {"worldqa": list(languages), "worldpos": ["qen", "qno"]}
    changes = {"tracks__qa__schedules": KINDS | schedules, "tracks__qa__evaluate": evaluate, "headline": headline}
    return write_config(folder, keep_weights="none", **changes)


@pytest.fixture(scope="module")
def kinds(finished, new_project, snakemake) -> Path:
    folder = new_project("kinds")
    for part in ("data", "results", ".snakemake"):
        subprocess.run(["cp", "-a", finished / part, folder / part], check=True)
    shutil.rmtree(folder / HOME / "worldqa.qen@6/worldqa.qes@6")  # of a schedule that this study has not
    snakemake(folder, "--cores", "2", "--configfile", kinds_config(folder))
    return folder


def test_every_kind_of_schedule_runs(kinds):
    folder = kinds
    stage = json.loads((folder / HOME / "worldqa.qen@6/worldqa.qes@6~replay=0.3/stage.json").read_text())
    assert stage["exposure"]["worldqa.qen"]["examples"] > 0
    assert (folder / HOME / "average.qen+qes/scores/worldqa.json").exists()
    both = folder / HOME / "worldpos.qen@6/worldqa.qen+qes@6/scores"
    assert sorted(path.name for path in both.glob("*.json")) == ["worldpos.json", "worldqa.json"]
    assert "tagged-first" in (folder / "results/small/tables/qa.worldpos.tiny.f1.md").read_text()


def weights(folder: Path) -> list[str]:
    """Files of weights and of optimizers' states."""
    return sorted(str(path.relative_to(folder / HOME)) for path in (folder / HOME).rglob("*.safetensors"))


def test_weights_that_are_not_kept_are_gone_and_nothing_is_left_to_do(kinds, snakemake, jobs):
    assert weights(kinds) == ["worldqa.qen+qes@12/model/model.safetensors"], "that of no schedule any more"
    assert (kinds / "results/small/tiny/base/model/model.safetensors").exists()
    assert jobs(snakemake(kinds, "-n", "--configfile", kinds_config(kinds)).stdout) == {}


def test_jobs_retrain_removed_weights_in_scratch_and_nothing_else(kinds, snakemake, jobs):
    """Two new stages continue one stage without weights, one of them with its optimizer's state."""
    before = {path: path.stat().st_mtime_ns for path in (kinds / HOME).rglob("*.json") if "requested" not in path.name}
    carried, other = {"train": "qfr", "optimizer": "carry"}, {"train": "qfr", "lr": 1e-4}
    config = kinds_config(kinds, **{"carried-on": ["qen", carried], "other": ["qen", other]})
    plan = snakemake(kinds, "-n", "--configfile", config).stdout
    found = jobs(plan)
    assert (found["train"], found["install_predictions"], found["score"]) == (2, 2, 2)
    assert (
        "1 checkpoint must be retrained: a new job needs weights that were removed (tiny/seed1/qa/worldqa.qen@6)\n"
        in plan
    )
    snakemake(kinds, "--cores", "2", "--configfile", config)
    again = [path for path in (kinds / HOME).rglob("train.log") if "worldqa.qen@6 " in path.read_text()]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (kinds / HOME / "worldqa.qen@6/worldqa.qfr@6~optimizer=carry/scores/worldqa.json").exists()
    assert len([path for path in again if "qfr@6" in str(path)]) == 2, "each in its own scratch folder"
    assert not list(kinds.rglob(".staging"))
    assert weights(kinds) == ["worldqa.qen+qes@12/model/model.safetensors"]
    assert jobs(snakemake(kinds, "-n", "--configfile", config).stdout) == {}


def test_a_new_language_is_predicted_from_retrained_weights(kinds, snakemake):
    """Of an average, whose members have no weights either."""
    config = kinds_config(kinds, ("qen", "qno", "qka"))
    soup = f"{HOME}/average.qen+qes"
    known = json.loads((kinds / soup / "stage.json").read_text())["weights"]
    target = f"{soup}/predictions/worldqa.json"
    snakemake(kinds, target, "--cores", "1", "--configfile", config)
    predicted = json.loads((kinds / target).read_text())
    assert predicted["weights"] == known and set(predicted["languages"]) == {"qen", "qno", "qka"}
    assert not (kinds / soup / "model").exists() and not list(kinds.rglob(".staging"))


def checkpoints(folder: Path) -> list[Path]:
    """Manifests of checkpoints, also of staged ones."""
    return list(folder.glob("results/**/stage.json"))


def test_killed_at_random_and_resumed_on_one_core_gives_the_same_bytes(finished, new_project, snakemake):
    folder = new_project("killed")
    config = write_config(folder, keep_weights="final")
    luck = random.Random(4)
    for cores in "221":
        before = len(checkpoints(folder))
        process = subprocess.Popen(
            ["snakemake", "--cores", cores, "--configfile", config],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # At any moment after it has made a checkpoint more, however fast the machine is.
        while process.poll() is None and len(checkpoints(folder)) == before:
            time.sleep(0.05)
        time.sleep(luck.uniform(0, 1.5))
        assert process.poll() is None, "the study ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        snakemake(folder, "--unlock", "--configfile", config)
    done = snakemake(folder, "--cores", "1", "--configfile", config)
    assert ": train results/" in done.stdout, "one core has trained something"
    everything = results(finished)
    del everything[f"{HOME}/worldqa.qen@6/model/model.safetensors"]  # which no schedule ends with
    assert results(folder) == everything


def train_program(folder: Path, spec: dict, out: str, *options: str) -> list[str]:
    """The command of a pretraining with the finished study's data."""
    data = [f"data/{source.replace('.', '/train.')}.json" for source in spec["sources"]]
    return [sys.executable, "scripts/train.py", "--spec", json.dumps(spec), "--data", *data, "--out", out, *options]


def test_a_training_killed_at_random_ends_in_the_bytes_of_the_undisturbed_one(finished):
    spec = json.loads((finished / "results/small/tiny/base/stage.json").read_text())["spec"]
    spec["budget"]["updates"] = 300
    quiet = {"cwd": finished, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(train_program(finished, spec, "whole"), check=True, **quiet)
    command = train_program(finished, spec, "killed", "--save-interval", "0")
    state = finished / "killed/resume/state.safetensors"
    luck = random.Random(1)
    for _ in range(3):
        process = subprocess.Popen(command, **quiet)
        before = state.stat().st_mtime_ns if state.exists() else 0
        # Killed at any moment after it has gone on from, and saved beyond, what the last one left.
        while process.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
            time.sleep(0.02)
        time.sleep(luck.uniform(0.0, 0.6))
        assert process.poll() is None, "the training ended before it could be killed; give it more updates"
        process.kill()
        process.wait()
        assert state.exists()
    subprocess.run(command, check=True, **quiet)
    for name in ("model/model.safetensors", "train.jsonl", "stage.json"):
        assert (finished / "killed" / name).read_bytes() == (finished / "whole" / name).read_bytes(), name


def stage_program(folder: Path, stage: str, out: str, *options: str) -> list[str]:
    """The command that trains a stage of the finished study once more, into another folder."""
    spec = json.loads((folder / HOME / stage / "stage.json").read_text())["spec"]
    parent = (folder / HOME / stage).parent if "/" in stage else folder / "results/small/tiny/base"
    data = [f"data/{source.replace('.', '/train.')}.json" for source in spec["sources"]]
    return [
        sys.executable, "scripts/train.py", "--spec", json.dumps(spec), "--parents", str(parent), "--data", *data,
        "--out", out, *options,
    ]  # fmt: skip


def test_a_job_that_is_killed_before_it_installs_finds_its_staged_checkpoint(finished):
    command = stage_program(finished, "worldqa.qen@6", "staged")
    subprocess.run(command, cwd=finished, check=True, capture_output=True, env={**os.environ, "SLURM_JOB_ID": "1"})
    staged = finished / "staged/.staging/checkpoint/stage.json"
    before = staged.stat().st_mtime_ns
    (finished / "staged/stage.json").unlink()  # as Snakemake deletes the outputs of a killed job
    subprocess.run(command, cwd=finished, check=True, capture_output=True)
    assert (finished / "staged/stage.json").stat().st_mtime_ns == before and not staged.exists()


def test_a_job_waits_for_the_process_that_makes_its_checkpoint(finished):
    command = stage_program(finished, "worldqa.qen@6", "waiting")
    with locks.file_lock(finished / "waiting/.staging/lock", wait=False):
        process = subprocess.Popen(command, cwd=finished, stderr=subprocess.PIPE, text=True)
        assert "is training in waiting/.staging; waiting until it has ended" in process.stderr.readline()
        assert process.poll() is None
    process.communicate()
    assert process.returncode == 0
    name = "model/model.safetensors"
    assert (finished / "waiting" / name).read_bytes() == (finished / HOME / "worldqa.qen@6" / name).read_bytes()


def test_a_training_without_its_parent_is_one_message(finished):
    command = stage_program(finished, "worldqa.qen@6", "orphan")
    command[command.index("--parents") + 1] = "results/nowhere"
    found = subprocess.run(command, cwd=finished, capture_output=True, text=True)
    assert found.returncode != 0
    assert "results/nowhere/stage.json" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_study_may_bring_a_data_set_whose_files_are_patterns(new_project, snakemake):
    """Snakemake must not take {lang} in a record for a wildcard of its own."""
    folder = new_project("own-data")
    (folder / "mine").mkdir()
    (folder / "mine/test.qen.json").touch()
    record = {
        "task": "qa", "title": "mine", "reader": "squad", "licence": "mine",
        "source": {"files": "{here}/{split}.{lang}.json"}, "splits": {"test": {"languages": ["qen"]}},
    }  # fmt: skip
    changes = {"datasets": {"mine": record}, "folders": {"here": "mine"}}
    config = write_config(folder, **changes, tracks__qa__evaluate={"worldqa": ["qen"], "mine": "all"})
    assert "prepare mine test qen" in snakemake(folder, "-n", "--quiet", "host", "--configfile", config).stdout


def test_a_submission_needs_the_final_predictions_and_no_tables(new_project, snakemake, jobs):
    record = {
        "task": "qa", "title": "mine", "reader": "squad", "licence": "mine", "xtreme": "xquad",
        "source": {"synthetic": "qa/{lang}.{split}.json"}, "splits": {"test": {"languages": ["qen"]}},
    }  # fmt: skip
    changes = {"datasets": {"mine": record}, "tracks__qa__evaluate": {"worldqa": ["qen"], "mine": ["qen"]}}
    folder = new_project("submitted")
    found = jobs(snakemake(folder, "-n", "submission", "--configfile", write_config(folder, **changes)).stdout)
    assert {"score", "tables", "report"}.isdisjoint(found)
    # untrained, english, joint, sequential: not what sequential predicts between its stages
    assert (found["install_predictions"], found["train"], found["submission"]) == (4, 5, 1)


def leaking_config(folder: Path, **changes) -> str:
    """The small study with a new schedule, evaluated also on `mine`, which is the file that it trains on."""
    record = {
        "task": "qa", "title": "Mine", "reader": "squad", "licence": "mine", "languages": ["qen"],
        "source": {"synthetic": "qa/{lang}.train.json"}, "splits": {"test": {}},
    }  # fmt: skip
    changes |= {"datasets": {"mine": record}, "tracks__qa__evaluate": {"worldqa": ["qen"], "mine": "all"}}
    changes["tracks__qa__schedules"] = {"english": ["qen"], "joint": ["qen + qes"], "new": ["qes"]}
    changes["headline"] = {"track": "qa", "dataset": "worldqa", "metric": "f1", "single": "english", "joint": "joint"}
    return write_config(folder, **changes)


LEAK = "error: the study trains or selects on texts of its evaluation sets"
ALLOWED = "allow_leakage: [worldqa.qen > mine.qen]"


def test_a_study_that_trains_on_its_test_set_stops_until_it_says_so(finished, new_project, snakemake, jobs):
    folder = new_project("leaking")
    subprocess.run(["cp", "-a", finished / "data", folder / "data"], check=True)
    config = leaking_config(folder)
    stage = f"{HOME}/worldqa.qes@12/stage.json"
    done = snakemake(folder, stage, "--cores", "2", "--configfile", config, check=False)
    assert done.returncode and LEAK in done.stdout
    assert "Traceback" not in done.stdout and ": train results" not in done.stdout
    assert f"  {ALLOWED}\n" in done.stdout and not list((folder / "results").rglob("stage.json"))
    again = ("-n", "--configfile", config)
    assert jobs(snakemake(folder, stage, *again).stdout)["leakage"] == 1, "it is stopped again"

    leaking_config(folder, **yaml.safe_load(ALLOWED))
    snakemake(folder, "results/small/leakage.json", "--cores", "2", "--configfile", config)
    (pair,) = [
        pair for pair in json.loads((folder / "results/small/leakage.json").read_text())["pairs"]
        if pair["status"] == "allowed"
    ]  # fmt: skip
    assert (pair["train"], pair["evaluate"], pair["near"]) == ("worldqa.qen", "mine.qen", 0)
    assert jobs(snakemake(folder, stage, *again).stdout) == {"pretrain": 1, "train": 1}


def test_a_study_that_leaks_later_is_stopped_and_what_was_trained_stays(finished, new_project, snakemake, jobs):
    folder = new_project("leaking-later")
    for part in ("data", "results", ".snakemake"):
        subprocess.run(["cp", "-a", finished / part, folder / part], check=True)
    config = leaking_config(folder)
    target = ("results/small/tables", "--configfile", config)
    done = snakemake(folder, *target, "--cores", "1", check=False)
    assert done.returncode and LEAK in done.stdout
    assert not (folder / HOME / "worldqa.qes@12").exists(), "the look comes first"
    assert jobs(snakemake(folder, *target, "-n").stdout)["leakage"] == 1, "it is stopped again"
    leaking_config(folder, **yaml.safe_load(ALLOWED))
    assert jobs(snakemake(folder, *target, "-n").stdout)["train"] == 1, "the others stay"


def test_a_broken_data_file_is_told_before_anything_is_trained(new_project, snakemake):
    folder = new_project("broken")
    (folder / "mine.json").write_text('{"version": "1.1", "data": [{"title": "cut sho')
    record = {
        "task": "qa",
        "title": "Mine",
        "source": {"files": "mine.json"},
        "reader": "squad",
        "languages": ["qno"],
        "licence": "CC0-1.0",
        "splits": {"test": {}},
    }
    config = write_config(folder, datasets={"mine": record}, tracks__qa__evaluate={"mine": "all"}, headline={})
    (folder / "small.yaml").write_text((folder / "small.yaml").read_text().replace("headline: {}\n", ""))
    done = snakemake(folder, "--cores", "1", "--configfile", config, check=False)
    assert done.returncode != 0
    assert "mine.json" in done.stdout
    assert not (folder / "results").exists() or not list((folder / "results").rglob("train*"))


def test_a_state_of_another_spec_is_told_before_any_job(finished, snakemake):
    state = finished / HOME / "worldqa.qen@12/resume"
    state.mkdir()
    try:
        (state / "spec.json").write_text('{"seed": 5}')
        done = snakemake(finished, "-n", "--configfile", write_config(finished), check=False)
        assert done.returncode != 0
        assert "another spec" in done.stdout
        assert f"rm -r {HOME}" in done.stdout
    finally:
        (state / "spec.json").unlink()
        state.rmdir()


@pytest.mark.parametrize(("options", "fault"), [("size=12k", "is full"), ("size=9m,ro", "is read-only")])
def test_a_disk_without_room_is_told_and_what_was_finished_stays(finished, tmp_path, options, fault):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("only root can mount the small disk that this test fills")
    try:
        (small / "finished.txt").write_text("kept")
        subprocess.run(["mount", "-o", f"remount,{options}", small], check=True)
        command = [sys.executable, "scripts/prepare.py", "--dataset", "worldtext", "--split", "train"]
        command += ["--lang", "qen", "--out", str(small / "train.qen.jsonl")]
        done = subprocess.run(command, cwd=finished, capture_output=True, text=True)
        assert done.returncode == 1
        assert f"the disk {fault}" in done.stderr
        assert "Traceback" not in done.stderr
        assert sorted(path.name for path in small.iterdir()) == ["finished.txt"]
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_mistake_in_the_config_is_one_message_without_a_traceback(finished, snakemake):
    config = write_config(finished, sede=[1])
    done = snakemake(finished, "--cores", "1", "--configfile", config, check=False)
    assert done.returncode != 0
    assert "unknown key 'sede'" in done.stdout
    assert "Did you mean seeds" in done.stdout
    assert "Traceback" not in done.stdout


def end(process: subprocess.Popen) -> None:
    """End a run that has a session of its own, and wait until none of its jobs writes any more."""
    end_snakemake(process, leads_group=True)
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.killpg(process.pid, 0)
            time.sleep(0.1)


def test_two_runs_in_one_folder_are_refused(finished, snakemake):
    config = write_config(finished, seeds=[1, 9])
    first = subprocess.Popen(
        ["snakemake", "--cores", "1", "--configfile", config],
        cwd=finished,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not any((finished / ".snakemake/locks").glob("*")) and time.monotonic() < deadline:
            time.sleep(0.2)
        second = snakemake(finished, "--cores", "1", "--configfile", config, check=False)
        assert second.returncode != 0
        assert "lock" in second.stdout.lower()
    finally:
        end(first)
        shutil.rmtree(finished / "results/small/tiny/seed9", ignore_errors=True)


def packed(folder: Path, snakemake, config: str) -> bytes:
    snakemake(folder, "results/small/crate.zip", "--cores", "1", "--configfile", config)
    return (folder / "results/small/crate.zip").read_bytes()


def test_the_archive_of_a_study_describes_every_file_and_is_the_same_each_time(finished, snakemake, jobs, tmp_path):
    config = write_config(finished)
    first = packed(finished, snakemake, config)
    (finished / "results/small/crate.zip").unlink()
    assert packed(finished, snakemake, config) == first
    with zipfile.ZipFile(finished / "results/small/crate.zip") as archive:
        archive.extractall(tmp_path)
        names = set(archive.namelist())
    described = {
        unquote(entity["@id"]): entity
        for entity in json.loads((tmp_path / "ro-crate-metadata.json").read_text())["@graph"]
        if "File" in entity["@type"]
    }
    assert described.keys() == names - {"ro-crate-metadata.json"}
    for name, entity in described.items():
        content = (tmp_path / name).read_bytes()
        found = (str(len(content)), hashlib.sha256(content).hexdigest())
        assert (entity["contentSize"], entity["sha256"]) == found, name
    stage = f"{HOME}/worldqa.qen@6/worldqa.qes@6"
    assert {f"{stage}/stage.json", f"{stage}/predictions/worldqa/qka.jsonl", "results/small/report.html"} <= names
    assert {"Snakefile", "rules/train.smk", "scripts/train.py", "envs/requirements.lock"} <= names
    assert "data/worldqa/test.qno.json" in names and "data/worldqa/test.qno.jsonl" not in names
    assert [name for name in names if "safetensors" in name or "/logs/" in name or "__pycache__" in name] == []
    # What was packed can be run from nothing.
    for folder in ("results", "data"):
        shutil.rmtree(tmp_path / folder)
    planned = jobs(snakemake(tmp_path, "-n", "--configfile", "study.json").stdout)
    assert (planned["synthetic"], planned["pretrain"]) == (1, 1)
    assert (planned["train"], planned["install_predictions"]) == (5, 5)


def test_results_that_are_imported_give_the_same_tables_without_a_training(finished, new_project, snakemake, jobs):
    config = write_config(finished)
    snakemake(finished, "export_results", "--cores", "1", "--configfile", config)
    archive = finished / "results/small/results.zip"
    packed_first = archive.read_bytes()
    archive.unlink()
    snakemake(finished, "export_results", "--cores", "1", "--configfile", config)
    assert archive.read_bytes() == packed_first
    folder = new_project("imported")
    write_config(folder)
    command = ("import_results", "--cores", "1", "--configfile", config, "--config", f"archive={archive}")
    assert "6 checkpoints put into place" in snakemake(folder, *command).stdout
    assert "0 checkpoints put into place, 6 already there" in snakemake(folder, *command).stdout
    planned = jobs(snakemake(folder, "-n", "--configfile", config).stdout)
    assert not {"train", "pretrain", "predict", "install_predictions", "score"} & planned.keys(), planned
    snakemake(folder, "--cores", "2", "--configfile", config)
    assert not list((folder / "results").rglob("*.safetensors"))
    here, there = results(folder), results(finished)
    assert here == {path: digest for path, digest in there.items() if not path.endswith(".safetensors")}
    # Another part of the study trains the base model again, whose weights it needs.
    write_config(folder, seeds=[1, 2])
    snakemake(folder, "prepare_all", "--cores", "2", "--configfile", config)
    snakemake(folder, "--cores", "2", "--configfile", config)
    assert (folder / HOME.replace("seed1", "seed2") / "worldqa.qen@12/stage.json").exists()
    write_config(folder)
    manifest = folder / HOME / "worldqa.qen@12/stage.json"
    manifest.write_text(manifest.read_text().replace('"updates": 12', '"updates": 13'))
    refused = snakemake(folder, *command, check=False)
    assert refused.returncode and "a finished checkpoint differs from the archive's" in refused.stdout


@pytest.fixture
def problems():
    """What RO-Crate's reference validator finds wrong with an archive. It lives in an environment of its own."""
    python = os.environ.get("CROSSTUNE_VALIDATOR")
    if not python:
        pytest.skip("CROSSTUNE_VALIDATOR names no Python that has roc-validator; make test does")

    def find(crate: Path) -> list[str]:
        command = [python, str(Path(__file__).parents[1] / "crate_validator.py"), str(crate)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return find


def test_the_archive_is_a_workflow_run_crate(problems, finished, snakemake, tmp_path):
    packed(finished, snakemake, write_config(finished))
    crate, metadata = finished / "results/small/crate.zip", "ro-crate-metadata.json"
    assert problems(crate) == []
    with zipfile.ZipFile(crate) as archive, zipfile.ZipFile(tmp_path / "broken.zip", "w") as broken:
        for name in archive.namelist():
            content = archive.read(name)
            broken.writestr(name, content.replace(b'"instrument"', b'"creator"') if name == metadata else content)
    found = " ".join(problems(tmp_path / "broken.zip"))
    assert "instrument" in found and 'JSON-LD key "creator" is not allowed' in found


def test_status_and_stale_are_told_while_another_run_has_the_folder(finished, snakemake):
    config = write_config(finished, seeds=[1, 8])
    command = ["snakemake", "--cores", "1", "--configfile", config]
    log = finished / "first.log"
    with log.open("w") as file:
        options = {"cwd": finished, "stdout": file, "stderr": subprocess.STDOUT, "start_new_session": True}
        first = subprocess.Popen(command, **options)
    try:
        deadline = time.monotonic() + 300
        while not any((finished / ".snakemake/locks").glob("*")) and time.monotonic() < deadline:
            time.sleep(0.2)
        asked = snakemake(finished, "status", "--cores", "1", "--configfile", config).stdout
        stale = snakemake(finished, "list_stale", "--cores", "1", "--configfile", config).stdout
        assert first.poll() is None, f"the first run has ended before it was asked about: {log.read_text()[-3000:]}"
    finally:
        end(first)
        shutil.rmtree(finished / "results/small/tiny/seed8", ignore_errors=True)
    done = re.search(r"^trainings +(\d+) ", asked, re.MULTILINE)
    assert done and 6 <= int(done[1]) < 11, asked
    assert "Nothing is outdated." in stale, stale
    assert "No folder is left over." in stale, stale


def test_kept_results_have_a_record_that_the_page_shows(finished, snakemake):
    """In another folder than docs/results/small. An entry that does not say why stops a study before any job."""
    config, kept = ["--cores", "1", "--configfile", write_config(finished)], finished / "paper"
    option, page = ["--config", "corrections=paper"], finished / "results/small/report.html"
    kept.mkdir()
    shutil.copy(finished / "results/small/tables/scores.csv", kept)
    assert "CURRENT, 0 corrections" in snakemake(finished, "corrections", *config, *option).stdout
    snakemake(finished, *config, *option)
    assert "Record: CURRENT, 0 corrections." in page.read_text(encoding="utf-8")
    record = kept / "corrections.yaml"
    record.write_text(re.sub("why: .*", 'why: ""', record.read_text(encoding="utf-8")), encoding="utf-8")
    refused = snakemake(finished, "-n", *config, *option, check=False)
    assert refused.returncode and "does not say why the results changed" in refused.stdout
    assert "Traceback" not in refused.stdout
