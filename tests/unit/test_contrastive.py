"""Contrastive training: pairs of windows, the loss by hand, exactness, and the original that `compat` reproduces."""

import math

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from closeness import ROUNDING, TRAINED, relative_difference, same_weights
from sample_rows import CONTRASTIVE as RECIPE
from sample_rows import ENCODING, ORIGINALS, QUESTIONS, TRANSLATIONS, paired_windows
from written_checkpoint import write_base, write_split

from crosstune.artifacts.checkpoint import CheckpointJob
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, read_jsonl
from crosstune.modeling.batching import Mixture, concat_inputs, plan_batches
from crosstune.modeling.contrastive import ContrastiveConfig, TranslationPairs, contrastive_config, contrastive_loss
from crosstune.modeling.features import Windows
from crosstune.modeling.folder import average_weights, load_network, save_network
from crosstune.modeling.network import MultiHeadEncoder
from crosstune.training.checkpoint_job import RuntimeOptions, make_checkpoint, train_stage
from crosstune.training.interruption import InterruptGuard, TrainingInterrupted
from crosstune.training.micro_batches import MicroBatcher, TrainingData, TrainingSettings
from crosstune.training.optimizer import build_optimizer
from crosstune.training.trainer import accumulate_gradients

MUCOT = {**RECIPE, "contrastive": {"weight": 0.5, "mode": "mucot"}}

# ---- the loss ----


def test_the_loss_of_a_batch_by_hand():
    # Unit vectors (1, 0), (0, 1) and (1, 0), (3/5, 4/5): cosines 1, 0.6 / 0, 0.8; with scale 2 logits 2, 1.2 / 0, 1.6.
    layer = torch.tensor([[3.0, 0.0], [0.0, 2.0], [1.0, 0.0], [3.0, 4.0]])
    e = math.exp
    rows = (math.log(e(2) + e(1.2)) - 2) + (math.log(e(0) + e(1.6)) - 1.6)
    columns = (math.log(e(2) + e(0)) - 2) + (math.log(e(1.2) + e(1.6)) - 1.6)
    found = contrastive_loss([layer], 2.0, torch.arange(2))
    assert found.item() == pytest.approx((rows + columns) / 2, rel=1e-6)
    # In a layer whose vectors are all alike each of the four questions is a coin: 4 ln 2 / 2.
    both = contrastive_loss([layer, torch.ones(4, 2)], 2.0, torch.arange(2))
    assert both.item() == pytest.approx(((rows + columns) / 2 + 2 * math.log(2)) / 2, rel=1e-6)


def test_pairs_of_one_origin_are_no_negatives_of_each_other():
    # All vectors alike: the loss counts candidates. Pairs 0 and 2 are of one origin and have one negative each, ln 2
    # both ways; pair 1 has two, ln 3 both ways.
    found = contrastive_loss([torch.ones(6, 3)], 5.0, torch.tensor([7, 8, 7]))
    assert found.item() == pytest.approx(2 * math.log(2) + math.log(3), rel=1e-6)


def test_the_gradient_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(3)
    layers = [torch.randn(8, 5, dtype=torch.double, generator=generator, requires_grad=True) for _ in range(2)]
    scale = torch.tensor(3.0, dtype=torch.double, requires_grad=True)
    groups = torch.tensor([0, 1, 0, 2])
    assert torch.autograd.gradcheck(
        lambda factor, *vectors: contrastive_loss(vectors, factor, groups), (scale, *layers)
    )


def test_a_pair_alone_teaches_nothing():
    vectors = torch.randn(2, 4, requires_grad=True)
    contrastive_loss([vectors], 10.0, torch.tensor([0])).backward()
    assert torch.count_nonzero(vectors.grad) == 0


# ---- which windows are pairs ----


def config(**options) -> ContrastiveConfig:
    return contrastive_config({**RECIPE, "contrastive": {**RECIPE["contrastive"], **options}}, 20)


def windows_of(rows: list[list[tuple[int, int, bool]]]) -> Windows:
    """Windows of two tokens by row: the characters that each is from and to, and whether it has the answer."""
    return Windows.join(
        [
            {"ids": [9, 5, 6], "types": [0] * 3, "row": row, "start": int(answer), "context": 1, "context_end": 3,
             "first": [-1, begin, end - 1], "last": [-1, begin + 1, end]}
            for row, windows in enumerate(rows) for begin, end, answer in windows
        ],
        ["start", "context", "context_end"], ["first", "last"],
    )  # fmt: skip


