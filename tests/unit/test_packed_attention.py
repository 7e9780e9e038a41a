"""Packing: every encoder family gives packed windows the hidden states that it gives them padded, or is padded."""

from copy import deepcopy

import pytest
import torch
from closeness import ROUNDING, relative_difference
from transformers import (
    AutoConfig,
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    XLMRobertaConfig,
)

from crosstune.modeling.batching import split_batch
from crosstune.modeling.fast_dropout import FastDropout, dropout
from crosstune.modeling.features import Batch
from crosstune.modeling.network import MultiHeadEncoder
from crosstune.modeling.packed_attention import PackedSequences, packed_attention
from crosstune.modeling.used_embeddings import SparseEmbedding

SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
# With the usual small weights, attention hardly changes the hidden states: no test would find it wrong.
COMMON = {"vocab_size": 50, "pad_token_id": 1, "initializer_range": 0.2}
PACKED = {
    "bert": BertConfig(**SIZE, **COMMON, max_position_embeddings=64),
    "xlm-roberta": XLMRobertaConfig(**SIZE, **COMMON, max_position_embeddings=66),
    "electra": ElectraConfig(**SIZE, **COMMON, max_position_embeddings=64),
    "distilbert": DistilBertConfig(**COMMON, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=64),
    # Layers of local attention that see 4 tokens to each side, and one of global attention.
    "modernbert": ModernBertConfig(
        **SIZE, **COMMON, local_attention=8, global_attn_every_n_layers=2, bos_token_id=2, eos_token_id=3,
        cls_token_id=2, sep_token_id=3,
    ),
}  # fmt: skip
PADDED = {"deberta-v2": DebertaV2Config(**SIZE, **COMMON, relative_attention=True, pos_att_type=["p2c", "c2p"])}
LENGTHS = (3, 9, 9, 9, 17, 40)


def batch_of(lengths=LENGTHS) -> Batch:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, 50, (sum(lengths),), generator=generator)
    types = torch.cat([(torch.arange(n) > n // 2).long() for n in lengths])
    return Batch(ids, types, torch.cat([torch.arange(n) for n in lengths]), tuple(lengths), (1,) * len(lengths), {})


def networks(config: AutoConfig) -> tuple[MultiHeadEncoder, MultiHeadEncoder]:
    torch.manual_seed(0)
    packed = MultiHeadEncoder(AutoModel.from_config(deepcopy(config)))
    padded = MultiHeadEncoder(AutoModel.from_config(deepcopy(config)), packing=False)
    padded.load_state_dict(packed.state_dict())
    return packed.eval(), padded.eval()


@pytest.mark.parametrize("name", PACKED)
def test_packed_hidden_states_are_the_padded_ones(name):
    packed, padded = networks(PACKED[name])
    assert (packed.packed, padded.packed) == (True, False)
    with torch.no_grad():
        assert relative_difference([packed.hidden(batch_of())], [padded.hidden(batch_of())]) < ROUNDING


@pytest.mark.parametrize("name", PACKED)
def test_packed_hidden_states_in_half_precision_are_as_near_to_the_exact_ones(name):
    packed, padded = networks(PACKED[name])
    with torch.no_grad():
        exact = padded.hidden(batch_of())
        with torch.autocast("cpu", torch.bfloat16):
            errors = [(network.hidden(batch_of()).float() - exact).abs().mean() for network in (packed, padded)]
    assert 0 < errors[0] < 1.2 * errors[1]


@pytest.mark.parametrize("name", PACKED)
def test_packed_gradients_are_the_padded_ones(name):
    packed, padded = networks(PACKED[name])
    weights = torch.randn(sum(LENGTHS), 32, generator=torch.Generator().manual_seed(1))
    for network in (packed, padded):
        (network.hidden(batch_of()) * weights).sum().backward()
    found, expected = ([p.grad for p in network.parameters() if p.grad is not None] for network in (packed, padded))
    assert relative_difference(found, expected) < ROUNDING


@pytest.mark.parametrize("name", [*PACKED, *PADDED])
def test_every_encoder_can_have_a_masked_language_head(name):
    network, _ = networks((PACKED | PADDED)[name])
    network.add_head("mlm", [], seed=1)
    scores = network.bound_head("mlm")(network.hidden(batch_of()))
    assert scores.shape == (sum(LENGTHS), 50)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", [*PACKED, *PADDED])
def test_every_encoder_can_be_trained_on_the_rows_of_its_embeddings_that_are_used(name):
    whole, _ = networks((PACKED | PADDED)[name])
    alone = deepcopy(whole)
    batch = batch_of((3, 5, 5))
    used = SparseEmbedding(alone, [], [batch.ids.numpy()], {})
    used.shrink()
    for network in (whole, alone):
        network.hidden(batch).pow(2).sum().backward()
    expected, found = (network.encoder.get_input_embeddings().weight.grad for network in (whole, alone))
    assert len(found) == len(used.rows) < len(expected)
    assert relative_difference([found], [expected[used.rows]]) < ROUNDING


@pytest.mark.parametrize("name", PADDED)
def test_a_model_with_attention_of_its_own_is_padded(name):
    network, padded = networks(PADDED[name])
    assert not network.packed
    with torch.no_grad():
        assert torch.equal(network.hidden(batch_of()), padded.hidden(batch_of()))
        alone = torch.cat([network.hidden(single) for single in split_batch(batch_of())])
        assert relative_difference([network.hidden(batch_of())], [alone]) < ROUNDING


def test_a_window_does_not_see_its_neighbours():
    """Broken on purpose: if two windows are declared as one, the hidden states differ."""
    packed, _ = networks(PACKED["bert"])
    whole = batch_of()
    joined = Batch(whole.ids, whole.types, whole.positions, (12, *whole.lengths[2:]), whole.sequence_counts[1:], {})
    with torch.no_grad():
        assert relative_difference([packed.hidden(joined)], [packed.hidden(whole)]) > 1e-2


def test_a_model_that_ignores_positions_given_to_it_is_found_out(monkeypatch):
    model = AutoModel.from_config(deepcopy(PACKED["bert"]))
    forward = model.embeddings.forward
    monkeypatch.setattr(model.embeddings, "forward", lambda **given: forward(**{**given, "position_ids": None}))
    assert not MultiHeadEncoder(model).packed


@pytest.mark.parametrize("window", [None, 5])
def test_attention_with_dropout_is_right_on_average(window):
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 30, 4, generator=generator) for _ in range(3))
    sequences = PackedSequences.from_lengths((8, 8, 14), torch.device("cpu"))
    options = {"attention_mask": None, "packed_sequences": sequences, "sliding_window": window}
    exact, _ = packed_attention(None, query, key, value, **options)
    torch.manual_seed(1)
    draws = [packed_attention(None, query, key, value, dropout=0.2, **options)[0] for _ in range(2000)]
    assert exact.shape == (1, 30, 2, 4)
    assert relative_difference([torch.stack(draws).mean(0)], [exact]) < 0.05
    assert not torch.equal(draws[0], draws[1])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate):
    torch.manual_seed(0)
    dropped = dropout(torch.ones(1000, 201), rate)
    assert (dropped == 0).float().mean() == pytest.approx(rate, abs=0.005)
    assert dropped.max() == pytest.approx(1 / (1 - rate))
    torch.manual_seed(0)
    assert torch.equal(dropped, dropout(torch.ones(1000, 201), rate))


def test_dropout_layers_are_off_in_evaluation():
    layer = FastDropout(0.5).eval()
    assert torch.equal(layer(torch.ones(100)), torch.ones(100))
    assert (layer.train()(torch.ones(100)) == 0).any()
