"""Task types: encoding round trips, decoding, losses that do not depend on padding."""

import numpy as np
import pytest
import torch
from closeness import relative_difference
from sample_rows import RETRIEVAL_PAIRS

from crosstune.core.errors import UserError
from crosstune.modeling.batching import collate
from crosstune.modeling.tasks import IGNORE_INDEX, load_task
from crosstune.modeling.tasks.mlm import MaskedLanguageModelling
from crosstune.modeling.tasks.pooling import pool
from crosstune.modeling.tasks.qa import QuestionAnswering
from crosstune.modeling.tasks.retrieval import best_candidates
from crosstune.modeling.tasks.tagging import Tagging

RECIPE = {"label_smoothing": 0.0, "mlm_probability": 0.3}
OPTIONS = {"max_length": 64, "stride": 16, "max_question_length": 16}


def question(context: str, answer: str, occurrence: int = 0) -> dict:
    start = -1
    for _ in range(occurrence + 1):
        start = context.index(answer, start + 1)
    answers = {"text": [answer], "answer_start": [start]}
    return {"id": "q", "context": context, "question": "who sat on the mat", "answers": answers}


@pytest.mark.parametrize("answer", ["cat", "the mat", "the cat sat on the mat", "mat"])
def test_the_gold_span_decodes_to_the_gold_answer(tokenizer, answer):
    row = question("the cat sat on the mat", answer)
    windows = QuestionAnswering().encode([row], tokenizer, OPTIONS)
    start, end = windows.per_window["start"][0], windows.per_window["end"][0]
    assert row["context"][windows.per_token["first"][start] : windows.per_token["last"][end]] == answer


def test_a_long_context_gives_windows_that_cover_it(tokenizer):
    context = "the cat sat on the mat " * 20
    row = question(context, "cat", occurrence=15)
    windows = QuestionAnswering().encode([row], tokenizer, OPTIONS)
    assert len(windows) > 3
    assert max(windows.lengths) <= OPTIONS["max_length"]
    first, last = windows.per_token["first"], windows.per_token["last"]
    assert set(first[first >= 0].tolist()) == set(tokenizer.tokenize([context])[0].starts.tolist())
    with_answer = [n for n in range(len(windows)) if windows.per_window["start"][n]]
    assert with_answer
    for n in with_answer:
        start, end = (windows.offsets[n] + windows.per_window[name][n] for name in ("start", "end"))
        assert (first[start], context[first[start] : last[end]]) == (row["answers"]["answer_start"][0], "cat")


def test_tags_stand_on_the_first_token_of_a_word_and_come_back(tokenizer):
    task = Tagging(["A", "B"])
    rows = [{"id": "1", "tokens": ["the", "house", "sat"] * 12, "tags": ["A", "B", "A"] * 12}]
    windows = task.encode(rows, tokenizer, {"max_length": 32})
    assert len(windows) > 1
    assert max(windows.lengths) <= 32
    tags = np.split(windows.per_token["tags"], windows.offsets[1:-1])
    gold = [target[target != IGNORE_INDEX].tolist() for target in tags]
    assert task.answers(rows, windows, gold)[0]["prediction"] == rows[0]["tags"]


def test_a_word_that_the_tokenizer_drops_keeps_its_tag(tokenizer):
    rows = [{"id": "1", "tokens": ["the", "\u200b", "cat"], "tags": ["A", "B", "A"]}]
    windows = Tagging(["A", "B"]).encode(rows, tokenizer, {"max_length": 32})
    assert [t for t in windows.per_token["tags"] if t != IGNORE_INDEX] == [0, 1, 0]


