"""Several processes for one stage: the messages between them, and a stage that two train."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from closeness import TRAINED, relative_differences
from helpers.processes import is_running, wait_until
from safetensors import safe_open
from safetensors.torch import load_file
from sample_rows import ENCODING, MIXED_HEADS, MIXED_RECIPE, MIXED_SOURCES, ORIGINALS
from written_checkpoint import write_base, write_split

from crosstune.artifacts.checkpoint import CheckpointJob, staged_predictions_dir
from crosstune.core.files import read_json, read_jsonl
from crosstune.training.checkpoint_job import RuntimeOptions, make_checkpoint
from crosstune.training.interruption import InterruptGuard
from crosstune.training.model_selection import PREFIX

ROOT = Path(__file__).parents[2]
# Two GPUs that no machine has: two processes, each on the CPU.
NO_GPUS = "GPU-none-0,GPU-none-1"
UPDATES, EVERY = 60, 10
# A softmax over positions does not see that bias: its gradient is rounding alone, of which Adam makes steps.
UNSEEN = ("qa_outputs.bias", "heads.qa.bias")


# ---- processes ----

TALK = """
import json, os, sys
from pathlib import Path
import torch
from crosstune.core.errors import UserError, run_program
from crosstune.training.distributed import Ranks, die_with_launcher, started_by_launcher, launch

def fail():
    raise UserError("a mistake", "config.yaml", "mend it")

def main():
    if not started_by_launcher(os.environ):
        return launch(2)
    die_with_launcher()
    folder = Path(sys.argv[1])
    ranks = Ranks.of_process()
    other = None if ranks.is_main else torch.tensor(2.0)
    seen = {
        "broadcast": ranks.broadcast_from_main(lambda: f"by {os.getpid()}"),
        "first": ranks.main_process_first(lambda: (folder / "made").exists() or (folder / "made").touch()),
        "any": ranks.any_true(ranks.rank == 1, False),
        "sums": ranks.all_reduce_sum(torch.tensor(1.5 + ranks.rank), other, None),
        "argument": sys.argv[2],
        "pid": os.getpid(),
        "interfaces": [os.environ[name] for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")],
    }
    (folder / f"{ranks.rank}.json").write_text(json.dumps(seen))
    if sys.argv[3] == "fail":
        ranks.broadcast_from_main(fail)
    ranks.any_true(False) if ranks.is_main else __import__("time").sleep(600)

run_program(main)
"""


def talk(folder: Path, end: str, **options) -> subprocess.Popen:
    """Two processes that agree on something, and then fail or wait."""
    (folder / "talk.py").write_text(TALK)
    command = [sys.executable, str(folder / "talk.py"), str(folder), "${x} $$", end, "--log", str(folder / "log")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(command, env=environ, text=True, **options)


def test_processes_exchange_values_and_report_a_mistake_once(tmp_path):
    process = talk(tmp_path, "fail", stderr=subprocess.PIPE)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors.count("a mistake") == 1 and "Traceback" not in errors, errors
    assert (tmp_path / "log").read_text() == "error: config.yaml: a mistake\n  mend it\n"
    main, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert main["broadcast"] == other["broadcast"] == f"by {main['pid']}"
    assert (main["first"], other["first"]) == (None, True)
    assert main["any"] == other["any"] == [True, False]
    assert main["sums"] == other["sums"] == [4.0, 2.0, None]
    assert main["argument"] == other["argument"] == "${x} $$"


def test_processes_end_with_a_launcher_that_is_killed(tmp_path):
    process = talk(tmp_path, "wait", stderr=subprocess.DEVNULL)
    files = [tmp_path / f"{rank}.json" for rank in (0, 1)]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files), process=process)
    pids = [json.loads(file.read_text())["pid"] for file in files]
    assert all(map(is_running, pids))
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_running, pids)))


def listening_addresses(pids: set[int]) -> set[str]:
    """Addresses, in the hexadecimal form of /proc/net, on which processes listen."""
    sockets = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                sockets.add(os.readlink(descriptor))
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in sockets and fields[3] in ("0A", "07"):  # listening, or bound without a peer
                found.add(fields[1].partition(":")[0])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads the sockets in /proc")
def test_processes_listen_on_loopback_only(tmp_path, monkeypatch):
    """They meet in a folder that others cannot enter: torch's launcher unpickles what lies there."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(shared))
    process = talk(tmp_path, "wait", stderr=subprocess.DEVNULL)
    files = [tmp_path / f"{rank}.json" for rank in (0, 1)]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files), process=process)
    told = [json.loads(file.read_text()) for file in files]
    pids = {process.pid, *(found["pid"] for found in told)}
    try:
        # Where a machine's name means loopback, gloo listens there in any case.
        assert [found["interfaces"] for found in told] == [["lo", "lo"]] * 2
        assert listening_addresses(pids) <= {"0100007F", f"{0:024x}01000000"}
        assert [stat.S_IMODE(path.stat().st_mode) for path in shared.iterdir()] == [0o700]
    finally:
        process.kill()
        process.wait()


