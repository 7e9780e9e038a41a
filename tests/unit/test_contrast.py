"""Contrast: which windows are pairs, the loss by hand, exactness, and what `compat: mucot` reproduces."""

import math

import numpy as np
import pytest
import torch
from closeness import ROUNDING, TRAINED, relative_difference
from test_engine import Stopping, same

from crosstune.artifacts.checkpoint import Node
from crosstune.artifacts.split import origin_of
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, read_jsonl, sha256_file, write_json, write_jsonl
from crosstune.modeling.batching import Mixture, beside, compose
from crosstune.modeling.contrastive import Contrast, Pairing, contrastive_loss
from crosstune.modeling.features import Windows
from crosstune.modeling.folder import average_weights, load_network, save_network
from crosstune.modeling.tasks.qa import QuestionAnswering
from crosstune.training import trainer
from crosstune.training.checkpoint_job import Knobs, make_checkpoint, train_stage
from crosstune.training.resume import StateFolder

RECIPE = {
    "lr": 1e-2, "warmup": 0.1, "decay": "linear", "weight_decay": 0.01, "clip": 1.0, "label_smoothing": 0.0,
    "optimizer": "reset", "alpha": 1.0, "contrast": 0.5,
}  # fmt: skip
MUCOT = {**RECIPE, "compat": "mucot"}
OPTIONS = {"max_length": 20, "stride": 6, "question": 6}
CONTEXTS = [
    "the cat sat on the mat who sat where",
    "a dog saw the red house of the dog",
    "who sat on the house of the dog",
    "the red mat is on the house who saw",
]


def question(id: str, words: list[str], answer: str, **more) -> dict:
    context = " ".join(words)
    answers = {"text": [answer], "answer_start": [context.index(answer)]}
    return {"id": id, "question": f"where is {answer}", "context": context, "answers": answers, **more}


# The translation of a text has its words in another order and says everything twice. `4` has no translation.
ORIGINALS = [question(str(n), text.split(), text.split()[n]) for n, text in enumerate(CONTEXTS)]
ORIGINALS.append(question("4", ["a", "mat", "of", "the", "cat"], "mat"))
TRANSLATIONS = [
    question(f"hi-ta:{row['id']}", row["context"].split()[::-1] * 2, row["answers"]["text"][0],
             origin=f"chaii.hi/{row['id']}")
    for row in ORIGINALS[:4]
]  # fmt: skip
ROWS = {"chaii.hi": ORIGINALS, "mt.ta": TRANSLATIONS}


def pairing_of(encoder, recipe=RECIPE, rows=ROWS) -> tuple[dict[str, Windows], Pairing]:
    windows = {source: QuestionAnswering().encode(found, encoder, OPTIONS) for source, found in rows.items()}
    origins = {source: [origin_of(source, row) for row in found] for source, found in rows.items()}
    contrast = Contrast.of(recipe, OPTIONS["max_length"])
    return windows, Pairing(contrast, windows, dict.fromkeys(rows, "qa"), origins, encoder.special_ids)


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


def by_hand(one, two, **recipe) -> Pairing:
    windows = {"a.en": windows_of([one]), "b.de": windows_of([two])}
    contrast = Contrast.of({**RECIPE, **recipe}, 20)
    return Pairing(contrast, windows, dict.fromkeys(windows, "qa"), {name: ["x"] for name in windows}, frozenset([9]))


def test_windows_are_paired_by_their_content():
    # An original of 100 characters in three windows, a translation of 200 in two: as shares 0-.4, .3-.7, .6-1 and
    # 0-.6, .4-1. The middle one overlaps with both by .3 and its middle is .2 from both: the first.
    one = [(0, 40, False), (30, 70, False), (60, 100, False)]
    two = [(0, 120, False), (80, 200, False)]
    pairing = by_hand(one, two)
    assert [pairing.partners("a.en", n) for n in range(3)] == [[("b.de", 0)], [("b.de", 0)], [("b.de", 1)]]
    assert [pairing.partners("b.de", n) for n in range(2)] == [[("a.en", 0)], [("a.en", 2)]]


