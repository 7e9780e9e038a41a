"""Weights that a study keeps, removes and retrains, and the disk that they take at once."""

import random
from pathlib import Path

import pytest
from helpers.study_config import study

from crosstune.artifacts.checkpoint import remove_weights
from crosstune.study.disk_space import WeightsOnDisk, free_space
from crosstune.study.resources import JobResources
from crosstune.study.retention import RetentionPolicy, peak_disk, training_order
from crosstune.study.summary import summary

HOME = "results/test/tiny/seed1/qa"
EN, ES, FR = f"{HOME}/worldqa.qen@20", "worldqa.qes@20", "worldqa.qfr@20"
LONGER = "worldqa.qes@40"
SCHEDULES = {"english": ["qen"], "long": ["qen", "qes", "qfr"], "short": ["qen", {"train": "qes", "updates": 40}]}


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """A study with some checkpoints made in full, and some without weights."""
    monkeypatch.chdir(tmp_path)

    def make(made=(), gone=(), **changes):
        found = study(seeds=[1], tracks__qa__schedules=SCHEDULES, **changes)
        for path in ["results/test/tiny/base", *made, *gone]:
            write(f"{path}/stage.json")
            if path not in gone:
                for name in ("model.safetensors", "config.json", "tokenizer.json"):
                    write(f"{path}/model/{name}")
            if path in found.checkpoints:
                for dataset in found.checkpoints[path].evaluate:
                    write(f"{path}/predictions/{dataset}.json")
        return RetentionPolicy(found)

    def write(name):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    return make


@pytest.mark.parametrize(
    ("policy", "ends"),
    [
        ("all", []),
        ("final", ["worldqa.qen@20", f"worldqa.qen@20/{ES}"]),
        ("none", ["untrained", "worldqa.qen@60", "worldqa.qen@20", f"worldqa.qen@20/{ES}", f"worldqa.qen@20/{ES}/{FR}",
                  f"worldqa.qen@20/{LONGER}"]),
    ],
)  # fmt: skip
def test_the_policy_names_what_is_removed(planned, policy, ends):
    assert sorted(planned(keep_weights=policy).removable) == sorted(f"{HOME}/{end}" for end in ends)


def test_the_consumers_of_weights_are_predictions_children_and_averages(planned):
    schedules = SCHEDULES | {"soup": {"average": ["english", "long"]}}
    policy = RetentionPolicy(study(seeds=[1], tracks__qa__schedules=schedules))
    assert policy.consumers(EN)[0] == f"{EN}/predictions/worldqa.json"
    assert f"{EN}/{ES}/stage.json" in policy.consumers(EN) and len(policy.consumers(EN)) == 3
    assert policy.consumers(f"{EN}/{ES}/{FR}")[1:] == [f"{HOME}/average.english+long/stage.json"]


def test_a_fresh_study_retrains_nothing(planned):
    policy = planned(keep_weights="none")
    assert policy.to_retrain(policy.removable) == [] and policy.pending_retrains == []


def test_missing_weights_are_retrained_from_the_nearest_ancestor_with_weights(planned):
    policy = planned(made=[EN], gone=[f"{EN}/{ES}", f"{EN}/{ES}/{FR}"])
    assert policy.to_retrain([f"{EN}/{ES}/{FR}"]) == [f"{EN}/{ES}", f"{EN}/{ES}/{FR}"]
    assert policy.to_retrain([EN]) == []
    policy = planned(gone=[EN, f"{EN}/{ES}"])
    remove_weights(Path(EN))
    (node, _) = policy.retrain_jobs([f"{EN}/{ES}"])
    assert (node["out"], node["parents"]) == (EN, ("results/test/tiny/base",))