def test_processes_of_torchrun_are_refused(tmp_path):
    (tmp_path / "talk.py").write_text(TALK)
    command = [sys.executable, str(tmp_path / "talk.py"), str(tmp_path), "x", "wait"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "WORLD_SIZE": "2", "RANK": "0"}
    done = subprocess.run(command, env=environ, text=True, capture_output=True, timeout=120)
    assert done.returncode == 1 and done.stderr.endswith("Say instead: --gpus 2\n"), done.stderr


# ---- a stage ----


@pytest.fixture(scope="module")
def stage(new_network, tokenizer_folder, tmp_path_factory):
    """Make the node of a stage with every kind of micro-batch, evaluations on held-out rows and predictions."""
    home = tmp_path_factory.mktemp("stages")
    base = write_base(home / "base", new_network(dropout=0.0), tokenizer_folder)
    data = tuple(write_split(home / "data", source, "train", rows) for source, (_, rows) in MIXED_SOURCES.items())
    held_out = (write_split(home / "data", "chaii.hi", "validation", ORIGINALS[:3]),)
    test = write_split(home / "data", "chaii.hi", "test", ORIGINALS)
    heads = [{"name": name, "labels": labels} for name, labels in MIXED_HEADS.items()]
    spec = {
        "seed": 1, "after": [], "sources": sorted(MIXED_SOURCES), "replayed": [], "replay": 0.0, "updates": UPDATES,
        "epochs": None, "tokens": 160, "heads": heads,
        "source_heads": {source: head for source, (head, _) in MIXED_SOURCES.items()},
        "recipe": MIXED_RECIPE, "encoding": ENCODING, "precision": "fp32", "packing": True,
        "select": {"metric": "qa", "every": EVERY, "precision": "fp32", "head": "qa"},
    }  # fmt: skip
    wanted = {"dataset": "chaii", "head": "qa", "encoding": ENCODING, "precision": "fp32"}
    predictions = [{"spec": wanted, "data": [str(test)]}]

    def make(name: str, **changes) -> CheckpointJob:
        out = home / name
        return CheckpointJob(spec | changes, out, (base,), data, True, predictions, out / "log", held_out)

    return make


@pytest.fixture(scope="module")
def alone(stage) -> CheckpointJob:
    """The stage as this process makes it alone."""
    torch.set_num_threads(1)
    node = stage("alone")
    with InterruptGuard() as guard:
        make_checkpoint(node, node.parents, RuntimeOptions(), guard)
    return node


def train(node: CheckpointJob, *options: str) -> subprocess.Popen:
    """The program, with two processes."""
    command = [sys.executable, ROOT / "scripts/train.py", "--spec", json.dumps(node.spec), "--out", node.out]
    command += ["--parents", *node.parents, "--data", *node.data, "--held-out", *node.held_out, "--log", node.log]
    command += ["--predict-after", json.dumps(node.predictions), "--keep-optimizer", "--gpus", "2", *options]
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": NO_GPUS}
    return subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env=environ)


