"""Training: exact resumption, refused states, cuts and packing that change nothing, averages."""

import itertools
import json
import statistics

import pytest
import torch
from closeness import ROUNDING, TRAINED, relative_difference, same_weights
from helpers.processes import wait_until
from sample_rows import RECIPE, SENTENCES

from crosstune.core.errors import UserError
from crosstune.core.files import read_json
from crosstune.modeling.batching import Mixture, plan_batches, prefetch
from crosstune.modeling.folder import average_models, average_weights, load_network, save_network
from crosstune.training.interruption import TrainingInterrupted
from crosstune.training.micro_batches import TrainingData
from crosstune.training.model_selection import BestCheckpoint
from crosstune.training.optimizer import LrSpan, learning_rate
from crosstune.training.profiler import Profiler, group_of

SEEDS = range(1, 6)


@pytest.fixture
def run(fit, new_network, tokenizer, tmp_path):
    """Train a tagger; `interrupt_after` stops it on the way, a second call resumes."""

    def train(folder="state", recipe=RECIPE, dropout=0.1, packing=True, profile=None, updates=12, seed=1, **options):
        network = new_network(dropout=dropout, packing=packing)
        assert network.packed == packing
        network.add_head("tagging.x", ["A", "B"], seed=seed)
        windows = network.tasks["tagging.x"].encode(SENTENCES, tokenizer, {"max_length": 32})
        plan = plan_batches({"t.en": windows.lengths}, Mixture(("t.en",)), 60, (seed, "key"), updates)
        data = TrainingData({"t.en": windows}, {"t.en": "tagging.x"})
        profiler = profile and Profiler(tmp_path / profile)
        options = {"key": (seed, "key"), "folder": folder, "profiler": profiler, **options}
        return network, *fit(network, data, plan, recipe, **options)

    return train


@pytest.mark.parametrize("after", [1, 5, 10])
def test_an_interrupted_and_resumed_training_is_the_whole_one_bit_for_bit(run, after):
    whole, curve, _ = run("whole")
    with pytest.raises(TrainingInterrupted):
        run("parts", interrupt_after=after)
    parts, resumed_curve, _ = run("parts")
    assert same_weights(whole, parts)
    assert curve == resumed_curve


def test_it_learns(run):
    _, curve, _ = run()
    assert curve[-1]["loss"] < 0.7 * curve[0]["loss"]


def test_the_cut_into_forward_passes_changes_nothing_beyond_rounding(run):
    one, _, _ = run("one", dropout=0.0)
    two, _, _ = run("two", dropout=0.0, pass_tokens=16)
    assert relative_difference(two.state_dict().values(), one.state_dict().values()) < ROUNDING


def test_packed_cut_and_padded_trainings_agree_over_200_updates(run):
    """The same rows in every update; rounding differs, which 200 updates of Adam carry on."""
    options = {"dropout": 0.0, "updates": 200, "recipe": {**RECIPE, "lr": 1e-3}}
    packed, curve, _ = run("packed", **options)
    for name, other in (("cut", {"pass_tokens": 16}), ("padded", {"packing": False})):
        network, other_curve, _ = run(name, **options, **other)
        assert not same_weights(network, packed), "it was another computation"
        losses, other_losses = (torch.tensor([line["loss"] for line in lines]) for lines in (curve, other_curve))
        assert relative_difference([other_losses], [losses]) < TRAINED, name
    assert curve[-1]["loss"] < 0.7 * curve[0]["loss"]


def test_bf16_ends_within_the_spread_of_the_seeds(run):
    options = {"updates": 60, "recipe": {**RECIPE, "lr": 2e-3}}
    final = {
        precision: [
            run(f"{precision}{seed}", seed=seed, precision=precision, **options)[1][-1]["loss"] for seed in SEEDS
        ]
        for precision in ("fp32", "bf16")
    }
    differences = [one - two for one, two in zip(final["bf16"], final["fp32"], strict=True)]
    assert any(differences)
    assert abs(statistics.fmean(differences)) < statistics.stdev(final["fp32"])


@pytest.mark.parametrize("options", [{"packing": False}, {"pass_tokens": 16}])
def test_every_mode_resumes_exactly(run, options):
    whole, _, _ = run("whole", **options)
    with pytest.raises(TrainingInterrupted):
        run("parts", interrupt_after=5, **options)
    parts, _, _ = run("parts", **options)
    assert same_weights(whole, parts)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_cheap_gradient_of_a_squeezed_tensor_has_the_bits_of_an_indexed_one(run, monkeypatch, precision):
    squeezed, curve, _ = run("squeezed", precision=precision)
    squeeze, calls = torch.Tensor.squeeze, itertools.count()

    def index(tensor: torch.Tensor, *dimensions: int) -> torch.Tensor:
        return tensor[next(calls) * 0] if dimensions == (0,) else squeeze(tensor, *dimensions)

    monkeypatch.setattr(torch.Tensor, "squeeze", index)
    indexed, other_curve, _ = run("indexed", precision=precision)
    assert next(calls), "no tensor was squeezed"
    assert same_weights(squeezed, indexed)
    assert curve == other_curve