def pairs_by_hand(one, two) -> TranslationPairs:
    windows = {"a.en": windows_of([one]), "b.de": windows_of([two])}
    origins = {name: ["x"] for name in windows}
    return TranslationPairs(config(), windows, dict.fromkeys(windows, "qa"), origins, frozenset([9]))


def test_windows_are_paired_by_their_content():
    # An original of 100 characters in three windows, a translation of 200 in two: as shares 0-.4, .3-.7, .6-1 and
    # 0-.6, .4-1. The middle one overlaps with both by .3 and its middle is .2 from both: the first.
    one = [(0, 40, False), (30, 70, False), (60, 100, False)]
    two = [(0, 120, False), (80, 200, False)]
    pairs = pairs_by_hand(one, two)
    assert [pairs.partners("a.en", n) for n in range(3)] == [[("b.de", 0)], [("b.de", 0)], [("b.de", 1)]]
    assert [pairs.partners("b.de", n) for n in range(2)] == [[("a.en", 0)], [("a.en", 2)]]


def test_of_equal_overlaps_the_nearer_middle_counts():
    # 0-.2 lies in both windows of the translation, whose middles are at .5 and .25.
    pairs = pairs_by_hand([(0, 20, False), (10, 100, False)], [(0, 100, False), (0, 50, False), (50, 100, False)])
    assert pairs.partners("a.en", 0) == [("b.de", 1)]


def test_windows_with_the_answer_are_paired_wherever_they_lie():
    one = [(0, 40, False), (30, 70, False), (60, 100, True)]
    two = [(0, 120, True), (80, 200, False)]
    pairs = pairs_by_hand(one, two)
    assert pairs.partners("a.en", 2) == [("b.de", 0)]
    assert pairs.partners("b.de", 0) == [("a.en", 2)]
    assert pairs.partners("a.en", 0) == [("b.de", 0)], "without the answer its place decides"
    lost = pairs_by_hand(one, [(0, 120, False), (80, 200, False)])
    assert lost.partners("a.en", 2) == [("b.de", 1)], "an answer that the translation has in no window"


def test_a_row_has_a_partner_in_every_other_source_and_one_is_drawn(tokenizer):
    rows = {**QUESTIONS, "mt.te": [{**row, "id": row["id"].replace("ta", "te")} for row in TRANSLATIONS]}
    _, pairs = paired_windows(tokenizer, rows=rows)
    assert {source for source, _ in pairs.partners("chaii.hi", 0)} == {"mt.ta", "mt.te"}
    assert {source for source, _ in pairs.partners("mt.ta", 0)} == {"chaii.hi", "mt.te"}
    update = [("chaii.hi", 0)]
    drawn = [pairs.draw_partners(update, number, 50, ("key",))[0][0] for number in range(50)]
    assert set(drawn) == {"mt.ta", "mt.te"}
    assert drawn == [pairs.draw_partners(update, number, 50, ("key",))[0][0] for number in range(50)]


def test_a_row_without_a_translation_has_no_partner_unless_itself_is_asked_for(tokenizer):
    windows, pairs = paired_windows(tokenizer)
    alone = np.flatnonzero(windows["chaii.hi"].rows == 4).tolist()
    assert alone
    for source, found in windows.items():
        for window in range(len(found)):
            partners = pairs.partners(source, window)
            assert all(other != source for other, _ in partners)
            assert bool(partners) == (source == "mt.ta" or window not in alone)
    _, pairs = paired_windows(tokenizer, {**RECIPE, "contrastive": {"weight": 0.5, "self_pairs": True}})
    assert pairs.partners("chaii.hi", alone[0]) == [("chaii.hi", alone[0])]
    assert pairs.partners("chaii.hi", 0)[0][0] == "mt.ta", "a translation goes before"


def test_a_stage_without_any_pair_is_refused(tokenizer):
    others = [{**row, "origin": f"other.hi/{row['id']}"} for row in TRANSLATIONS]
    for recipe in (RECIPE, MUCOT):
        with pytest.raises(UserError, match=r"two sources, and chaii\.hi, mt\.ta have none") as caught:
            paired_windows(tokenizer, recipe, {**QUESTIONS, "mt.ta": others})
        assert "originals and their translations at once" in caught.value.fix
    _, pairs = paired_windows(
        tokenizer, {**RECIPE, "contrastive": {"weight": 0.5, "self_pairs": True}}, {"chaii.hi": ORIGINALS}
    )
    assert pairs.partners("chaii.hi", 1) == [("chaii.hi", 1)]