def assert_same(one: Path, two: Path) -> None:
    """Two checkpoint folders are equal to rounding, and all that no rounding reaches is equal."""
    weights = next(path.name for path in (one / "model").glob("*model.safetensors"))
    for name in (f"model/{weights}", "optimizer.safetensors"):
        first, second = (
            {key: tensor for key, tensor in load_file(folder / name).items() if not key.endswith(UNSEEN)}
            for folder in (one, two)
        )
        assert max(relative_differences(second, first).values()) < TRAINED, name
    curves = [read_jsonl(folder / "train.jsonl") for folder in (one, two)]
    for first, second in zip(*curves, strict=True):
        assert first == pytest.approx(second, rel=TRAINED)
    assert "contrast" in curves[0][0]
    manifests = [read_json(folder / "stage.json") for folder in (one, two)]
    selections = [manifest.pop("selection") for manifest in manifests]
    updates = [[look["update"] for look in found["looks"]] for found in selections]
    assert updates == [[*range(EVERY, UPDATES + 1, EVERY)]] * 2
    assert manifests[0] | {"weights": ""} == manifests[1] | {"weights": ""}


@pytest.mark.parametrize("parallelism", ["replicated", "sharded"])
def test_two_processes_train_what_one_does(stage, alone, parallelism):
    node = stage(f"both-{parallelism}")
    process = train(node, "--parallelism", parallelism)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert_same(alone.staging_dir, node.out)
    assert read_json(node.out / "stage.json")["weights"] != read_json(alone.staging_dir / "stage.json")["weights"]
    assert (
        read_json(node.out / "cost.json")["processes"],
        read_json(alone.staging_dir / "cost.json")["processes"],
    ) == (2, 1)
    files = [staged_predictions_dir(n.out, "chaii") / "hi.jsonl" for n in (alone, node)]
    assert [[row["id"] for row in read_jsonl(file)] for file in files] == [[row["id"] for row in ORIGINALS]] * 2
    assert not (node.out / "resume").exists()


def test_two_processes_train_the_adapters_that_one_does(stage):
    lora = {"rank": 2, "alpha": 4, "targets": ["query", "value"], "dropout": 0.0, "stages": "continue"}
    alone, both = stage("adapter-alone", lora=lora), stage("adapter-both", lora=lora)
    torch.set_num_threads(1)
    with InterruptGuard() as guard:
        make_checkpoint(alone, alone.parents, RuntimeOptions(), guard)
    process = train(both, "--parallelism", "sharded")
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert (both.out / "model/adapter_model.safetensors").exists()
    assert_same(alone.staging_dir, both.out)


def has_best_weights(state: Path) -> bool:
    """Whether a saved state has the best weights of an evaluation."""
    if not state.exists():
        return False
    with safe_open(state, "pt") as file:
        return any(name.startswith(PREFIX) for name in file.keys())  # noqa: SIM118


@pytest.mark.parametrize(("parallelism", "then"), [("sharded", None), ("replicated", "sharded")])
def test_two_processes_stop_together_and_others_resume(stage, alone, parallelism, then):
    """One resumes, or two with another parallelism: the state is the same, whoever saved it."""
    node = stage(f"stopped-{parallelism}")
    process = train(node, "--save-interval", "0", "--parallelism", parallelism)
    wait_until(lambda: has_best_weights(node.out / "resume/state.safetensors"), process=process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors.count("stopped on request") == 1 and "Traceback" not in errors, errors
    assert not (node.staging_dir / "stage.json").exists()
    if then is None:
        with InterruptGuard() as guard:
            make_checkpoint(replace(node, log=None), node.parents, RuntimeOptions(), guard)
        assert_same(alone.staging_dir, node.staging_dir)
    else:
        _, errors = (process := train(node, "--parallelism", then)).communicate(timeout=240)
        assert process.returncode == 0, errors
        assert_same(alone.staging_dir, node.out)