def test_masks_are_drawn_from_the_stream_and_keep_the_targets(tokenizer):
    task = MaskedLanguageModelling()
    rows = [{"id": "1", "text": "the cat sat on the mat"}, {"id": "2", "text": "a dog", "pair": "the cat"}]
    windows = task.encode(rows, tokenizer, {"max_length": 32})
    batch = collate([windows] * 2, [0, 1])
    one, two = (task.perturb(batch, tokenizer, np.random.default_rng(seed), RECIPE) for seed in (1, 1))
    assert torch.equal(one.ids, two.ids)
    chosen = one.values["tokens"] != IGNORE_INDEX
    assert 0 < task.target_count(one) < (batch.values["tokens"] != IGNORE_INDEX).sum()
    assert torch.equal(one.values["tokens"][chosen], batch.ids[chosen])
    assert torch.equal(one.ids[~chosen], batch.ids[~chosen])


ROWS = {
    "qa": [question("the cat sat", "cat"), question("the cat sat on the mat where the dog saw the red house", "cat")],
    "tagging.x": [
        {"id": "1", "tokens": ["the", "cat", "sat"], "tags": ["A"] * 3},
        {"id": "2", "tokens": ["the", "cat", "sat", "on", "the", "red", "mat"], "tags": ["B"] * 7},
    ],
    "classification.x": [
        {"id": "1", "text": "the cat sat", "pair": "a dog sat", "label": "A"},
        {"id": "2", "text": "the dog saw the red house where the cat sat", "label": "B"},
    ],
    "choice": [
        {"id": "1", "premise": "the cat sat", "question": "where", "choices": ["on the mat", "the dog"], "label": 0},
        {"id": "2", "premise": "a dog", "question": "who", "choices": ["a", "the red house", "mat"], "label": 2},
    ],
}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("name", ROWS)
def test_the_loss_does_not_depend_on_how_rows_are_batched(tokenizer, new_network, name, packing, smoothing):
    recipe = {**RECIPE, "label_smoothing": smoothing}
    network = new_network(dropout=0.0, packing=packing)
    network.add_head(name, ["A", "B"] if "." in name else [], seed=1)
    network.eval()
    windows = network.tasks[name].encode(ROWS[name], tokenizer, OPTIONS)
    together = network(name, collate([windows] * 2, [0, 1]), recipe)
    apart = sum(network(name, collate([windows], [n]), recipe) for n in (0, 1))
    assert together.item() == pytest.approx(apart.item(), rel=1e-5)
    assert 0 < together.item() < 50


def test_a_pair_is_cut_to_the_window_from_the_longer_text_first(tokenizer):
    words = tokenizer.tokenize(["the cat sat on the mat " * 3])[0].ids
    specials = tokenizer.pair_layout.count
    for first, second, kept in [(18, 2, (6, 2)), (2, 18, (2, 6)), (18, 18, (4, 4)), (3, 4, (3, 4)), (9, 5, (4, 4))]:
        ids, _ = tokenizer.encode_pair(words[:first], words[:second], 8 + specials)
        assert len(ids) == sum(kept) + specials
        layout = tokenizer.pair_layout
        expected, _ = layout.pair(words[: kept[0]], words[: kept[1]])
        assert ids.tolist() == expected.tolist()


def test_every_choice_is_a_sequence_that_sees_itself_alone(tokenizer, new_network):
    network = new_network(dropout=0.0)
    network.add_head("choice", [], seed=1)
    task, head = network.tasks["choice"], network.bound_head("choice")
    network.eval()
    windows = task.encode(ROWS["choice"], tokenizer, OPTIONS)
    assert [len(windows.sequence_lengths(n)) for n in (0, 1)] == [2, 3]
    assert [sum(windows.sequence_lengths(n)) for n in (0, 1)] == windows.lengths.tolist()
    turned = [{**row, "choices": row["choices"][::-1]} for row in ROWS["choice"]]
    found = []
    for part in (windows, task.encode(turned, tokenizer, OPTIONS)):
        batch = collate([part] * 2, [0, 1])
        with torch.no_grad():
            found.append(task.outputs(head, network.hidden(batch), batch))
    one, other = found
    assert [len(row["choices"]) - 1 - place for row, place in zip(turned, other, strict=True)] == one
    answers = task.answers(ROWS["choice"], windows, [1, 2])
    assert answers == [{"id": "1", "prediction": 1, "gold": 0}, {"id": "2", "prediction": 2, "gold": 2}]