def test_of_equal_overlaps_the_nearer_middle_counts():
    # 0-.2 lies in both windows of the translation, whose middles are at .5 and .25.
    pairing = by_hand([(0, 20, False), (10, 100, False)], [(0, 100, False), (0, 50, False), (50, 100, False)])
    assert pairing.partners("a.en", 0) == [("b.de", 1)]


def test_windows_with_the_answer_are_paired_wherever_they_lie():
    one = [(0, 40, False), (30, 70, False), (60, 100, True)]
    two = [(0, 120, True), (80, 200, False)]
    pairing = by_hand(one, two)
    assert pairing.partners("a.en", 2) == [("b.de", 0)]
    assert pairing.partners("b.de", 0) == [("a.en", 2)]
    assert pairing.partners("a.en", 0) == [("b.de", 0)], "without the answer its place decides"
    lost = by_hand(one, [(0, 120, False), (80, 200, False)])
    assert lost.partners("a.en", 2) == [("b.de", 1)], "an answer that the translation has in no window"


def test_a_row_has_a_partner_in_every_other_source_and_one_is_drawn(encoder):
    rows = {**ROWS, "mt.te": [{**row, "id": row["id"].replace("ta", "te")} for row in TRANSLATIONS]}
    _, pairing = pairing_of(encoder, rows=rows)
    assert {source for source, _ in pairing.partners("chaii.hi", 0)} == {"mt.ta", "mt.te"}
    assert {source for source, _ in pairing.partners("mt.ta", 0)} == {"chaii.hi", "mt.te"}
    update = [("chaii.hi", 0)]
    drawn = [pairing.drawn(update, number, 50, ("key",))[0][0] for number in range(50)]
    assert set(drawn) == {"mt.ta", "mt.te"}
    assert drawn == [pairing.drawn(update, number, 50, ("key",))[0][0] for number in range(50)]


def test_a_row_without_a_translation_has_no_partner_unless_itself_is_asked_for(encoder):
    windows, pairing = pairing_of(encoder)
    alone = np.flatnonzero(windows["chaii.hi"].rows == 4).tolist()
    assert alone
    for source, found in windows.items():
        for window in range(len(found)):
            partners = pairing.partners(source, window)
            assert all(other != source for other, _ in partners)
            assert bool(partners) == (source == "mt.ta" or window not in alone)
    _, pairing = pairing_of(encoder, {**RECIPE, "contrast_self": True})
    assert pairing.partners("chaii.hi", alone[0]) == [("chaii.hi", alone[0])]
    assert pairing.partners("chaii.hi", 0)[0][0] == "mt.ta", "a translation goes before"


def test_a_stage_without_any_pair_is_told(encoder):
    others = [{**row, "origin": f"other.hi/{row['id']}"} for row in TRANSLATIONS]
    for recipe in (RECIPE, MUCOT):
        with pytest.raises(UserError, match=r"two sources, and chaii\.hi, mt\.ta have none") as caught:
            pairing_of(encoder, recipe, {**ROWS, "mt.ta": others})
        assert "originals and their translations at once" in caught.value.fix
    _, pairing = pairing_of(encoder, {**RECIPE, "contrast_self": True}, {"chaii.hi": ORIGINALS})
    assert pairing.partners("chaii.hi", 1) == [("chaii.hi", 1)]


def test_rows_of_two_heads_are_no_pairs():
    windows = windows_of([[(0, 10, False)]])
    with pytest.raises(UserError, match="have none"):
        Pairing(Contrast.of(RECIPE, 20), {"a.en": windows, "b.en": windows}, {"a.en": "qa", "b.en": "mlm"},
                {"a.en": ["x"], "b.en": ["x"]}, frozenset())  # fmt: skip