def test_rows_of_two_heads_are_no_pairs():
    windows = windows_of([[(0, 10, False)]])
    with pytest.raises(UserError, match="have none"):
        TranslationPairs(config(), {"a.en": windows, "b.en": windows}, {"a.en": "qa", "b.en": "mlm"},
                         {"a.en": ["x"], "b.en": ["x"]}, frozenset())  # fmt: skip


def test_windows_without_characters_are_paired_by_their_tokens():
    """Three windows of 4 tokens and two of 6: a third and a half of the row."""

    def windows(count, length):
        return Windows.join([{"ids": [5] * length, "types": [0] * length, "row": 0} for _ in range(count)])

    found = {"a.en": windows(3, 4), "b.de": windows(2, 6)}
    origins = {name: ["x"] for name in found}
    pairs = TranslationPairs(config(), found, dict.fromkeys(found, "mlm"), origins, frozenset())
    assert [pairs.partners("a.en", n)[0][1] for n in range(3)] == [0, 0, 1]


def test_the_pooled_tokens_are_the_question_and_the_context_without_special_ones(tokenizer):
    windows, _ = paired_windows(tokenizer)
    found = windows["chaii.hi"]
    length, begin, end = found.lengths[0], found.per_window["context"][0], found.per_window["context_end"][0]
    pooled = {}
    for text in ("question", "context", "both"):
        _, pairs = paired_windows(tokenizer, {**RECIPE, "contrastive": {"weight": 0.5, "pooled_text": text}})
        partners = pairs.partner_batch([("chaii.hi", 0)], pairs.partners("chaii.hi", 0), 1.0)
        pooled[text] = np.flatnonzero(partners.pooled_tokens[:length]).tolist()
    # [CLS] question [SEP] context [SEP]
    assert pooled["question"] == list(range(1, begin - 1))
    assert pooled["context"] == list(range(begin, end))
    assert end == length - 1
    assert pooled["both"] == pooled["question"] + pooled["context"]


def test_a_window_without_pooled_tokens_has_no_pair(tokenizer):
    rows = {**QUESTIONS, "mt.ta": [{**row, "question": ""} for row in TRANSLATIONS]}
    _, pairs = paired_windows(tokenizer, {**RECIPE, "contrastive": {"weight": 0.5, "pooled_text": "question"}}, rows)
    assert pairs.partners("mt.ta", 0) == [] == pairs.partners("chaii.hi", 0)


# ---- forward passes ----


def vectors_of(monkeypatch, network, batch, partners) -> tuple[float, list[torch.Tensor]]:
    """The task's loss of a pass with partners, and the vectors that the contrastive loss compares."""
    seen = []
    monkeypatch.setattr("crosstune.modeling.network.contrastive_loss", lambda vectors, *_: seen.extend(vectors))
    loss, _ = network.pair_losses("qa", batch, partners, RECIPE)
    return loss.item(), seen


@pytest.fixture
def one_pass(tokenizer, new_network):
    """A network without dropout, a pass of three windows of different lengths, and their partners."""

    def make(recipe=RECIPE, packing=True):
        network = new_network(dropout=0.0, packing=packing)
        network.add_head("qa", [], seed=1)
        windows, pairs = paired_windows(tokenizer, recipe)
        data = TrainingData(windows, dict.fromkeys(windows, "qa"), pairs)
        # The last windows of three rows, which are shorter than the others.
        last = {source: np.searchsorted(found.rows, range(1, 4)) - 1 for source, found in windows.items()}
        chosen = [
            ("chaii.hi", int(last["chaii.hi"][0])),
            ("mt.ta", int(last["mt.ta"][1])),
            ("chaii.hi", int(last["chaii.hi"][2])),
        ]
        assert len({data.length(*window) for window in chosen}) > 1
        partners = [pairs.partners(*window)[0] for window in chosen]
        return network, data.batch(chosen), pairs.partner_batch(chosen, partners, 1.0), data.batch(partners)

    return make


