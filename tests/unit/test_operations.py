"""The operations that benchmarks count are those that torch counts."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from crosstune.modeling.batching import collate

RECIPE = {"label_smoothing": 0.0}
ROWS = [
    {"id": "1", "question": "who sat", "context": "the cat sat", "answers": {"text": ["cat"], "answer_start": [4]}},
    {"id": "2", "question": "who", "context": "a dog", "answers": {"text": ["dog"], "answer_start": [2]}},
]


@pytest.fixture
def operations(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    import operations

    return operations


def test_a_training_has_the_operations_that_torch_counts(operations, new_network, tokenizer):
    network = new_network()
    network.add_head("qa", [], seed=1)
    assert network.packed
    windows = network.tasks["qa"].encode(ROWS, tokenizer, {"max_length": 64, "stride": 16, "max_question_length": 16})
    batch = collate([windows] * 2, [0, 1])
    with FlopCounterMode(display=False) as counter:
        network("qa", batch, RECIPE).backward()
    counted = operations.count_operations(network.config, 2, windows.lengths, operations.TRAINING)
    assert counted == counter.get_total_flops()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.bound_head("qa")(network.hidden(batch))
    counted = operations.count_operations(network.config, 2, windows.lengths, operations.PREDICTION)
    assert counted == counter.get_total_flops()