def test_windows_without_characters_are_paired_by_their_tokens():
    """Three windows of 4 tokens and two of 6: a third and a half of the row."""

    def windows(count, length):
        return Windows.join([{"ids": [5] * length, "types": [0] * length, "row": 0} for _ in range(count)])

    found = {"a.en": windows(3, 4), "b.de": windows(2, 6)}
    pairing = Pairing(
        Contrast.of(RECIPE, 20), found, dict.fromkeys(found, "mlm"), {name: ["x"] for name in found}, frozenset()
    )
    assert [pairing.partners("a.en", n)[0][1] for n in range(3)] == [0, 0, 1]


def test_the_compared_tokens_are_the_question_and_the_context_without_special_ones(encoder):
    windows, _ = pairing_of(encoder)
    found = windows["chaii.hi"]
    length, begin, end = found.lengths[0], found.per_window["context"][0], found.per_window["context_end"][0]
    marks = {}
    for parts in ("question", "context", "both"):
        _, pairing = pairing_of(encoder, {**RECIPE, "contrast_parts": parts})
        pairs = pairing.pairs([("chaii.hi", 0)], pairing.partners("chaii.hi", 0), 1.0)
        marks[parts] = np.flatnonzero(pairs.compared[:length]).tolist()
    # [CLS] question [SEP] context [SEP]
    assert marks["question"] == list(range(1, begin - 1))
    assert marks["context"] == list(range(begin, end))
    assert end == length - 1
    assert marks["both"] == marks["question"] + marks["context"]


def test_a_window_without_compared_tokens_has_no_pair(encoder):
    rows = {**ROWS, "mt.ta": [{**row, "question": ""} for row in TRANSLATIONS]}
    _, pairing = pairing_of(encoder, {**RECIPE, "contrast_parts": "question"}, rows)
    assert pairing.partners("mt.ta", 0) == [] == pairing.partners("chaii.hi", 0)


# ---- forward passes ----


def vectors_of(monkeypatch, network, batch, pairs) -> tuple[float, list[torch.Tensor]]:
    """The task's loss of a contrasted pass, and what was compared in it."""
    seen = []
    monkeypatch.setattr("crosstune.modeling.network.contrastive_loss", lambda vectors, *_: seen.extend(vectors))
    loss, _ = network.contrasted("qa", batch, pairs, RECIPE)
    return loss.item(), seen


@pytest.fixture
def one_pass(encoder, new_network):
    """A network without dropout, a pass of three windows of different lengths, and their partners."""

    def make(recipe=RECIPE, packing=True):
        network = new_network(dropout=0.0, packing=packing)
        network.add_head("qa", [], seed=1)
        windows, pairing = pairing_of(encoder, recipe)
        corpus = trainer.Corpus(windows, dict.fromkeys(windows, "qa"), pairing)
        # The last windows of three rows, which are shorter than the others.
        last = {source: np.searchsorted(found.rows, range(1, 4)) - 1 for source, found in windows.items()}
        chosen = [
            ("chaii.hi", int(last["chaii.hi"][0])),
            ("mt.ta", int(last["mt.ta"][1])),
            ("chaii.hi", int(last["chaii.hi"][2])),
        ]
        assert len({corpus.length(*window) for window in chosen}) > 1
        partners = [pairing.partners(*window)[0] for window in chosen]
        return network, corpus.batch(chosen), pairing.pairs(chosen, partners, 1.0), corpus.batch(partners)

    return make


@pytest.mark.parametrize("packing", [True, False])
def test_the_mean_is_over_the_marked_tokens_of_a_window_alone(one_pass, monkeypatch, packing):
    recipe = {**RECIPE, "contrast_layers": [0, 1], "contrast_parts": "context"}
    network, batch, pairs, partners = one_pass(recipe, packing)
    loss, layers = vectors_of(monkeypatch, network, batch, pairs)
    assert loss == pytest.approx(network("qa", batch, RECIPE).item(), rel=1e-5), "the partners are no part of the task"
    both = beside(batch, partners)
    for layer, found in zip((0, 1), layers, strict=True):
        states, marks = network.hidden(both, layer).split(both.lengths), pairs.compared.split(both.lengths)
        expected = [state[mark].mean(0) for state, mark in zip(states, marks, strict=True)]
        assert relative_difference([found], [torch.stack(expected)]) < ROUNDING