@pytest.mark.parametrize("lost", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_model_that_lost_a_file_is_retrained(planned, lost):
    """File systems that remove old files remove single ones."""
    policy = planned(made=[EN])
    Path(EN, "model", lost).unlink()
    assert policy.to_retrain([EN]) == policy.pending_retrains == [EN]


def test_only_weights_that_a_new_job_needs_are_retrained(planned):
    """All is predicted, and `short` is new: it needs the first stage, and none of its other descendants."""
    made = {"made": [f"{HOME}/untrained", f"{HOME}/worldqa.qen@60"], "gone": [EN, f"{EN}/{ES}", f"{EN}/{ES}/{FR}"]}
    policy = planned(keep_weights="none", **made)
    assert policy.pending_retrains == [EN]
    assert summary(policy.study, policy)[-1] == (
        "1 checkpoint must be retrained: a new job needs weights that were removed (tiny/seed1/qa/worldqa.qen@20)"
    )


def test_the_optimizers_state_goes_with_the_weights(tmp_path):
    for name in ("model/model.safetensors", "model/config.json", "optimizer.safetensors", "stage.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    remove_weights(tmp_path)
    remove_weights(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["stage.json"]


def test_a_job_requests_the_time_to_retrain(planned):
    def seconds(policy, path):
        return JobResources(policy.study, policy).predict(path, "worldqa").seconds

    lineage = [EN, f"{EN}/{ES}"]
    with_weights = seconds(planned(made=lineage), f"{EN}/{ES}")
    for path in lineage:
        remove_weights(Path(path))
    without = planned(gone=lineage)
    one, two = (seconds(without, path) for path in lineage)
    assert with_weights < one < two
    assert two - one == pytest.approx(one - with_weights, rel=0.2), "two stages of one budget"


# --- order and disk, against a simulation -----------------------------------------------------------------------------


def forest(luck: random.Random) -> dict[str, list[str]]:
    """Parents of each node: a base model, stages on stages, and now and then an average."""
    parents: dict[str, list[str]] = {"base": []}
    for number in range(luck.randint(1, 9)):
        several = luck.random() < 0.2 and len(parents) > 2
        above = luck.sample(sorted(parents), 2) if several else [luck.choice(sorted(parents))]
        parents[f"n{number}"] = above
    return parents


def simulated(parents, size, removable):
    """Run the jobs one by one, with a disk that holds what is there; the order and the most that it held."""
    depth = {}
    finished, disk, most = [], set(), 0
    while len(finished) < len(parents):
        ready = [p for p in parents if p not in finished and all(above in finished for above in parents[p])]
        for path in ready:
            depth[path] = 1 + max((depth[above] for above in parents[path]), default=-1)
        path = max(ready, key=lambda p: depth[p])  # the first of the deepest
        disk.add(path)
        finished.append(path)
        most = max(most, sum(map(size, disk)))
        children = {p: [child for child in parents if p in parents[child]] for p in disk}
        disk -= {p for p in disk if p in removable and set(children[p]) <= set(finished)}
    return finished, most


@pytest.mark.parametrize("seed", range(200))
def test_the_disk_at_once_is_that_of_a_simulation(seed):
    luck = random.Random(seed)
    parents = forest(luck)
    sizes = {path: luck.randint(1, 20) for path in parents}
    removable = {path for path in parents if path != "base" and luck.random() < 0.7}
    order, most = simulated(parents, sizes.get, removable)
    assert training_order(parents) == order
    assert peak_disk(order, parents, sizes.get, removable) == most


def test_a_plan_advises_to_keep_fewer_weights_than_the_disk_holds(planned):
    """A hub's model of 1 GB; six checkpoints, one of which is trained already."""
    hub = {"hub": "a/b", "revision": "0" * 40, "parameters": 250_000_000}
    changes = {"models": {"tiny": hub}}
    every = planned(made=[EN], **changes)
    advice = WeightsOnDisk(every.study, every).advice
    assert advice(int(6e9)) == []
    assert advice(int(2e9)) == [
        "weights still to write: about 5.0 GB, MORE THAN the 2.0 GB free here;"
        " with keep_weights at most at once: final 5.0 GB, none 3.0 GB, and the same results"
    ]
    none = planned(keep_weights="none", **changes)
    advice = WeightsOnDisk(none.study, none).advice
    assert advice(int(2e9)) == []
    assert advice(int(1e9)) == ["weights still to write: about 2.0 GB, MORE THAN the 1.0 GB free here"]


def test_a_plan_tells_large_weights_though_the_disk_holds_them():
    hub = {"hub": "a/b", "revision": "0" * 40, "parameters": 25_000_000_000}
    large = study(models={"big": hub}, seeds=[1], tracks__qa__schedules=SCHEDULES)
    (line,) = WeightsOnDisk(large, RetentionPolicy(large)).advice(int(1e15))
    assert line.startswith("weights still to write: about 600 GB, of the 1,000,000 GB free here; with keep_weights")


def test_the_free_space_is_that_of_the_nearest_folder_that_exists(tmp_path):
    assert free_space(tmp_path / "results/study") > 0


def test_a_plan_tells_the_most_disk_at_once():
    """A hub's model of 1 GB: the untrained head and what schedules end with stay, one stage more is there at a time."""
    hub = {"hub": "a/b", "revision": "0" * 40, "parameters": 250_000_000}
    changes = {"models": {"big": hub}, "seeds": [1], "tracks__qa__schedules": SCHEDULES}
    final = study(keep_weights="final", **changes)
    assert (
        "(about 6.0 GB of weights, 5.0 GB at most at once with keep_weights: final)"
        in summary(final, RetentionPolicy(final))[-1]
    )
    none = study(keep_weights="none", **changes)
    assert (
        "(about 6.0 GB of weights, 3.0 GB at most at once with keep_weights: none)"
        in summary(none, RetentionPolicy(none))[-1]
    )
    every = study(**changes)
    assert "(about 6.0 GB of weights)" in summary(every, RetentionPolicy(every))[-1]