def test_micro_batches_are_made_in_order_one_ahead():
    made = []
    found = prefetch(lambda number: made.append(number) or [number], range(3))
    assert next(found) == [0]
    wait_until(lambda: len(made) == 2)  # The second before it is asked for.
    assert made == [0, 1]
    assert list(found) == [[1], [2]]
    assert made == [0, 1, 2]
    assert list(prefetch(lambda number: [], range(0))) == []


def test_a_profile_shows_the_time_of_each_kind_and_changes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr("crosstune.training.profiler.TRACED_UPDATES", 5)
    network, _, _ = run("profiled", profile="profile")
    plain, _, _ = run("plain")
    assert same_weights(network, plain)
    page = (tmp_path / "profile/summary.md").read_text()
    parts = page.partition("|:--|--:|--:|\n")[2].partition("\n\n")[0].splitlines()
    shares = [float(line.split("|")[3].strip(" %")) for line in parts]
    assert sum(shares) == pytest.approx(100, abs=1)
    # On a busy machine the shares of so small a model can be less than what the page shows.
    events = json.loads((tmp_path / "profile/trace.json").read_text())["traceEvents"]
    assert {"optimizer, clipping", "linear"} <= {group_of(event["name"]) for event in events if event.get("dur", 0) > 0}


def test_a_profile_times_its_updates_alone(run, tmp_path, monkeypatch):
    """To process a trace takes longer than the updates of a small model."""
    monkeypatch.setattr("crosstune.training.profiler.TRACED_UPDATES", 5)
    clock = itertools.count()
    monkeypatch.setattr("crosstune.training.profiler.time_of_device", lambda: float(next(clock)))
    run("profiled", profile="profile")
    # The clock is read after each update, and once when the trace begins.
    assert (tmp_path / "profile/summary.md").read_text().startswith("# 5 updates in 5.00 s")


@pytest.mark.parametrize(
    ("operation", "group"),
    [
        ("aten::addmm", "linear"), ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("Optimizer.step#AdamW.step", "optimizer, clipping"), ("aten::native_layer_norm", "norm, activation, dropout"),
        ("data", "data"), ("aten::copy_", "copies, casts"), ("aten::embedding_dense_backward", "embedding gradient"),
        ("aten::_log_softmax_backward_data", "loss"), ("aten::linalg_vector_norm", "optimizer, clipping"),
        ("aten::_softmax", "attention"), ("aten::index_select", "other"),
        ("ampere_bf16_s16816gemm_bf16_128x64", "linear"),
    ],
)  # fmt: skip
def test_operations_are_grouped(operation, group):
    assert group_of(operation) == group


def test_the_state_of_another_spec_is_refused(run):
    with pytest.raises(TrainingInterrupted):
        run(interrupt_after=3, stamp="one")
    with pytest.raises(UserError, match="another spec, model, data") as caught:
        run(stamp="two")
    assert "rm -r" in caught.value.fix


def test_a_truncated_state_is_refused(run, tmp_path):
    with pytest.raises(TrainingInterrupted):
        run(interrupt_after=3)
    state = tmp_path / "state/state.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be read"):
        run()


def test_a_diverged_training_fails_and_leaves_a_record(run, tmp_path):
    with pytest.raises(UserError, match="the loss is") as caught:
        run(recipe={**RECIPE, "lr": 1e30, "max_grad_norm": 0.0})
    note = read_json(tmp_path / "state/diverged.json")
    assert note["loss"] in ("nan", "inf") and caught.value.message.endswith(f"at update {note['updates']}")


def test_the_head_of_a_seed_is_the_same_whatever_the_encoder(new_network):
    one, two = new_network(seed=1), new_network(seed=2)
    for network in (one, two):
        network.add_head("qa", [], seed=7)
    assert torch.equal(one.head("qa").weight, two.head("qa").weight)


def test_save_and_load_keep_every_head(run, tokenizer_folder, tmp_path):
    network, _, _ = run()
    network.add_head("qa", [], seed=1)
    network.add_head("tagging.other", ["C", "D", "E"], seed=1)
    network.add_head("mlm", [], seed=1)
    save_network(network, tmp_path / "model", tokenizer_folder, "qa")
    loaded = load_network(tmp_path / "model")
    assert set(loaded.tasks) == set(network.tasks)
    assert loaded.tasks["tagging.other"].labels == ["C", "D", "E"]
    for name in network.tasks:
        assert same_weights(network.head(name), loaded.head(name))
    assert same_weights(network.encoder, loaded.encoder)


def test_the_folder_of_an_average_has_no_card_of_a_member(new_network, tokenizer_folder, tmp_path):
    network = new_network()
    network.add_head("qa", [], seed=1)
    for name in ("a", "b"):
        save_network(network, tmp_path / name, tokenizer_folder, "qa")
    names = {path.name for path in (tmp_path / "a").iterdir()}
    (tmp_path / "a/README.md").write_text("# a")
    average_models([tmp_path / "a", tmp_path / "b"], tmp_path / "mean")
    assert {path.name for path in (tmp_path / "mean").iterdir()} == names
    assert same_weights(load_network(tmp_path / "mean"), network)