@pytest.mark.parametrize("packing", [True, False])
def test_the_mean_is_over_the_pooled_tokens_of_a_window_alone(one_pass, monkeypatch, packing):
    recipe = {**RECIPE, "contrastive": {"weight": 0.5, "layers": [0, 1], "pooled_text": "context"}}
    network, batch, partners, partner_windows = one_pass(recipe, packing)
    loss, layers = vectors_of(monkeypatch, network, batch, partners)
    assert loss == pytest.approx(network("qa", batch, RECIPE).item(), rel=1e-5), "the partners are no part of the task"
    both = concat_inputs(batch, partner_windows)
    for layer, found in zip((0, 1), layers, strict=True):
        states, masks = network.hidden(both, layer).split(both.lengths), partners.pooled_tokens.split(both.lengths)
        expected = [state[mask].mean(0) for state, mask in zip(states, masks, strict=True)]
        assert relative_difference([found], [torch.stack(expected)]) < ROUNDING


def test_a_layer_that_the_encoder_lacks_is_refused(one_pass):
    network, batch, partners, _ = one_pass({**RECIPE, "contrastive": {"weight": 0.5, "layers": [1, 7]}})
    with pytest.raises(UserError, match="has 1 layers, and layer 7 is wanted") as caught:
        network.pair_losses("qa", batch, partners, RECIPE)
    assert caught.value.where == "recipe: contrastive.layers"


def test_without_layers_the_last_is_compared(one_pass, monkeypatch):
    found = [
        vectors_of(monkeypatch, *one_pass(recipe)[:3])[1]
        for recipe in (RECIPE, {**RECIPE, "contrastive": {"weight": 0.5, "layers": [1]}})
    ]
    assert torch.equal(found[0][0], found[1][0])


def test_near_vectors_stay_apart_in_bf16(one_pass):
    network, batch, partners, _ = one_pass()
    near = 1 + 1e-3 * torch.randn(6, 8, generator=torch.Generator().manual_seed(1))
    exact = contrastive_loss([near], 1e4, torch.arange(3))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = contrastive_loss([near], 1e4, torch.arange(3))
        _, loss = network.pair_losses("qa", batch, partners, RECIPE)
    assert rounded.item() == pytest.approx(exact.item(), rel=1e-6)
    assert loss.dtype == torch.float32


# ---- training ----


@pytest.fixture
def run(fit, tokenizer, new_network):
    """Train on originals and translations; `interrupt_after` stops it on the way, a second call resumes."""

    def train(folder="state", recipe=RECIPE, dropout=0.1, packing=True, updates=12, **options):
        network = new_network(dropout=dropout, packing=packing)
        network.add_head("qa", [], seed=1)
        windows, pairs = paired_windows(tokenizer, recipe if "contrastive" in recipe else RECIPE)
        if "temperature_lr" in recipe.get("contrastive", {}):
            network.learn_temperature(pairs.config.logit_scale)
        lengths = {source: found.lengths for source, found in windows.items()}
        plan = plan_batches(lengths, Mixture(tuple(QUESTIONS)), 120, ("key",), updates)
        data = TrainingData(windows, dict.fromkeys(windows, "qa"), pairs if "contrastive" in recipe else None)
        return network, *fit(network, data, plan, recipe, folder=folder, **options)

    return train


def test_translations_come_near_each_other(run):
    _, curve, _ = run(updates=60, dropout=0.0)
    assert curve[-1]["contrast"] < 0.5 * curve[0]["contrast"]
    assert all(line["contrast"] < line["loss"] for line in curve)


LEARNED = {**RECIPE, "contrastive": {"weight": 0.5, "temperature_lr": 0.05, "negatives": 3, "layers": [0, 1]}}


@pytest.mark.parametrize(
    ("recipe", "packing"),
    [
        (LEARNED, True),
        (LEARNED, False),
        (MUCOT, True),
        ({**RECIPE, "contrastive": {"weight": 0.5, "active_share": 0.5}}, True),
    ],
)
def test_it_resumes_exactly(run, recipe, packing):
    whole, curve, _ = run("whole", recipe, packing=packing)
    with pytest.raises(TrainingInterrupted):
        run("parts", recipe, interrupt_after=5, packing=packing)
    parts, resumed, _ = run("parts", recipe, packing=packing)
    assert same_weights(whole, parts)
    assert curve == resumed