def test_a_layer_that_the_encoder_lacks_is_told(one_pass):
    network, batch, pairs, _ = one_pass({**RECIPE, "contrast_layers": [1, 7]})
    with pytest.raises(UserError, match="has 1 layers, and layer 7 is wanted") as caught:
        network.contrasted("qa", batch, pairs, RECIPE)
    assert caught.value.where == "recipe: contrast_layers"


def test_without_layers_the_last_is_compared(one_pass, monkeypatch):
    found = [
        vectors_of(monkeypatch, *one_pass(recipe)[:3])[1] for recipe in (RECIPE, {**RECIPE, "contrast_layers": [1]})
    ]
    assert torch.equal(found[0][0], found[1][0])


def test_near_vectors_are_told_apart_in_bf16(one_pass):
    network, batch, pairs, _ = one_pass()
    near = 1 + 1e-3 * torch.randn(6, 8, generator=torch.Generator().manual_seed(1))
    exact = contrastive_loss([near], 1e4, torch.arange(3))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = contrastive_loss([near], 1e4, torch.arange(3))
        _, loss = network.contrasted("qa", batch, pairs, RECIPE)
    assert rounded.item() == pytest.approx(exact.item(), rel=1e-6)
    assert loss.dtype == torch.float32


# ---- training ----


@pytest.fixture
def run(encoder, new_network, tmp_path):
    """Train on originals and translations; `after` stops it on the way, a second call goes on."""

    def train(folder="state", recipe=RECIPE, after=0, dropout=0.1, packing=True, updates=12, pass_tokens=4096,
              network=None):  # fmt: skip
        torch.set_num_threads(1)
        network = network or new_network(dropout=dropout, packing=packing)
        network.add_head("qa", [], seed=1)
        windows, pairing = pairing_of(encoder, recipe) if "contrast" in recipe else (pairing_of(encoder)[0], None)
        if "contrast_temperature_lr" in recipe:
            network.learn_temperature(pairing.contrast.scale)
        lengths = {source: found.lengths for source, found in windows.items()}
        plan = compose(lengths, Mixture(tuple(ROWS)), 120, ("key",), updates)
        settings = trainer.Settings(recipe, ("key",), "fp32", pass_tokens, 1e9)
        corpus = trainer.Corpus(windows, dict.fromkeys(windows, "qa"), pairing)

        def progress(total, done):
            return Stopping("test", total, done, tmp_path / "log", after=after)

        with trainer.StopRequest() as stop:
            curve, moments = trainer.train(
                network, encoder, corpus, plan, settings, StateFolder(tmp_path / folder, "x"), stop, progress
            )
        return network, curve, moments

    return train


def test_translations_come_near_each_other(run):
    _, curve, _ = run(updates=60, dropout=0.0)
    assert curve[-1]["contrast"] < 0.5 * curve[0]["contrast"]
    assert all(line["contrast"] < line["loss"] for line in curve)


LEARNED = {**RECIPE, "contrast_temperature_lr": 0.05, "contrast_negatives": 3, "contrast_layers": [0, 1]}


@pytest.mark.parametrize(
    ("recipe", "packing"), [(LEARNED, True), (LEARNED, False), (MUCOT, True), ({**RECIPE, "contrast_share": 0.5}, True)]
)
def test_it_resumes_exactly(run, recipe, packing):
    whole, curve, _ = run("whole", recipe, packing=packing)
    with pytest.raises(trainer.Stopped):
        run("parts", recipe, after=5, packing=packing)
    parts, resumed, _ = run("parts", recipe, packing=packing)
    assert same(whole, parts)
    assert curve == resumed


