"""Weights that a study keeps, removes, and makes again; and how much disk they take at once."""

import random

import pytest
from helpers.study_config import study

from crosstune.artifacts.checkpoint import remove_weights, tidy
from crosstune.study.resources import Jobs
from crosstune.study.retention import Kept, making_order, peak
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
                write(f"{path}/model/model.safetensors")
            if path in found.checkpoints:
                for dataset in found.checkpoints[path].evaluate:
                    write(f"{path}/predictions/{dataset}.json")
        return Kept(found)

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
    assert sorted(planned(keep=policy).removable) == sorted(f"{HOME}/{end}" for end in ends)


def test_what_another_process_makes_ahead_has_the_least_priority(planned):
    """So that two cores begin with two seeds, each of which goes on to its other schedules."""
    found = study(together=True, seeds=[1, 2])
    rank = Kept(found).rank
    ahead = {later for path in found.checkpoints for later in found.later(path)}
    first = {path for path, node in found.checkpoints.items() if node.data and path not in ahead}
    assert {path.split("/")[3] for path in first if "/seed" in path} == {"seed1", "seed2"} and len(first) == 3
    assert min(rank[path] for path in first) > max(rank[path] for path in ahead)


def test_the_users_of_weights_are_predictions_children_and_averages(planned):
    schedules = SCHEDULES | {"soup": {"average": ["english", "long"]}}
    kept = Kept(study(seeds=[1], tracks__qa__schedules=schedules))
    assert kept.users(EN)[0] == f"{EN}/predictions/worldqa.json"
    assert f"{EN}/{ES}/stage.json" in kept.users(EN) and len(kept.users(EN)) == 3
    assert kept.users(f"{EN}/{ES}/{FR}")[1:] == [f"{HOME}/average.english+long/stage.json"]


def test_a_fresh_study_makes_nothing_again(planned):
    kept = planned(keep="none")
    assert not any(map(kept.gone, kept.removable))
    assert kept.again(kept.removable) == [] and kept.wanted_again == []


def test_what_is_missing_is_made_again_from_the_last_ancestor_that_has_weights(planned):
    kept = planned(made=[EN], gone=[f"{EN}/{ES}", f"{EN}/{ES}/{FR}"])
    assert kept.again([f"{EN}/{ES}/{FR}"]) == [f"{EN}/{ES}", f"{EN}/{ES}/{FR}"]
    assert kept.again([EN]) == []
    kept = planned(gone=[EN, f"{EN}/{ES}"])
    remove_weights(EN)
    (node, _) = kept.nodes_again([f"{EN}/{ES}"])
    assert (node["out"], node["parents"]) == (EN, ("results/test/tiny/base",)) and node["predictions"] == []


def test_only_what_something_new_needs_is_made_again(planned):
    """All is predicted, and `short` is new: the first stage is wanted, what stands on it is not."""
    made = {"made": [f"{HOME}/untrained", f"{HOME}/worldqa.qen@60"], "gone": [EN, f"{EN}/{ES}", f"{EN}/{ES}/{FR}"]}
    kept = planned(keep="none", **made)
    assert kept.wanted_again == [EN]
    lines = summary(kept._study, kept)
    assert lines[-1] == (
        "1 checkpoint is trained again, because the weights are gone and something new needs them: "
        "tiny/seed1/qa/worldqa.qen@20"
    )


def test_weights_made_again_on_the_way_go_with_the_last_that_needs_them(planned, tmp_path):
    gone = [EN, f"{EN}/{ES}", f"{EN}/{ES}/{FR}"]
    kept = planned(keep="none", gone=gone)
    predictions = [tmp_path / path / "predictions/worldqa.json" for path in gone]
    for path in predictions[1:]:
        path.unlink()  # as of a data set that is evaluated from now on
    first, last = kept.tidied(gone[1]), kept.tidied(gone[2])
    for path in gone:
        (tmp_path / path / "model").mkdir()
        (tmp_path / path / "model/model.safetensors").touch()
    for child in (child for child in kept.users(EN) if child.endswith("stage.json")):
        (tmp_path / child).parent.mkdir(exist_ok=True)
        (tmp_path / child).touch()
    predictions[1].touch()
    assert tidy(first) == [], "the last stage is still made again from these"
    predictions[2].touch()
    assert tidy(last) == gone
    assert not list((tmp_path / "results/test/tiny/seed1").rglob("model"))
    assert (tmp_path / EN / "stage.json").exists() and predictions[0].exists()