def test_the_average_is_the_mean(new_network, tokenizer_folder, tmp_path):
    folders = []
    for seed in (1, 2, 3):
        network = new_network(seed=seed)
        network.add_head("qa", [], seed=seed)
        save_network(network, tmp_path / str(seed), tokenizer_folder, "qa")
        folders.append(tmp_path / str(seed))
    mean = average_weights(folders)
    weights = [load_network(folder).head("qa").weight for folder in folders]
    assert torch.allclose(mean["qa_outputs.weight"], sum(weights) / 3)


def test_learning_rates_rise_and_fall():
    rates = [learning_rate({"lr": 1.0, "warmup": 0.2, "lr_schedule": "linear"}, n, 10) for n in range(10)]
    assert rates[:2] == [0.5, 1.0]
    assert rates[2:] == [1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    assert learning_rate({"lr": 1.0, "warmup": 0.0, "lr_schedule": "constant"}, 9, 10) == 1.0


@pytest.fixture
def run_in_stages(fit, new_network, tokenizer):
    """Train a tagger through one plan of 12 updates, cut into stages that carry moments and learning rate on."""

    def train(*lengths, interrupt_after=0):
        network = new_network(dropout=0.0)
        network.add_head("tagging.x", ["A", "B"], seed=1)
        windows = network.tasks["tagging.x"].encode(SENTENCES, tokenizer, {"max_length": 32})
        plan = plan_batches({"t.en": windows.lengths}, Mixture(("t.en",)), 60, ("key",), 12)
        data, before, moments, rates = TrainingData({"t.en": windows}, {"t.en": "tagging.x"}), 0, None, []
        for length in lengths:
            options = {"moments": moments, "lr_span": LrSpan(12, before), "folder": f"{lengths}-{before}"}
            stop = interrupt_after if before == 0 else 0
            part = plan[before : before + length]
            curve, moments = fit(network, data, part, RECIPE, interrupt_after=stop, **options)
            rates += [point["lr"] for point in curve]
            before += length
        return network, rates

    return train


def test_stages_that_share_a_learning_rate_schedule_and_moments_are_one_training(run_in_stages):
    whole, rates = run_in_stages(12)
    parts, rates_of_parts = run_in_stages(5, 4, 3)
    assert rates == rates_of_parts and rates[-1] == RECIPE["lr"] / 11
    assert same_weights(whole, parts)


def test_an_interrupted_stage_resumes_at_its_place_in_the_learning_rate_schedule(run_in_stages):
    with pytest.raises(TrainingInterrupted):
        run_in_stages(5, 7, interrupt_after=3)
    parts, rates = run_in_stages(5, 7)
    whole, whole_rates = run_in_stages(12)
    assert rates == whole_rates and same_weights(whole, parts)


def selection(patience, scores=(10, 30, 20, 20, 40, 50)):
    """A selection every second update, with a score for each evaluation."""

    def score(update):
        return {"validation": {"en": {"f1": scores[update // 2 - 1]}}}

    return BestCheckpoint(2, "f1", score, patience=patience)


def test_a_training_stops_when_its_patience_is_exhausted_and_keeps_the_best_weights(run):
    best = selection(patience=2)
    network, curve, _ = run("stopped", best=best)
    assert [evaluation["update"] for evaluation in best.evaluations] == [2, 4, 6, 8]
    assert curve[-1]["update"] == 8 and best.update == 4
    patient = selection(patience=3)
    run("patient", best=patient)
    assert patient.update == 12, "three evaluations without a rise do not occur"
    whole = selection(patience=None, scores=(10, 30, 20, 20, 20, 20))
    other, _, _ = run("whole", best=whole)
    assert same_weights(network, other), "the best weights are those of a training that did not stop"


@pytest.mark.parametrize("after", [2, 3, 6])
def test_an_interrupted_training_stops_at_the_same_update(run, after):
    whole, curve, _ = run("whole", best=selection(patience=2))
    with pytest.raises(TrainingInterrupted):
        run("parts", best=selection(patience=2), interrupt_after=after)
    best = selection(patience=2)
    parts, resumed_curve, _ = run("parts", best=best)
    assert same_weights(whole, parts) and curve == resumed_curve and len(best.evaluations) == 4


@pytest.mark.parametrize("after", [7, 8])
def test_a_signal_at_the_update_that_exhausts_the_patience_does_not_interrupt(run, after):
    whole, curve, _ = run("whole", best=selection(patience=2))
    again, other_curve, _ = run("again", best=selection(patience=2), interrupt_after=after)
    assert same_weights(whole, again) and curve == other_curve


def test_a_state_that_was_saved_at_the_stop_trains_no_further(run):
    whole, _, _ = run("whole", best=selection(patience=2))
    with pytest.raises(TrainingInterrupted):
        run("saved", best=selection(patience=None), interrupt_after=7)
    best = selection(patience=2)
    resumed, _, _ = run("saved", best=best)
    assert same_weights(whole, resumed) and len(best.evaluations) == 4