@pytest.mark.parametrize("recipe", [LEARNED, MUCOT])
def test_packed_and_padded_trainings_agree(run, recipe):
    options = {"dropout": 0.0, "updates": 30, "recipe": {**recipe, "lr": 1e-3, "contrast_temperature_lr": 1e-3}}
    packed, one, _ = run("packed", **options)
    padded, two, _ = run("padded", packing=False, pass_tokens=16, **options)
    assert packed.packed and not padded.packed
    for number in ("loss", "contrast"):
        one_curve, other = (torch.tensor([line[number] for line in curve]) for curve in (one, two))
        assert relative_difference([one_curve], [other]) < TRAINED, number


def test_the_loss_of_an_update_is_the_task_plus_the_mean_over_its_pairs(run, encoder, new_network, monkeypatch):
    """Two passes of pairs and one of windows without: the mean is over all pairs of the update."""
    network = new_network(dropout=0.0)
    network.add_head("qa", [], seed=1)
    recipe = {**RECIPE, "contrast_negatives": 2, "contrast_temperature": 0.5}
    windows, pairing = pairing_of(encoder, recipe)
    corpus = trainer.Corpus(windows, dict.fromkeys(windows, "qa"), pairing)
    alone = int(np.flatnonzero(windows["chaii.hi"].rows == 4)[0])
    starts = {source: np.searchsorted(found.rows, range(4)).tolist() for source, found in windows.items()}
    update = [("chaii.hi", starts["chaii.hi"][0]), ("mt.ta", starts["mt.ta"][1]), ("chaii.hi", alone),
              ("chaii.hi", starts["chaii.hi"][2])]  # fmt: skip
    settings = trainer.Settings(recipe, ("key",), "fp32", 4096, 1e9)
    parts = trainer.parts_of(0, [update], network, encoder, corpus, settings)
    assert [len(part.batch.windows) for part in parts] == [1, 2, 1], "one without a partner, then 2 and 1 pairs"
    assert [part.pairs and part.pairs.weight for part in parts] == [None, 0.5 / 3, 0.5 / 3]

    from accelerate import Accelerator

    total, contrast = trainer.gradients(Accelerator(cpu=True), network, parts, settings)
    task = network("qa", corpus.batch(update), recipe).item() / 4
    _, (vectors,) = vectors_of(monkeypatch, network, parts[1].batch, parts[1].pairs)
    cosines = torch.nn.functional.normalize(vectors, dim=1)
    logits = cosines[:2] @ cosines[2:].T / 0.5
    pairs = sum(-side.log_softmax(1).diagonal().sum().item() for side in (logits, logits.T)) / 2
    # The third pair is alone in its pass, where its loss is 0.
    assert contrast.item() == pytest.approx(0.5 * (pairs + 0) / 3, rel=1e-5)
    assert total.item() == pytest.approx(task + 0.5 * pairs / 3, rel=1e-5)


def test_the_loss_is_on_in_its_share_of_the_updates_and_costs_nothing_after(run, monkeypatch):
    from crosstune.modeling.network import Network

    calls = []
    contrasted = Network.contrasted
    monkeypatch.setattr(Network, "contrasted", lambda *a: calls.append(1) or contrasted(*a))
    network, curve, _ = run(recipe={**RECIPE, "contrast_share": 0.25})
    # 12 updates: the first 3, in one pass each.
    assert len(calls) == 3
    assert ["contrast" in line for line in curve] == [True] * 3 + [False] * 9
    plain, _, _ = run("plain", recipe={key: value for key, value in RECIPE.items() if key != "contrast"})
    assert not same(network, plain)


