"""Task types: encoding round trips, decoding, losses that do not depend on padding."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.batches import collate
from crosstune.tasks import IGNORED
from crosstune.tasks.mlm import MaskedLanguageModelling
from crosstune.tasks.qa import CANDIDATES, LONGEST_ANSWER, QuestionAnswering, best_spans
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
    task = QuestionAnswering()
    windows = task.encode([row], encoder, OPTIONS)
    head, starts, ends = windows.details[0]
    first, last = int(windows.targets["start"][0]) - head, int(windows.targets["end"][0]) - head
    assert row["context"][starts[first] : ends[last]] == answer


def test_a_long_context_gives_windows_that_cover_it(encoder):
    context = "the cat sat on the mat " * 20
    row = question(context, "cat", occurrence=15)
    windows = QuestionAnswering().encode([row], encoder, OPTIONS)
    assert len(windows.input_ids) > 3
    assert max(windows.lengths) <= OPTIONS["max_length"]
    covered = {int(start) for _, starts, _ in windows.details for start in starts}
    assert covered == set(encoder.texts([context])[0].starts.tolist())
    with_answer = [n for n in range(len(windows.rows)) if windows.targets["start"][n]]
    assert with_answer
    for n in with_answer:
        head, starts, ends = windows.details[n]
        first, last = windows.targets["start"][n] - head, windows.targets["end"][n] - head
        assert (starts[first], context[starts[first] : ends[last]]) == (row["answers"]["answer_start"][0], "cat")


def slow_best_span(logits: torch.Tensor) -> tuple[float, int, int]:
    """The SQuAD example's loop over the n best starts and ends."""
    starts = logits[:, 0].argsort(descending=True)[:CANDIDATES].tolist()
    ends = logits[:, 1].argsort(descending=True)[:CANDIDATES].tolist()
    spans = [
        (float(logits[s, 0] + logits[e, 1]), s, e)
        for s in starts
        for e in ends
        if s <= e < s + LONGEST_ANSWER and logits[s, 0] > -torch.inf and logits[e, 1] > -torch.inf
    ]
    return max(spans, default=(-np.inf, 0, 0))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(0, 20))
def test_the_best_span_is_that_of_the_loop(seed, length, outside):
    logits = torch.randn(3, length, 2, generator=torch.Generator().manual_seed(seed))
    logits[:, : min(outside, length - 1)] = -torch.inf
    scores, starts, ends = best_spans(logits)
    for n in range(3):
        expected = slow_best_span(logits[n])
        if expected[0] == -np.inf:
            assert scores[n] == -torch.inf
        else:
            assert (float(scores[n]), int(starts[n]), int(ends[n])) == pytest.approx(expected)


def test_tags_stand_on_the_first_token_of_a_word_and_come_back(encoder):
    task = Tagging(["A", "B"])
    rows = [{"id": "1", "tokens": ["the", "house", "sat"] * 12, "tags": ["A", "B", "A"] * 12}]
    windows = task.encode(rows, encoder, {"max_length": 32})
    assert len(windows.input_ids) > 1
    assert max(windows.lengths) <= 32
    gold = [target[target != IGNORED] for target in windows.targets["tags"]]
    assert task.answers(rows, windows, gold)[0]["prediction"] == rows[0]["tags"]


def test_a_word_that_the_tokenizer_drops_keeps_its_tag(encoder):
    rows = [{"id": "1", "tokens": ["the", "\u200b", "cat"], "tags": ["A", "B", "A"]}]
    windows = Tagging(["A", "B"]).encode(rows, encoder, {"max_length": 32})
    assert [t for t in windows.targets["tags"][0] if t != IGNORED] == [0, 1, 0]


def test_masks_are_drawn_from_the_stream_and_keep_the_targets(encoder):
    task = MaskedLanguageModelling()
    rows = [{"id": "1", "text": "the cat sat on the mat"}, {"id": "2", "text": "a dog", "pair": "the cat"}]
    windows = task.encode(rows, encoder, {"max_length": 32})
    batch = collate([windows] * 2, [0, 1], encoder.pad_id)
    one, two = (task.perturb(batch, encoder, np.random.default_rng(seed), RECIPE) for seed in (1, 1))
    assert torch.equal(one["input_ids"], two["input_ids"])
    chosen = one["tokens"] != IGNORED
    assert 0 < task.units(one) < (batch["tokens"] != IGNORED).sum()
    assert torch.equal(one["tokens"][chosen], batch["input_ids"][chosen])
    assert torch.equal(one["input_ids"][~chosen], batch["input_ids"][~chosen])


@pytest.mark.parametrize("name", ["qa", "tagging.x"])
def test_the_loss_does_not_depend_on_how_rows_are_padded(encoder, new_network, name):
    network = new_network(dropout=0.0)
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
    together = network(name, collate([windows] * 2, [0, 1], encoder.pad_id), RECIPE)
    apart = sum(network(name, collate([windows], [n], encoder.pad_id), RECIPE) for n in (0, 1))
    assert together.item() == pytest.approx(apart.item(), rel=1e-5)
