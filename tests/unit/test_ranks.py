"""Several processes for one stage: the shares of an update, what the processes agree on, a stage trained by two."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from closeness import ROUNDING, TRAINED, relative_difference, relative_differences
from safetensors import safe_open
from safetensors.torch import load_file
from test_contrast import OPTIONS, ORIGINALS, TRANSLATIONS, pairing_of
from test_engine import ROWS as SENTENCES
from test_tasks import PAIRS

from crosstune.artifacts.checkpoint import Node, predictions_ahead
from crosstune.core.files import read_json, read_jsonl, sha256_file, write_json, write_jsonl
from crosstune.modeling.batching import apart, collate, together
from crosstune.modeling.folder import save_network
from crosstune.training import trainer
from crosstune.training.checkpoint_job import Knobs, make_checkpoints, new_encoder
from crosstune.training.model_selection import BEST
from crosstune.training.work_split import even_share, share

ROOT = Path(__file__).parents[2]
# Two GPUs that no machine has: two processes, each on the CPU.
NO_GPUS = "GPU-none-0,GPU-none-1"
RECIPE = {
    "lr": 1e-3, "warmup": 0.1, "decay": "linear", "weight_decay": 0.01, "clip": 4.0, "label_smoothing": 0.0,
    "mask": 0.3, "optimizer": "reset", "alpha": 0.5, "dropout": 0.0, "negatives": 2, "contrast": 0.5,
    "contrast_negatives": 2, "contrast_temperature_lr": 1e-3,
}  # fmt: skip
TEXT = [{"id": str(n), "text": " ".join(row["tokens"] * (n % 3 + 1))} for n, row in enumerate(SENTENCES)]
HEADS = [{"name": "mlm", "labels": []}, {"name": "qa", "labels": []}, {"name": "tagging.x", "labels": ["A", "B"]}]
SOURCES = {
    "chaii.hi": ("qa", ORIGINALS), "mt.ta": ("qa", TRANSLATIONS), "names.en": ("tagging.x", SENTENCES),
    "text.en": ("mlm", TEXT),
}  # fmt: skip
UPDATES, LOOK = 60, 10
UNSEEN = ("qa_outputs.bias", "heads.qa.bias")


# ---- shares ----


@pytest.fixture
def update(encoder, new_network):
    """The network and the parts of an update that has every kind of part."""
    network = new_network(dropout=0.0)
    for head in [*HEADS, {"name": "retrieval", "labels": []}]:
        network.add_head(head["name"], head["labels"], seed=1)
    windows, pairing = pairing_of(encoder, RECIPE)
    network.learn_temperature(pairing.contrast.scale)
    options = {**OPTIONS, "max_length": 32}
    windows["names.en"] = network.tasks["tagging.x"].encode(SENTENCES, encoder, options)
    windows["text.en"] = network.tasks["mlm"].encode(TEXT, encoder, options)
    windows["pairs.en"] = network.tasks["retrieval"].encode(PAIRS, encoder, options)
    heads = {source: head for source, (head, _) in SOURCES.items()} | {"pairs.en": "retrieval"}
    corpus = trainer.Corpus(windows, heads, pairing)
    pairing.partners = partial_partners(pairing.partners)
    plan = [[(source, window) for source in sorted(windows) for window in range(min(8, len(windows[source])))]]
    settings = trainer.Settings(RECIPE, ("key",), "fp32", 40, 1e9)
    return network, trainer.parts_of(0, plan, network, encoder, corpus, settings), settings


def partial_partners(partners):
    """Only questions have translations, and not every window of theirs."""
    return lambda source, window: partners(source, window) if source in ("chaii.hi", "mt.ta") and window % 2 else []


def gradients_of(network, shares, settings) -> tuple[float, float, dict[str, torch.Tensor]]:
    network.zero_grad()
    found = [trainer.gradients(Accelerator(cpu=True), network, parts, settings) for parts in shares]
    loss, contrast = (sum(value.item() for value in values if value is not None) for values in zip(*found, strict=True))
    return loss, contrast, {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("size", [2, 3, 50])
def test_the_shares_of_an_update_are_the_update(update, size):
    network, parts, settings = update
    shares = [share(parts, rank, size, network, settings) for rank in range(size)]
    assert all(shares), "every process has something to do"
    loss, contrast, gradients = gradients_of(network, [parts], settings)
    shared_loss, shared_contrast, shared = gradients_of(network, shares, settings)
    assert (shared_loss, shared_contrast) == (pytest.approx(loss, rel=1e-5), pytest.approx(contrast, rel=1e-5))
    assert set(shared) == set(gradients)
    assert relative_difference([shared[name] for name in gradients], gradients.values()) < ROUNDING


def test_shares_are_even_and_windows_that_need_each_other_stay_together(update):
    network, parts, settings = update
    shares = [share(parts, rank, 2, network, settings) for rank in (0, 1)]
    tokens = [sum(len(p.batch.ids) + (len(p.pairs.partners.ids) if p.pairs else 0) for p in mine) for mine in shares]
    longest = max(len(part.batch.ids) for part in parts)
    assert abs(tokens[0] - tokens[1]) <= longest
    whole = [part for part in parts if part.pairs or part.head == "retrieval"]
    assert len(whole) > 2
    assert sorted(map(id, whole)) == sorted(id(p) for mine in shares for p in mine if p.pairs or p.head == "retrieval")
    single = [p for mine in shares for p in mine if not p.pairs and p.head != "retrieval"]
    assert all(len(part.batch.ids) <= settings.pass_tokens for part in single)


def test_a_process_for_which_nothing_is_left_counts_nothing(update):
    network, parts, settings = update
    one = [next(part for part in parts if part.head == "retrieval")]
    assert share(one, 0, 2, network, settings) == one
    (idle,) = share(one, 1, 2, network, settings)
    assert idle.weight == 0 and len(idle.batch.windows) == 1


def test_shares_with_equally_many_passes_are_the_same_and_some_that_count_nothing(update):
    network, parts, settings = update
    for size in (2, 3):
        found = [even_share(parts, rank, size, network, settings) for rank in range(size)]
        assert len({len(mine) for mine in found}) == 1
        counted = [[part for part in mine if part.weight or part.pairs] for mine in found]
        assert sum(map(len, counted)) < sum(map(len, found)) and all(found)
        for rank, mine in enumerate(counted):
            other = [part for part in share(parts, rank, size, network, settings) if part.weight or part.pairs]
            assert [part.batch.windows for part in mine] == [part.batch.windows for part in other]
            assert [part.head for part in mine] == [part.head for part in other]


def test_a_batch_that_was_taken_apart_is_put_together_again(encoder, new_network):
    network = new_network()
    network.add_head("retrieval", [], seed=1)
    windows = network.tasks["retrieval"].encode(PAIRS, encoder, OPTIONS)
    batch = collate([windows] * 3, [2, 0, 1])
    parts = apart(batch)
    assert [part.windows for part in parts] == [(2,)] * 3
    again = together(parts)
    assert (again.lengths, again.windows) == (batch.lengths, batch.windows)
    for name in ("ids", "types", "positions"):
        assert torch.equal(getattr(again, name), getattr(batch, name))
    assert all(torch.equal(again.values[name], batch.values[name]) for name in batch.values)
    assert torch.equal(together([parts[1], parts[0]]).values["candidate"], batch.values["candidate"][[1, 0]])


# ---- processes ----

TALK = """
import json, os, sys
from pathlib import Path
import torch
from crosstune.core.errors import UserError, run_program
from crosstune.training.distributed import Ranks, end_with_launcher, is_one_of_several, launch