@pytest.mark.parametrize("recipe", [LEARNED, MUCOT])
def test_packed_and_padded_trainings_agree(run, recipe):
    options = {"dropout": 0.0, "updates": 30, "recipe": {**recipe, "lr": 1e-3}}
    options["recipe"]["contrastive"] = {**recipe["contrastive"], "temperature_lr": 1e-3}
    packed, one, _ = run("packed", **options)
    padded, two, _ = run("padded", packing=False, pass_tokens=16, **options)
    assert packed.packed and not padded.packed
    for number in ("loss", "contrast"):
        one_curve, other = (torch.tensor([line[number] for line in curve]) for curve in (one, two))
        assert relative_difference([one_curve], [other]) < TRAINED, number


def test_the_loss_of_an_update_is_the_task_plus_the_mean_over_its_pairs(tokenizer, new_network, monkeypatch):
    """Two passes of pairs and one of windows without: the mean is over all pairs of the update."""
    network = new_network(dropout=0.0)
    network.add_head("qa", [], seed=1)
    recipe = {**RECIPE, "contrastive": {"weight": 0.5, "negatives": 2, "temperature": 0.5}}
    windows, pairs = paired_windows(tokenizer, recipe)
    data = TrainingData(windows, dict.fromkeys(windows, "qa"), pairs)
    alone = int(np.flatnonzero(windows["chaii.hi"].rows == 4)[0])
    starts = {source: np.searchsorted(found.rows, range(4)).tolist() for source, found in windows.items()}
    update = [("chaii.hi", starts["chaii.hi"][0]), ("mt.ta", starts["mt.ta"][1]), ("chaii.hi", alone),
              ("chaii.hi", starts["chaii.hi"][2])]  # fmt: skip
    settings = TrainingSettings(recipe, ("key",), "fp32", 4096, 1e9)
    batches = MicroBatcher(network, tokenizer, data, [update], settings).micro_batches(0)
    assert [len(each.batch) for each in batches] == [1, 2, 1], "one without a partner, then 2 and 1 pairs"
    assert [each.partners and each.partners.weight for each in batches] == [None, 0.5 / 3, 0.5 / 3]

    total, contrast = accumulate_gradients(Accelerator(cpu=True), network, batches, settings)
    task = network("qa", data.batch(update), recipe).item() / 4
    _, (vectors,) = vectors_of(monkeypatch, network, batches[1].batch, batches[1].partners)
    cosines = torch.nn.functional.normalize(vectors, dim=1)
    logits = cosines[:2] @ cosines[2:].T / 0.5
    pair_loss = sum(-side.log_softmax(1).diagonal().sum().item() for side in (logits, logits.T)) / 2
    # The third pair is alone in its pass, so its loss is 0.
    assert contrast.item() == pytest.approx(0.5 * (pair_loss + 0) / 3, rel=1e-5)
    assert total.item() == pytest.approx(task + 0.5 * pair_loss / 3, rel=1e-5)


def test_the_loss_is_on_in_its_share_of_the_updates_and_costs_nothing_after(run, monkeypatch):
    calls = []
    pair_losses = MultiHeadEncoder.pair_losses
    monkeypatch.setattr(MultiHeadEncoder, "pair_losses", lambda *a: calls.append(1) or pair_losses(*a))
    network, curve, _ = run(recipe={**RECIPE, "contrastive": {"weight": 0.5, "active_share": 0.25}})
    # 12 updates: the first 3, in one pass each.
    assert len(calls) == 3
    assert ["contrast" in line for line in curve] == [True] * 3 + [False] * 9
    plain, _, _ = run("plain", recipe={key: value for key, value in RECIPE.items() if key != "contrastive"})
    assert not same_weights(network, plain)


def test_a_learned_temperature_moves_at_its_own_rate_and_does_not_decay(run):
    # The model stands still, and a temperature of 0.01 is too small for it. 12 updates of Adam that agree in their
    # direction go about as far as the sum of the rates: 0.05 in the first, then 0.05 * (11 + 10 + ... + 1) / 11 = 0.3.
    # A decay of 0.9 would add 0.9 * 0.3 * ln 100 = 1.2.
    recipe = {
        **RECIPE,
        "lr": 1e-9,
        "contrastive": {"weight": 0.5, "temperature_lr": 0.05, "temperature": 0.01},
        "weight_decay": 0.9,
    }
    network, _, _ = run(recipe=recipe, dropout=0.0)
    assert 0.2 < math.log(1 / 0.01) - network.log_scale.item() < 0.36
    still, _, _ = run("still", recipe={**RECIPE, "contrastive": {"weight": 0.5, "temperature_lr": 1e-9}})
    assert still.log_scale.item() == pytest.approx(math.log(1 / 0.07), rel=4e-7), "not at the model's rate"


