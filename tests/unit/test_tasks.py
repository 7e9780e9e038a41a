"""Task types: encoding round trips, decoding, losses that do not depend on padding."""

import numpy as np
import pytest
import torch

from crosstune.batches import collate
from crosstune.tasks import IGNORED
from crosstune.tasks.mlm import MaskedLanguageModelling
from crosstune.tasks.qa import QuestionAnswering
from crosstune.tasks.tagging import Tagging

RECIPE = {"label_smoothing": 0.0, "mask": 0.3}
OPTIONS = {"max_length": 64, "stride": 16, "question": 16}


def question(context: str, answer: str, occurrence: int = 0) -> dict:
    start = -1
    for _ in range(occurrence + 1):
        start = context.index(answer, start + 1)
    answers = {"text": [answer], "answer_start": [start]}
    return {"id": "q", "context": context, "question": "who sat on the mat", "answers": answers}


@pytest.mark.parametrize("answer", ["cat", "the mat", "the cat sat on the mat", "mat"])
def test_the_gold_span_decodes_to_the_gold_answer(encoder, answer):
    row = question("the cat sat on the mat", answer)
    windows = QuestionAnswering().encode([row], encoder, OPTIONS)
    start, end = windows.per_window["start"][0], windows.per_window["end"][0]
    assert row["context"][windows.per_token["first"][start] : windows.per_token["last"][end]] == answer


def test_a_long_context_gives_windows_that_cover_it(encoder):
    context = "the cat sat on the mat " * 20
    row = question(context, "cat", occurrence=15)
    windows = QuestionAnswering().encode([row], encoder, OPTIONS)
    assert len(windows) > 3
    assert max(windows.lengths) <= OPTIONS["max_length"]
    first, last = windows.per_token["first"], windows.per_token["last"]
    assert set(first[first >= 0].tolist()) == set(encoder.texts([context])[0].starts.tolist())
    with_answer = [n for n in range(len(windows)) if windows.per_window["start"][n]]
    assert with_answer
    for n in with_answer:
        start, end = (windows.offsets[n] + windows.per_window[name][n] for name in ("start", "end"))
        assert (first[start], context[first[start] : last[end]]) == (row["answers"]["answer_start"][0], "cat")


def test_tags_stand_on_the_first_token_of_a_word_and_come_back(encoder):
    task = Tagging(["A", "B"])
    rows = [{"id": "1", "tokens": ["the", "house", "sat"] * 12, "tags": ["A", "B", "A"] * 12}]
    windows = task.encode(rows, encoder, {"max_length": 32})
    assert len(windows) > 1
    assert max(windows.lengths) <= 32
    tags = np.split(windows.per_token["tags"], windows.offsets[1:-1])
    gold = [target[target != IGNORED].tolist() for target in tags]
    assert task.answers(rows, windows, gold)[0]["prediction"] == rows[0]["tags"]


def test_a_word_that_the_tokenizer_drops_keeps_its_tag(encoder):
    rows = [{"id": "1", "tokens": ["the", "\u200b", "cat"], "tags": ["A", "B", "A"]}]
    windows = Tagging(["A", "B"]).encode(rows, encoder, {"max_length": 32})
    assert [t for t in windows.per_token["tags"] if t != IGNORED] == [0, 1, 0]


def test_masks_are_drawn_from_the_stream_and_keep_the_targets(encoder):
    task = MaskedLanguageModelling()
    rows = [{"id": "1", "text": "the cat sat on the mat"}, {"id": "2", "text": "a dog", "pair": "the cat"}]
    windows = task.encode(rows, encoder, {"max_length": 32})
    batch = collate([windows] * 2, [0, 1])
    one, two = (task.perturb(batch, encoder, np.random.default_rng(seed), RECIPE) for seed in (1, 1))
    assert torch.equal(one.ids, two.ids)
    chosen = one.values["tokens"] != IGNORED
    assert 0 < task.units(one) < (batch.values["tokens"] != IGNORED).sum()
    assert torch.equal(one.values["tokens"][chosen], batch.ids[chosen])
    assert torch.equal(one.ids[~chosen], batch.ids[~chosen])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("name", ["qa", "tagging.x"])
def test_the_loss_does_not_depend_on_how_rows_are_batched(encoder, new_network, name, packing, smoothing):
    recipe = {**RECIPE, "label_smoothing": smoothing}
    network = new_network(dropout=0.0, packing=packing)
    network.add_head(name, ["A", "B"] if name != "qa" else [], seed=1)
    network.eval()
    contexts = ["the cat sat", "the cat sat on the mat where the dog saw the red house"]
    rows = {
        "qa": [question(context, "cat") for context in contexts],
        "tagging.x": [
            {"id": str(n), "tokens": c.split(), "tags": ["A"] * len(c.split())} for n, c in enumerate(contexts)
        ],
    }[name]
    windows = network.tasks[name].encode(rows, encoder, OPTIONS)
    together = network(name, collate([windows] * 2, [0, 1]), recipe)
    apart = sum(network(name, collate([windows], [n]), recipe) for n in (0, 1))
    assert together.item() == pytest.approx(apart.item(), rel=1e-5)
    assert 0 < together.item() < 50