def test_bitext_finds_the_nearest_sentence_by_the_mean_of_a_layer(tokenizer, new_network):
    network = new_network(dropout=0.0)
    task = network.task("bitext")
    texts = ["the cat sat", "a dog saw the house", "who is where"]
    rows = [{"id": str(n), "text": text, "pair": text} for n, text in enumerate(texts)]
    windows = task.encode(rows, tokenizer, OPTIONS)
    network.eval()
    batch = collate([windows] * 3, [0, 1, 2])
    with torch.no_grad():
        vectors = torch.stack(task.outputs(None, network.hidden(batch, 1), batch))
        embedded = torch.stack(task.outputs(None, network.hidden(batch, 0), batch))
        first = network.hidden(collate([windows], [0]), 1)
    assert [answer["prediction"] for answer in task.answers(rows, windows, list(vectors))] == ["0", "1", "2"]
    mean = first[: windows.sequence_lengths(0)[0]].mean(0)
    assert relative_difference([vectors[0, 0]], [mean / mean.norm()]) < 1e-6
    assert relative_difference([embedded], [vectors]) > 1e-3
    with pytest.raises(UserError, match="the encoder has 1 layers, and layer 2 is wanted"):
        network.hidden(batch, 2)


def test_the_search_of_bitext_goes_from_english_to_the_foreign_side():
    """The English sentence 0 is nearest to the foreign sentence 1; the other direction would find otherwise."""
    foreign = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    english = torch.tensor([[0.5, 0.87], [0.0, 1.0]])
    rows = [{"id": "a"}, {"id": "b"}]
    answers = load_task("bitext").answers(rows, None, list(torch.stack([foreign, english], 1)))
    assert [answer["prediction"] for answer in answers] == ["b", "b"]
    assert [answer["gold"] for answer in answers] == ["a", "b"]


def test_pairs_are_each_others_negatives_unless_the_candidate_is_the_same(tokenizer, new_network):
    network = new_network(dropout=0.0)
    network.add_head("retrieval", [], seed=1)
    network.eval()
    task = network.tasks["retrieval"]
    windows = task.encode(RETRIEVAL_PAIRS, tokenizer, OPTIONS)
    batch = collate([windows] * 3, [0, 1, 2])
    vectors = network.head("retrieval")(pool(network.hidden(batch), batch)).view(3, 2, -1)
    logits = 100 * vectors[:, 0] @ vectors[:, 1].T
    # Rows 0 and 2 have the same candidate, so that each has one negative: the candidate of row 1.
    expected = [
        torch.logsumexp(logits[0, [0, 1]], 0) - logits[0, 0],
        torch.logsumexp(logits[1], 0) - logits[1, 1],
        torch.logsumexp(logits[2, [1, 2]], 0) - logits[2, 2],
    ]
    assert network("retrieval", batch, RECIPE).item() == pytest.approx(sum(expected).item(), rel=1e-5)


def test_negatives_are_counted_in_pairs_and_follow_the_order_of_the_update():
    task = load_task("retrieval")
    assert task.passes([30, 10, 20, 40, 50], 10, False, {"negatives": 2}) == [[0, 1], [2, 3], [4]]
    assert task.passes([30] * 65, 10, True, {}) == [list(range(33)), list(range(33, 65))]


