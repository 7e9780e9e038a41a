"""How near two computations of the same numbers are."""

from collections.abc import Iterable, Mapping

import torch

# Bounds of a relative difference. Gradients of some layers in fp32 differ by up to 1e-6 of the whole, a wrong scale of
# 0.1 % in attention changes them by 5e-4. Updates carry rounding on: after some dozens weights differ by 1e-6.
ROUNDING = 1e-5
TRAINED = 1e-4


def relative_difference(found: Iterable[torch.Tensor], expected: Iterable[torch.Tensor]) -> float:
    """The norm of a difference divided by the norm of the expected values, over all tensors of two lists together.

    Rounding grows with the numbers that are added, and differs between processors: only a share of the whole bounds it.
    A gradient that is zero but for rounding has no share of its own, so the tensors are not compared one by one.
    """
    found, expected = (torch.cat([tensor.detach().double().flatten() for tensor in side]) for side in (found, expected))
    return ((found - expected).norm() / expected.norm()).item()


def relative_differences(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """The relative difference of each kind of named tensors: `exp_avg` is the kind of `exp_avg.encoder.x`."""
    assert set(found) == set(expected)
    kinds: dict[str, list[str]] = {}
    for name in expected:
        kinds.setdefault(name.partition(".")[0], []).append(name)
    return {
        kind: relative_difference([found[name] for name in names], [expected[name] for name in names])
        for kind, names in kinds.items()
    }


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Whether two modules have the same weights, bit for bit."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(first, second) for first, second in pairs)