def test_a_learned_temperature_moves_at_its_own_rate_and_does_not_decay(run):
    # The model stands still, and a temperature of 0.01 is too small for it. 12 updates of Adam that agree in their
    # direction go about as far as the sum of the rates: 0.05 in the first, then 0.05 * (11 + 10 + ... + 1) / 11 = 0.3.
    # A decay of 0.9 would add 0.9 * 0.3 * ln 100 = 1.2.
    recipe = {**RECIPE, "lr": 1e-9, "contrast_temperature_lr": 0.05, "contrast_temperature": 0.01, "weight_decay": 0.9}
    network, _, _ = run(recipe=recipe, dropout=0.0)
    assert 0.2 < math.log(1 / 0.01) - network.log_scale.item() < 0.36
    still, _, _ = run("still", recipe={**RECIPE, "contrast_temperature_lr": 1e-9})
    assert still.log_scale.item() == pytest.approx(math.log(1 / 0.07), rel=4e-7), "not at the model's rate"


def test_a_later_stage_goes_on_with_what_was_learned(run, tokenizer_folder, tmp_path):
    network, _, _ = run(recipe=LEARNED)
    save_network(network, tmp_path / "model", tokenizer_folder, "qa")
    loaded = load_network(tmp_path / "model")
    assert torch.equal(loaded.log_scale, network.log_scale)
    loaded.learn_temperature(1.0)
    assert torch.equal(loaded.log_scale, network.log_scale)
    assert len(trainer.build_optimizer(loaded, RECIPE).param_groups) == 2, (
        "where it is not learned it has no group of its own, and gets no gradient"
    )


# ---- compat: mucot ----


def test_mucot_averages_over_all_positions_padding_included(one_pass, monkeypatch):
    """Against the encoder itself on windows that are padded to max_length with [PAD], as their code pads."""
    network, batch, pairs, partners = one_pass({**MUCOT, "contrast_layers": [1]})
    _, (found,) = vectors_of(monkeypatch, network, batch, pairs)
    both = beside(batch, partners)
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
    network, batch, pairs, _ = one_pass(MUCOT)
    before = network("qa", batch, RECIPE).item()
    loss, _ = network.contrasted("qa", batch, pairs, RECIPE)
    assert loss.item() == pytest.approx(before, rel=1e-5)
    assert network("qa", batch, RECIPE).item() == before
    assert network.encoder.config._attn_implementation == "crosstune_packed"


def test_mucot_draws_from_the_windows_of_one_number_itself_included(encoder):
    windows, pairing = pairing_of(encoder, MUCOT)
    one, two = (np.flatnonzero(windows[source].rows == 0).tolist() for source in ROWS)
    assert len(two) > len(one)
    for number, window in enumerate(one):
        assert pairing.partners("chaii.hi", window) == [("chaii.hi", window), ("mt.ta", two[number])]
    assert pairing.partners("mt.ta", two[-1]) == [("mt.ta", two[-1])], "a window number that the original lacks"
    drawn = [pairing.drawn([("chaii.hi", 0)], n, 60, ("key",))[0][0] for n in range(60)]
    assert set(drawn) == set(ROWS)


def test_mucot_takes_windows_of_one_origin_for_negatives(encoder):
    groups = {}
    for name, recipe in {"ours": RECIPE, "mucot": MUCOT}.items():
        windows, pairing = pairing_of(encoder, recipe)
        second_row = int(np.searchsorted(windows["chaii.hi"].rows, 1))
        chosen = [("chaii.hi", 0), ("mt.ta", 0), ("chaii.hi", second_row)]
        groups[name] = pairing.pairs(chosen, [pairing.partners(*w)[0] for w in chosen], 1.0).groups.tolist()
    ours = groups["ours"]
    assert ours[0] == ours[1] != ours[2]
    assert groups["mucot"] == [0, 1, 2]


def test_mucot_multiplies_by_its_temperature():
    scale = lambda **recipe: Contrast.of({**RECIPE, **recipe}, 20).scale  # noqa: E731
    assert scale() == pytest.approx(1 / 0.07)
    assert scale(contrast_temperature=0.5) == 2.0
    assert scale(compat="mucot") == 1.0
    assert scale(compat="mucot", contrast_temperature=0.5) == 0.5
    learned = Contrast.of({**MUCOT, "contrast_temperature_lr": 1e-2}, 20)
    assert learned.learned and learned.scale == pytest.approx(1 / 0.07), "s = exp(t), t = ln(1 / 0.07)"