def fail():
    raise UserError("a mistake", "config.yaml", "mend it")

def main():
    if not is_one_of_several(os.environ):
        return launch(2)
    end_with_launcher()
    folder = Path(sys.argv[1])
    ranks = Ranks.of_process()
    seen = {
        "told": ranks.told(lambda: f"by {os.getpid()}"),
        "first": ranks.main_first(lambda: (folder / "made").exists() or (folder / "made").touch()),
        "agreed": ranks.agreed(ranks.rank == 1, False),
        "summed": ranks.summed(torch.tensor(1.5 + ranks.rank), None if ranks.main else torch.tensor(2.0), None),
        "argument": sys.argv[2],
        "pid": os.getpid(),
    }
    (folder / f"{ranks.rank}.json").write_text(json.dumps(seen))
    if sys.argv[3] == "fail":
        ranks.told(fail)
    ranks.agreed(False) if ranks.main else __import__("time").sleep(600)

run_program(main)
"""


def talk(folder: Path, end: str, **options) -> subprocess.Popen:
    """Two processes that agree on something, and then fail or wait."""
    (folder / "talk.py").write_text(TALK)
    command = [sys.executable, str(folder / "talk.py"), str(folder), "${x} $$", end, "--log", str(folder / "log")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(command, env=environ, text=True, **options)


def test_processes_agree_and_a_mistake_is_told_once(tmp_path):
    process = talk(tmp_path, "fail", stderr=subprocess.PIPE)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1
    assert told.count("a mistake") == 1 and "Traceback" not in told, told
    assert (tmp_path / "log").read_text() == "error: config.yaml: a mistake\n  mend it\n"
    main, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert main["told"] == other["told"] == f"by {main['pid']}"
    assert (main["first"], other["first"]) == (None, True)
    assert main["agreed"] == other["agreed"] == [True, False]
    assert main["summed"] == other["summed"] == [4.0, 2.0, None]
    assert main["argument"] == other["argument"] == "${x} $$"


def test_processes_end_with_a_launcher_that_is_killed(tmp_path):
    process = talk(tmp_path, "wait", stderr=subprocess.DEVNULL)
    files = [tmp_path / f"{rank}.json" for rank in (0, 1)]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files), process)
    pids = [json.loads(file.read_text())["pid"] for file in files]
    assert all(map(is_running, pids))
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_running, pids)))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, process: subprocess.Popen | None = None) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, "it has ended too early"
        time.sleep(0.01)


# ---- a stage ----


@pytest.fixture(scope="module")
def stage(encoder, tokenizer_folder, tmp_path_factory):
    """Make the node of a stage with every kind of part, looks at held-out rows and predictions."""
    home = tmp_path_factory.mktemp("stages")
    size = {"hidden": 16, "layers": 1, "heads": 2, "max_length": 64, "packing": True}
    network = new_encoder({"seed": 0, "recipe": {"dropout": 0.0}, **size}, encoder)
    save_network(network, home / "base/model", tokenizer_folder, "")
    write_json(
        home / "base/stage.json",
        {"weights": sha256_file(home / "base/model/model.safetensors"), "parents": [], "lineage": {}},
    )

    def prepared(source: str, split: str, rows: list[dict]) -> Path:
        dataset, lang = source.split(".")
        path = home / f"data/{dataset}/{split}.{lang}.jsonl"
        write_jsonl(path, rows)
        manifest = {"dataset": dataset, "split": split, "lang": lang, "sha256": sha256_file(path)}
        write_json(path.with_suffix(".json"), manifest)
        return path.with_suffix(".json")

    data = tuple(prepared(source, "train", rows) for source, (_, rows) in SOURCES.items())
    held_out = (prepared("chaii.hi", "validation", ORIGINALS[:3]),)
    test = prepared("chaii.hi", "test", ORIGINALS)
    spec = {
        "seed": 1, "after": [], "sources": sorted(SOURCES), "replayed": [], "replay": 0.0, "updates": UPDATES,
        "epochs": None, "tokens": 160, "heads": HEADS, "source_heads": {s: head for s, (head, _) in SOURCES.items()},
        "recipe": RECIPE, "encoding": OPTIONS, "precision": "fp32", "packing": True,
        "select": {"metric": "qa", "every": LOOK, "precision": "fp32", "head": "qa"},
    }  # fmt: skip
    wanted = {"dataset": "chaii", "head": "qa", "encoding": OPTIONS, "precision": "fp32"}
    predictions = [{"spec": wanted, "data": [str(test)]}]

    def make(name: str) -> Node:
        out = home / name
        return Node(spec, out, (home / "base",), data, True, predictions, out / "log", held_out)

    return make


@pytest.fixture(scope="module")
def alone(stage) -> Node:
    """The stage as one process makes it, this one."""
    torch.set_num_threads(1)
    node = stage("alone")
    make_checkpoints(node, [], Knobs())
    return node


def train(node: Node, *options: str) -> subprocess.Popen:
    """The program, with two processes."""
    command = [sys.executable, ROOT / "scripts/train.py", "--spec", json.dumps(node.spec), "--out", node.out]
    command += ["--parents", *node.parents, "--data", *node.data, "--held-out", *node.held_out, "--log", node.log]
    command += ["--ahead", json.dumps({"predictions": node.predictions}), "--keep-optimizer", "--gpus", "2", *options]
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": NO_GPUS}
    return subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env=environ)


def assert_same(one: Path, two: Path) -> None:
    """Two checkpoint folders are equal to rounding, and all that no rounding reaches is equal."""
    for name in ("model/model.safetensors", "optimizer.safetensors"):
        # A softmax over positions does not see that bias: its gradient is rounding alone, of which Adam makes steps.
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
    assert [[look["update"] for look in found["looks"]] for found in selections] == [
        [*range(LOOK, UPDATES + 1, LOOK)]
    ] * 2
    assert manifests[0] | {"weights": ""} == manifests[1] | {"weights": ""}


@pytest.mark.parametrize("held", ["whole", "sharded"])
def test_two_processes_train_what_one_does(stage, alone, held):
    node = stage(f"both-{held}")
    process = train(node, "--held", held)
    _, told = process.communicate(timeout=240)
    assert process.returncode == 0, told
    assert_same(alone.draft, node.out)
    assert read_json(node.out / "stage.json")["weights"] != read_json(alone.draft / "stage.json")["weights"]
    assert (read_json(node.out / "cost.json")["processes"], read_json(alone.draft / "cost.json")["processes"]) == (2, 1)
    files = [predictions_ahead(n.out, "chaii") / "hi.jsonl" for n in (alone, node)]
    assert [[row["id"] for row in read_jsonl(file)] for file in files] == [[row["id"] for row in ORIGINALS]] * 2
    assert not (node.out / "state").exists()


def has_looked(state: Path) -> bool:
    """Whether a saved state has the weights that a look at held-out rows has kept."""
    if not state.exists():
        return False
    with safe_open(state, "pt") as file:
        return any(name.startswith(BEST) for name in file.keys())  # noqa: SIM118


@pytest.mark.parametrize(("held", "then"), [("sharded", None), ("whole", "sharded")])
def test_two_processes_stop_together_and_others_go_on(stage, alone, held, then):
    """One goes on, or two that hold the network otherwise: the state is the same, whoever saved it."""
    node = stage(f"stopped-{held}")
    process = train(node, "--save-seconds", "0", "--held", held)
    wait_until(lambda: has_looked(node.out / "state/state.safetensors"), process)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1
    assert told.count("stopped on request") == 1 and "Traceback" not in told, told
    assert not (node.draft / "stage.json").exists()
    if then is None:
        make_checkpoints(replace(node, log=None), [], Knobs())
        assert_same(alone.draft, node.draft)
    else:
        _, told = (process := train(node, "--held", then)).communicate(timeout=240)
        assert process.returncode == 0, told
        assert_same(alone.draft, node.out)
