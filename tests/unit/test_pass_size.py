"""Forward passes: the planned size on a CPU, larger ones on a GPU that has the memory for them."""

from types import SimpleNamespace

import pytest
import torch

from crosstune.core.packing import (
    GPU_PREDICTION_PASS_TOKENS,
    GPU_TRAINING_PASS_TOKENS,
    PREDICTION_PASS_TOKENS,
    TRAINING_PASS_TOKENS,
)
from crosstune.training import pass_size
from crosstune.training.pass_size import prediction_pass, training_pass

XLMR_LARGE = SimpleNamespace(hidden_size=1024, num_hidden_layers=24)


@pytest.fixture
def gpu(monkeypatch):
    """Let this process seem to have a GPU with so many GB of memory."""

    def make(gigabytes: int) -> None:
        monkeypatch.setattr(pass_size, "device", lambda: "cuda")
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        properties = SimpleNamespace(total_memory=gigabytes * 10**9)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)

    return make


def test_a_cpu_has_passes_as_large_as_the_requested_memory_allows(new_network):
    assert (training_pass(new_network(), "bf16"), prediction_pass(new_network())) == (
        TRAINING_PASS_TOKENS,
        PREDICTION_PASS_TOKENS,
    )


@pytest.mark.parametrize(
    ("precision", "gigabytes", "tokens"),
    [("bf16", 80, GPU_TRAINING_PASS_TOKENS), ("bf16", 40, TRAINING_PASS_TOKENS), ("fp32", 80, TRAINING_PASS_TOKENS)],
)
def test_a_gpu_has_large_passes_if_their_activations_fill_half_of_it(gpu, precision, gigabytes, tokens):
    gpu(gigabytes)
    network = SimpleNamespace(packed=True, config=XLMR_LARGE)
    assert (training_pass(network, precision), prediction_pass(network)) == (tokens, GPU_PREDICTION_PASS_TOKENS)


def test_padded_passes_stay_small(gpu):
    gpu(80)
    network = SimpleNamespace(packed=False, config=XLMR_LARGE)
    assert (training_pass(network, "bf16"), prediction_pass(network)) == (TRAINING_PASS_TOKENS, PREDICTION_PASS_TOKENS)