def test_a_later_stage_continues_from_the_learned_temperature(run, tokenizer_folder, tmp_path):
    network, _, _ = run(recipe=LEARNED)
    save_network(network, tmp_path / "model", tokenizer_folder, "qa")
    loaded = load_network(tmp_path / "model")
    assert torch.equal(loaded.log_scale, network.log_scale)
    loaded.learn_temperature(1.0)
    assert torch.equal(loaded.log_scale, network.log_scale)
    assert len(build_optimizer(loaded, RECIPE).param_groups) == 2, (
        "a recipe that does not learn it gives it no group and no gradient"
    )


# ---- compat: mucot ----


def test_mucot_averages_over_all_positions_padding_included(one_pass, monkeypatch):
    """Against the encoder itself on windows that are padded to max_length with [PAD], as their code pads."""
    network, batch, partners, partner_windows = one_pass(
        {**MUCOT, "contrastive": {"weight": 0.5, "mode": "mucot", "layers": [1]}}
    )
    _, (found,) = vectors_of(monkeypatch, network, batch, partners)
    both = concat_inputs(batch, partner_windows)
    inputs = {
        "input_ids": torch.full((6, 20), network.config.pad_token_id), "attention_mask": torch.zeros(6, 20).long(),
        "token_type_ids": torch.zeros(6, 20).long(),
    }  # fmt: skip
    for row, (ids, types) in enumerate(zip(both.ids.split(both.lengths), both.types.split(both.lengths), strict=True)):
        inputs["input_ids"][row, : len(ids)] = ids
        inputs["attention_mask"][row, : len(ids)] = 1
        inputs["token_type_ids"][row, : len(ids)] = types
    network.encoder.set_attn_implementation("eager")
    states = network.encoder(**inputs).last_hidden_state
    assert relative_difference([found], [states.mean(1)]) < ROUNDING
    real = inputs["attention_mask"][..., None]
    assert relative_difference([found], [(states * real).sum(1) / real.sum(1)]) > 1e-2, "the padding counts"


def test_mucot_leaves_the_encoder_packed_and_the_task_as_it_is(one_pass):
    network, batch, partners, _ = one_pass(MUCOT)
    before = network("qa", batch, RECIPE).item()
    loss, _ = network.pair_losses("qa", batch, partners, RECIPE)
    assert loss.item() == pytest.approx(before, rel=1e-5)
    assert network("qa", batch, RECIPE).item() == before
    assert network.encoder.config._attn_implementation == "crosstune_packed"


def test_mucot_draws_from_the_windows_of_one_number_itself_included(tokenizer):
    windows, pairs = paired_windows(tokenizer, MUCOT)
    one, two = (np.flatnonzero(windows[source].rows == 0).tolist() for source in QUESTIONS)
    assert len(two) > len(one)
    for number, window in enumerate(one):
        assert pairs.partners("chaii.hi", window) == [("chaii.hi", window), ("mt.ta", two[number])]
    assert pairs.partners("mt.ta", two[-1]) == [("mt.ta", two[-1])], "a window number that the original lacks"
    drawn = [pairs.draw_partners([("chaii.hi", 0)], n, 60, ("key",))[0][0] for n in range(60)]
    assert set(drawn) == set(QUESTIONS)


def test_mucot_takes_windows_of_one_origin_for_negatives(tokenizer):
    groups = {}
    for name, recipe in {"ours": RECIPE, "mucot": MUCOT}.items():
        windows, pairs = paired_windows(tokenizer, recipe)
        second_row = int(np.searchsorted(windows["chaii.hi"].rows, 1))
        chosen = [("chaii.hi", 0), ("mt.ta", 0), ("chaii.hi", second_row)]
        groups[name] = pairs.partner_batch(chosen, [pairs.partners(*w)[0] for w in chosen], 1.0).groups.tolist()
    ours = groups["ours"]
    assert ours[0] == ours[1] != ours[2]
    assert groups["mucot"] == [0, 1, 2]


def test_mucot_multiplies_by_its_temperature():
    assert config().logit_scale == pytest.approx(1 / 0.07)
    assert config(temperature=0.5).logit_scale == 2.0
    assert config(mode="mucot").logit_scale == 1.0
    assert config(mode="mucot", temperature=0.5).logit_scale == 0.5
    learned = config(mode="mucot", temperature_lr=1e-2)
    assert learned.learned_scale and learned.logit_scale == pytest.approx(1 / 0.07), "s = exp(t), t = ln(1 / 0.07)"


