"""The size of a model as far as a plan knows it: parameters, width, layers, GPUs."""

from collections.abc import Mapping
from dataclasses import dataclass

# Bytes of activations per token, for each unit of width of each layer. Korthikanti et al. (2022, arXiv:2205.05198)
# count 34 + 5 heads x length / width bytes in 16 bits: 64 for heads 64 wide and rows of 384, and twice that in fp32.
ACTIVATION_BYTES = 128

# Operations per second of a core and of a GPU. benchmarks/results/base.md measures 1.2e11 a core on a machine without
# bf16; the peak of a GPU of 2017 (V100) is 1.5e13 in fp32, that of later ones ten times as high in bf16.
CORE_FLOPS, GPU_FLOPS = 4e10, 1e13

# Operations of training per token and parameter (Kaplan et al. 2020, arXiv:2001.08361): forward, and twice that
# backward. Frozen weights need no gradients, which are half of the latter.
TRAIN_OPERATIONS, ADAPTER_OPERATIONS = 6, 4

# The parameters of a model that does not state them: a little more than XTREME-R's largest model, XLM-R large.
UNKNOWN_PARAMETERS = 600_000_000

# The share of parameters outside the embeddings: a half or less in multilingual encoders, 0.8 in monolingual ones.
BODY_SHARE = 0.75

DEFAULT_WIDTH = 768

# A model with fewer parameters computes on a CPU unless its key `gpus` says otherwise.
MIN_GPU_PARAMETERS = 50_000_000


@dataclass(frozen=True)
class Size:
    """The parameters, shape and GPUs of a model. An unknown shape is derived from the number of parameters.

    `adapter`: the parameters that are trained instead of all, if it has an adapter.
    """

    parameters: int
    width: int
    layers: float
    gpus: int
    adapter: int | None = None

    @classmethod
    def of(cls, model: Mapping, adapter: int | None = None) -> "Size":
        """The size of a model of the config."""
        parameters = parameters_of(model) or UNKNOWN_PARAMETERS
        if "pretrain" in model:
            width, layers = model["pretrain"]["hidden"], model["pretrain"]["layers"]
        else:
            width, layers = DEFAULT_WIDTH, BODY_SHARE * parameters / (12 * DEFAULT_WIDTH**2)
        return cls(parameters, width, layers, gpus_of(model), adapter)

    @property
    def trained_parameters(self) -> int:
        """Parameters that training changes."""
        return self.parameters if self.adapter is None else self.adapter

    @property
    def training_operations(self) -> int:
        """Operations of training per token and parameter."""
        return TRAIN_OPERATIONS if self.adapter is None else ADAPTER_OPERATIONS

    @property
    def matrix_parameters(self) -> float:
        """Parameters in the layers' matrices, which multiply every token. Embeddings are looked up."""
        return 12 * self.layers * self.width**2

    def activations(self, tokens: float, layers: float | None = None) -> float:
        """Bytes of the activations of a forward pass."""
        return tokens * self.width * (self.layers if layers is None else layers) * ACTIVATION_BYTES

    def seconds(self, operations: float, tokens: float, threads: int) -> float:
        """Seconds for `operations` operations per parameter and token."""
        speed = GPU_FLOPS * self.gpus if self.gpus else CORE_FLOPS * threads
        return operations * self.parameters * tokens / speed


def gpus_of(model: Mapping) -> int:
    """GPUs that a model's jobs request: its key `gpus`, or else none if it is known to be small and one otherwise."""
    parameters = parameters_of(model)
    return model.get("gpus", 0 if parameters is not None and parameters < MIN_GPU_PARAMETERS else 1)


def parameters_of(model: Mapping) -> int | None:
    """Parameters of an encoder: as stated for a given one (else None), counted for one that is pretrained here."""
    if "pretrain" not in model:
        return model.get("parameters")
    pretrain = model["pretrain"]
    width, positions = pretrain["hidden"], pretrain["vocabulary"] + pretrain["max_length"]
    # A layer: four square matrices of attention, two of the feed-forward part of four widths, biases, two norms.
    return positions * width + pretrain["layers"] * (12 * width**2 + 13 * width)