def test_what_the_policy_keeps_now_stays_when_it_is_made_again(planned):
    kept = planned(keep="final", gone=[EN, f"{EN}/{ES}", f"{EN}/{ES}/{FR}"])
    assert [entry["path"] for entry in kept.tidied(f"{EN}/{ES}/{FR}")] == [EN, f"{EN}/{ES}"]


def test_the_optimizers_state_goes_with_the_weights(tmp_path):
    for name in ("model/model.safetensors", "model/config.json", "optimizer.safetensors", "stage.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    remove_weights(tmp_path)
    remove_weights(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["stage.json"]


def test_a_job_asks_for_the_time_to_make_weights_again(planned):
    def minutes(kept):
        return Jobs(kept._study, kept).predict(f"{EN}/{ES}", "worldqa").seconds

    lineage = [EN, f"{EN}/{ES}"]
    with_weights, without = minutes(planned(made=lineage)), planned(made=[], gone=[f"{HOME}/untrained"])
    for path in lineage:
        remove_weights(path)
    jobs = Jobs(without._study, without)
    own = sum(jobs._checkpoint(path).seconds for path in lineage)
    assert minutes(without) == pytest.approx(with_weights + own)


# --- order and disk, against a simulation -----------------------------------------------------------------------------


def forest(luck: random.Random) -> dict[str, list[str]]:
    """Parents of each node: a base model, stages on stages, and now and then an average."""
    parents: dict[str, list[str]] = {"base": []}
    for number in range(luck.randint(1, 9)):
        several = luck.random() < 0.2 and len(parents) > 2
        above = luck.sample(sorted(parents), 2) if several else [luck.choice(sorted(parents))]
        parents[f"n{number}"] = above
    return parents


def chains(parents: dict[str, list[str]]) -> list[list[str]]:
    """Each node and the first that stands on it alone, and so on, as one process makes them."""

    def chain(path):
        below = [child for child, above in parents.items() if above == [path]]
        return [path, *(chain(below[0]) if below else [])]

    return [chain(path) for path in parents if path != "base"]


def simulated(parents, size, removable, processes):
    """Run the jobs one by one, with a disk that holds what is there; the order and the most that it held."""
    depth = {}
    finished, ever, disk, most = [], set(), set(), 0
    while len(finished) < len(parents):
        ready = [p for p in parents if p not in finished and all(above in finished for above in parents[p])]
        for path in ready:
            depth[path] = 1 + max((depth[above] for above in parents[path]), default=-1)
        path = max(ready, key=lambda p: depth[p])  # the first of the deepest
        process = next((process for process in processes if process[0] == path), [path])
        disk |= set(process) - ever
        ever |= set(process)
        finished.append(path)
        most = max(most, sum(map(size, disk)))
        children = {p: [child for child in parents if p in parents[child]] for p in disk}
        disk -= {p for p in disk if p in removable and p in finished and set(children[p]) <= set(finished)}
    return finished, most


@pytest.mark.parametrize("seed", range(200))
def test_the_disk_at_once_is_that_of_a_simulation(seed):
    luck = random.Random(seed)
    parents = forest(luck)
    sizes = {path: luck.randint(1, 20) for path in parents}
    removable = {path for path in parents if path != "base" and luck.random() < 0.7}
    processes = chains(parents) if luck.random() < 0.5 else []
    order, most = simulated(parents, sizes.get, removable, processes)
    assert making_order(parents) == order
    assert peak(order, parents, sizes.get, removable, processes) == most


def test_a_plan_tells_the_most_disk_at_once():
    """A hub's model of 1 GB: the untrained head and what schedules end with stay, one stage more is there at a time."""
    hub = {"hub": "a/b", "revision": "0" * 40, "parameters": 250_000_000}
    changes = {"models": {"big": hub}, "seeds": [1], "tracks__qa__schedules": SCHEDULES}
    final = study(keep="final", **changes)
    assert "(about 6.0 GB of weights, 5.0 GB at most at once with keep: final)" in summary(final, Kept(final))[-1]
    none = study(keep="none", **changes)
    assert "(about 6.0 GB of weights, 3.0 GB at most at once with keep: none)" in summary(none, Kept(none))[-1]
    every = study(**changes)
    assert "(about 6.0 GB of weights)" in summary(every, Kept(every))[-1]