def test_mucot_learns_its_temperature_with_the_rate_and_decay_of_the_model(run, new_network):
    options = {}
    for name, recipe in {"ours": RECIPE, "mucot": MUCOT}.items():
        network = new_network()
        network.learn_temperature(1 / 0.07)
        rate = 0.2 if name == "ours" else recipe["lr"]
        learned = {**recipe["contrastive"], "temperature_lr": rate}
        recipe = {**recipe, "contrastive": learned, "weight_decay": 0.3}
        group = build_optimizer(network, recipe).param_groups[-1]
        assert group["params"][0] is network.log_scale
        options[name] = (group["peak"], group["weight_decay"])
    assert options == {"ours": (0.2, 0.0), "mucot": (1e-2, 0.3)}


def test_the_loss_stops_as_theirs_does():
    """Their global step is below 1,000 of 5,000: updates 0 to 999."""
    mucot = config(mode="mucot", active_share=0.2)
    assert mucot.is_active(999, 5000) and not mucot.is_active(1000, 5000)


# ---- stages ----


@pytest.fixture
def stage(new_network, tokenizer_folder, tmp_path):
    """Train a stage on originals and translations through its folder; the folder."""
    base = write_base(tmp_path / "base", new_network(), tokenizer_folder)

    def make(name, recipe, parent=None, rows=QUESTIONS):
        manifests = [write_split(tmp_path / "data" / name, source, "train", found) for source, found in rows.items()]
        spec = {
            "seed": 1, "after": [], "sources": sorted(rows), "replayed": [], "replay": 0.0, "updates": 8,
            "epochs": None, "tokens": 120, "heads": [{"name": "qa", "labels": []}],
            "source_heads": dict.fromkeys(rows, "qa"), "recipe": recipe, "encoding": ENCODING, "precision": "fp32",
            "packing": True,
        }  # fmt: skip
        node = CheckpointJob(spec, tmp_path / name, (parent or base,), tuple(manifests), keep_optimizer=True)
        with InterruptGuard() as stop:
            train_stage(node, parent or base, RuntimeOptions(), stop)
        return node.staging_dir

    return make


def test_a_stage_with_contrast_from_end_to_end(stage, tmp_path):
    from transformers import AutoModelForQuestionAnswering

    first = stage("first", LEARNED)
    manifest = read_json(first / "stage.json")
    plain = read_json(stage("plain", {k: v for k, v in RECIPE.items() if k != "contrastive"}) / "stage.json")
    assert manifest["exposure"] == plain["exposure"], "rows, order and budget are those of the plan"
    assert "partners" not in plain
    paired = sum(seen["examples"] for seen in manifest["partners"].values())
    assert 0 < paired < sum(seen["examples"] for seen in manifest["exposure"].values()), "one row has no translation"
    assert manifest["partners"]["mt.ta"]["tokens"] > 0
    assert all("contrast" in line for line in read_jsonl(first / "train.jsonl"))
    _, notes = AutoModelForQuestionAnswering.from_pretrained(first / "model", output_loading_info=True)
    assert not notes["missing_keys"]

    second = stage("second", {**LEARNED, "optimizer": "carry"}, first)
    one, two = (load_network(folder / "model").log_scale.item() for folder in (first, second))
    assert one != two, "the second stage continues from the first"
    mean = average_weights([first / "model", second / "model"])
    assert mean["heads.contrast.log_scale"].item() == pytest.approx((one + two) / 2)
    node = CheckpointJob({"average": []}, tmp_path / "mean", (first, second))
    make_checkpoint(node, [first, second], RuntimeOptions(), None)
    assert load_network(node.staging_dir / "model").log_scale.item() == pytest.approx((one + two) / 2)


def test_a_stage_whose_sources_have_no_pair_is_stopped_before_its_first_update(stage):
    with pytest.raises(UserError, match=r"contrast needs rows of one origin in two sources, and chaii\.hi have none"):
        stage("alone", RECIPE, rows={"chaii.hi": ORIGINALS})


def test_a_stage_that_trains_nothing_needs_no_pairs(stage):
    assert "partners" not in read_json(stage("untrained", LEARNED, rows={}) / "stage.json")