def test_mucot_learns_its_temperature_with_the_rate_and_decay_of_the_model(run, new_network):
    learned = {"contrast_temperature_lr": 1e-2, "weight_decay": 0.3}
    options = {}
    for name, recipe in {"ours": RECIPE, "mucot": MUCOT}.items():
        network = new_network()
        network.learn_temperature(1 / 0.07)
        recipe = {**recipe, **learned, "contrast_temperature_lr": 0.2 if name == "ours" else recipe["lr"]}
        group = trainer.build_optimizer(network, recipe).param_groups[-1]
        assert group["params"][0] is network.log_scale
        options[name] = (group["peak"], group["weight_decay"])
    assert options == {"ours": (0.2, 0.0), "mucot": (1e-2, 0.3)}


def test_the_loss_stops_as_theirs_does():
    """Their global step is below 1,000 of 5,000: updates 0 to 999."""
    contrast = Contrast.of({**MUCOT, "contrast_share": 0.2}, 20)
    assert contrast.is_on(999, 5000) and not contrast.is_on(1000, 5000)


# ---- stages ----


@pytest.fixture
def stage(new_network, tokenizer_folder, tmp_path):
    """Train a stage on originals and translations through its folder; the folder."""
    base = tmp_path / "base"
    save_network(new_network(), base / "model", tokenizer_folder, "")
    write_json(
        base / "stage.json", {"weights": sha256_file(base / "model/model.safetensors"), "parents": [], "lineage": {}}
    )

    def make(name, recipe, parent=None, rows=ROWS):
        manifests = []
        for source, found in rows.items():
            dataset, lang = source.split(".")
            path = tmp_path / f"data/{name}/{dataset}/train.{lang}.jsonl"
            write_jsonl(path, found)
            manifest = {"dataset": dataset, "split": "train", "lang": lang, "sha256": sha256_file(path)}
            write_json(path.with_suffix(".json"), manifest)
            manifests.append(path.with_suffix(".json"))
        spec = {
            "seed": 1, "after": [], "sources": sorted(rows), "replayed": [], "replay": 0.0, "updates": 8,
            "epochs": None, "tokens": 120, "heads": [{"name": "qa", "labels": []}],
            "source_heads": dict.fromkeys(rows, "qa"), "recipe": recipe, "encoding": OPTIONS, "precision": "fp32",
            "packing": True,
        }  # fmt: skip
        node = Node(spec, tmp_path / name, (parent or base,), tuple(manifests), keep_optimizer=True)
        with trainer.StopRequest() as stop:
            train_stage(node, parent or base, Knobs(), stop)
        return node.draft

    return make


def test_a_stage_with_contrast_from_end_to_end(stage, tmp_path):
    from transformers import AutoModelForQuestionAnswering

    first = stage("first", LEARNED)
    manifest = read_json(first / "stage.json")
    plain = read_json(stage("plain", {k: v for k, v in RECIPE.items() if k != "contrast"}) / "stage.json")
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
    assert one != two, "it goes on from where the stage before it was"
    mean = average_weights([first / "model", second / "model"])
    assert mean["heads.contrast.log_scale"].item() == pytest.approx((one + two) / 2)
    node = Node({"average": []}, tmp_path / "mean", (first, second))
    make_checkpoint(node, [first, second], Knobs(), None)
    assert load_network(node.draft / "model").log_scale.item() == pytest.approx((one + two) / 2)


def test_a_stage_whose_sources_have_no_pair_is_stopped_before_its_first_update(stage):
    with pytest.raises(UserError, match=r"contrast needs rows of one origin in two sources, and chaii\.hi have none"):
        stage("alone", RECIPE, rows={"chaii.hi": ORIGINALS})


def test_a_stage_that_trains_nothing_needs_no_pairs(stage):
    assert "partners" not in read_json(stage("untrained", LEARNED, rows={}) / "stage.json")