def test_a_pair_alone_counts_nothing_and_rows_of_another_form_are_refused(tokenizer, new_network):
    network = new_network(dropout=0.0)
    network.add_head("retrieval", [], seed=1)
    task, head = network.tasks["retrieval"], network.bound_head("retrieval")
    windows = task.encode(RETRIEVAL_PAIRS, tokenizer, OPTIONS)
    alone, both = collate([windows], [0]), collate([windows] * 2, [0, 1])
    assert (task.target_count(alone), task.target_count(both)) == (0, 2)
    assert network("retrieval", alone, RECIPE).item() == 0
    with pytest.raises(UserError, match="evaluated on questions and candidates"):
        task.outputs(head, network.hidden(both), both)
    questions = task.encode([{"id": "1", "query": "who", "key": "1"}] * 2, tokenizer, OPTIONS)
    with pytest.raises(UserError, match="trained on pairs of a question and a candidate"):
        network("retrieval", collate([questions] * 2, [0, 1]), RECIPE)


def test_candidates_are_the_same_or_not_whatever_source_they_come_from(tokenizer):
    task = load_task("retrieval")
    one, other = task.encode(RETRIEVAL_PAIRS, tokenizer, OPTIONS), task.encode(RETRIEVAL_PAIRS[1:], tokenizer, OPTIONS)
    numbers = one.per_window["candidate"].tolist()
    assert numbers[0] == numbers[2] != numbers[1]
    assert other.per_window["candidate"].tolist() == numbers[1:]


def test_near_candidates_stay_apart_in_bf16(tokenizer, new_network):
    """Logits start near 100, and bf16 has steps of half a point there."""
    network = new_network(dropout=0.0)
    network.add_head("retrieval", [], seed=1)
    network.eval()
    windows = network.tasks["retrieval"].encode(RETRIEVAL_PAIRS, tokenizer, OPTIONS)
    batch = collate([windows] * 2, [0, 1])
    hidden = network.hidden(batch).detach()
    hidden = hidden[:1] + 1e-3 * hidden
    loss = network.tasks["retrieval"].loss
    exact = loss(network.bound_head("retrieval"), hidden, batch, RECIPE)
    vectors = network.head("retrieval")(pool(hidden, batch)).detach()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = loss(Fixed(vectors, network.head("retrieval").scale), hidden, batch, RECIPE)
    assert rounded.item() == pytest.approx(exact.item(), rel=5e-5)


class Fixed:
    """A head that gives the same vectors in any precision."""

    def __init__(self, vectors, scale):
        self.vectors, self.scale = vectors, scale

    def __call__(self, states):
        return self.vectors


def test_the_best_candidates_do_not_depend_on_the_blocks():
    generator = torch.Generator().manual_seed(1)
    questions, candidates = (torch.nn.functional.normalize(torch.randn(n, 8, generator=generator)) for n in (5, 70))
    whole = best_candidates(questions, [candidates])
    assert whole == best_candidates(questions, [candidates[:3], candidates[3:50], candidates[50:50], candidates[50:]])
    assert whole[0] == (questions @ candidates.T)[0].argsort(descending=True)[:20].tolist()


def test_questions_are_ranked_against_the_candidates_of_all_languages():
    unit = torch.eye(4)
    one = [{"id": "q1", "query": "?", "key": "k"}, {"id": "en_1", "candidate": "a", "context": "", "keys": ["k"]}]
    two = [
        {"id": "q1", "query": "?", "key": "k"},
        {"id": "de_1", "candidate": "b", "context": "", "keys": ["k"]},
        {"id": "de_2", "candidate": "c", "context": "", "keys": []},
    ]
    vectors = [[unit[0], unit[1]], [(unit[2] + unit[0]) / 2**0.5, unit[0], unit[2]]]
    parts = [(rows, None, found) for rows, found in zip([one, two], vectors, strict=True)]
    english, german = load_task("retrieval").predictions(iter(parts))
    # en q1 lies on de_1; en_1 and de_2 are equally far, and the earlier comes first.
    assert english == [{"id": "q1", "prediction": ["de_1", "en_1", "de_2"], "gold": ["en_1", "de_1"]}]
    assert german == [{"id": "q1", "prediction": ["de_1", "de_2", "en_1"], "gold": ["en_1", "de_1"]}]
