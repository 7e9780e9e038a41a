"""The split of an update among several processes: the shares together are the update."""

import pytest
import torch
from accelerate import Accelerator
from closeness import ROUNDING, relative_difference
from sample_rows import (
    ENCODING,
    MIXED_HEADS,
    MIXED_RECIPE,
    MIXED_SOURCES,
    RETRIEVAL_PAIRS,
    SENTENCES,
    TEXTS,
    paired_windows,
)

from crosstune.modeling.batching import collate, concat_batches, split_batch
from crosstune.training.distributed import Ranks
from crosstune.training.micro_batches import MicroBatcher, TrainingData, TrainingSettings
from crosstune.training.trainer import accumulate_gradients
from crosstune.training.work_split import split_work


@pytest.fixture
def update(tokenizer, new_network):
    """The network and the micro-batches of an update that has every kind of them."""
    network = new_network(dropout=0.0)
    for head, labels in {**MIXED_HEADS, "retrieval": []}.items():
        network.add_head(head, labels, seed=1)
    windows, pairs = paired_windows(tokenizer, MIXED_RECIPE)
    network.learn_temperature(pairs.config.logit_scale)
    options = {**ENCODING, "max_length": 32}
    windows["names.en"] = network.tasks["tagging.x"].encode(SENTENCES, tokenizer, options)
    windows["text.en"] = network.tasks["mlm"].encode(TEXTS, tokenizer, options)
    windows["pairs.en"] = network.tasks["retrieval"].encode(RETRIEVAL_PAIRS, tokenizer, options)
    heads = {source: head for source, (head, _) in MIXED_SOURCES.items()} | {"pairs.en": "retrieval"}
    pairs.partners = for_every_other_question(pairs.partners)
    plan = [[(source, window) for source in sorted(windows) for window in range(min(8, len(windows[source])))]]
    settings = TrainingSettings(MIXED_RECIPE, ("key",), "fp32", 40, 1e9)
    batcher = MicroBatcher(network, tokenizer, TrainingData(windows, heads, pairs), plan, settings)
    return network, batcher.micro_batches(0), settings


def for_every_other_question(partners):
    """Only questions have translations, and not every window of theirs."""
    return lambda source, window: partners(source, window) if source in ("chaii.hi", "mt.ta") and window % 2 else []


def is_whole(micro_batch) -> bool:
    return micro_batch.partners is not None or micro_batch.head == "retrieval"


def gradients_of(network, shares, settings) -> tuple[float, float, dict[str, torch.Tensor]]:
    network.zero_grad()
    found = [accumulate_gradients(Accelerator(cpu=True), network, share, settings) for share in shares]
    loss, contrast = (sum(value.item() for value in values if value is not None) for values in zip(*found, strict=True))
    return loss, contrast, {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("size", [2, 3, 50])
def test_the_shares_of_an_update_are_the_update(update, size):
    network, micro_batches, settings = update
    shares = [split_work(micro_batches, Ranks(rank, size), network, settings) for rank in range(size)]
    assert all(shares), "every process has something to do"
    loss, contrast, gradients = gradients_of(network, [micro_batches], settings)
    shared_loss, shared_contrast, shared = gradients_of(network, shares, settings)
    assert (shared_loss, shared_contrast) == (pytest.approx(loss, rel=1e-5), pytest.approx(contrast, rel=1e-5))
    assert set(shared) == set(gradients)
    assert relative_difference([shared[name] for name in gradients], gradients.values()) < ROUNDING


def test_shares_are_even_and_windows_that_need_each_other_stay_together(update):
    network, micro_batches, settings = update
    shares = [split_work(micro_batches, Ranks(rank, 2), network, settings) for rank in (0, 1)]
    tokens = [sum(each.tokens for each in share) for share in shares]
    longest = max(len(each.batch.ids) for each in micro_batches)
    assert abs(tokens[0] - tokens[1]) <= longest
    whole = [each for each in micro_batches if is_whole(each)]
    assert len(whole) > 2
    assert sorted(map(id, whole)) == sorted(id(each) for share in shares for each in share if is_whole(each))
    single = [each for share in shares for each in share if not is_whole(each)]
    assert all(len(each.batch.ids) <= settings.pass_tokens for each in single)


def test_a_process_for_which_nothing_is_left_has_a_micro_batch_of_weight_0(update):
    network, micro_batches, settings = update
    one = [next(each for each in micro_batches if each.head == "retrieval")]
    assert split_work(one, Ranks(0, 2), network, settings) == one
    (empty,) = split_work(one, Ranks(1, 2), network, settings)
    assert empty.weight == 0 and len(empty.batch) == 1


def test_even_shares_are_the_same_and_some_micro_batches_of_weight_0(update):
    network, micro_batches, settings = update
    for size in (2, 3):
        shares = [split_work(micro_batches, Ranks(rank, size, sharded=True), network, settings) for rank in range(size)]
        assert len({len(share) for share in shares}) == 1
        weighted = [[each for each in share if each.weight or each.partners] for share in shares]
        assert sum(map(len, weighted)) < sum(map(len, shares)) and all(shares)
        for rank, share in enumerate(weighted):
            other = split_work(micro_batches, Ranks(rank, size), network, settings)
            other = [each for each in other if each.weight or each.partners]
            assert [each.batch.sequence_counts for each in share] == [each.batch.sequence_counts for each in other]
            assert [each.head for each in share] == [each.head for each in other]


def test_a_split_batch_concatenates_to_itself(tokenizer, new_network):
    network = new_network()
    network.add_head("retrieval", [], seed=1)
    windows = network.tasks["retrieval"].encode(RETRIEVAL_PAIRS, tokenizer, ENCODING)
    batch = collate([windows] * 3, [2, 0, 1])
    parts = split_batch(batch)
    assert [part.sequence_counts for part in parts] == [(2,)] * 3
    whole = concat_batches(parts)
    assert (whole.lengths, whole.sequence_counts) == (batch.lengths, batch.sequence_counts)
    for name in ("ids", "types", "positions"):
        assert torch.equal(getattr(whole, name), getattr(batch, name))
    assert all(torch.equal(whole.values[name], batch.values[name]) for name in batch.values)
    assert torch.equal(concat_batches([parts[1], parts[0]]).values["candidate"], batch.values["candidate"][[1, 0]])
