"""A model sharded between two processes computes as a whole one does, for encoders that are built in different ways.

The processes run this file as a program: they compare gradients, clipped gradients and gathered weights.
"""

import copy
import os
import subprocess
import sys
from pathlib import Path

import torch
from closeness import ROUNDING, relative_difference, same_weights
from torch.nn.utils import clip_grad_norm_

from crosstune.training.distributed import Ranks, launch, started_by_launcher

ROOT = Path(__file__).parents[2]
SIZE = {
    "vocab_size": 200, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 40, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
XLM = {"vocab_size": 200, "emb_dim": 16, "n_layers": 3, "n_heads": 2, "max_position_embeddings": 40, "dropout": 0.0}
# A list of layers and a pooler that nothing uses; one layer used thrice; layers that share positions; lists of parts.
ENCODERS = {
    "Bert": SIZE,
    "Albert": SIZE | {"embedding_size": 8},
    "DebertaV2": SIZE | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "XLM": XLM | {"attention_dropout": 0.0},
}


def test_two_processes_shard_any_encoder():
    path = os.pathsep.join(map(str, (ROOT / "scripts", ROOT / "tests/unit")))
    environ = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, __file__], env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-6000:]


def compare(ranks: Ranks, name: str, adapted: bool = False) -> None:
    import transformers

    from crosstune.artifacts.adapter import BaseModel
    from crosstune.modeling.adapters import prepare_adapter
    from crosstune.modeling.network import MultiHeadEncoder
    from crosstune.modeling.used_embeddings import SparseEmbedding
    from crosstune.training.parallel import ShardedModel, full_tensor

    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**ENCODERS[name])
    alone = MultiHeadEncoder(getattr(transformers, f"{name}Model")(config))
    if adapted:
        lora = {"rank": 2, "alpha": 4, "targets": ["query", "dense"], "dropout": 0.0, "stages": "continue"}
        prepare_adapter(alone, lora, 1, Path("base"), BaseModel("base", "hash"))
    for head in ("tagging.0", "tagging.1", "tagging.unused"):
        alone.add_head(head, ["A", "B", "C"], seed=1)
    passes = [(f"tagging.{number % 2}", batch([7, 5], number), {"label_smoothing": 0.0}) for number in range(4)]
    used = SparseEmbedding(alone, ["tagging.0"], [each.ids.numpy() for _, each, _ in passes], {})
    assert used.rows is None if adapted else len(used.rows) < 100
    used.shrink()
    sharded = ShardedModel(copy.deepcopy(alone), ranks, torch.device("cpu"))
    here, all_of_it = sum(map(local_size, sharded.network.parameters())), sum(map(local_size, alone.parameters()))
    assert here < 0.65 * all_of_it, f"a process has {here} of {all_of_it} parameters of {name}"

    for each in passes:
        alone(*each).backward()
    for each in passes[ranks.rank :: 2]:  # one process has those of one head
        sharded.network(*each).backward()
    sharded.sum_gradients()
    assert_same_gradients(sharded.network, alone, full_tensor)
    assert clip_grad_norm_(alone.parameters(), 0.1) > 0.1
    sharded.clip_gradients(0.1)
    assert_same_gradients(sharded.network, alone, full_tensor)
    if adapted:
        assert sum(p.grad is not None for p in alone.encoder.parameters()) == 2 * 4 * 3
    with sharded.full_weights() as network:
        assert not ranks.is_main or same_weights(network, alone)


def local_size(parameter: torch.nn.Parameter) -> int:
    return (parameter.to_local() if hasattr(parameter, "to_local") else parameter).numel()


def batch(lengths: list[int], seed: int):
    from crosstune.modeling.features import Batch

    drawn = torch.Generator().manual_seed(seed)
    ids = torch.randint(10, 200, (sum(lengths),), generator=drawn)
    labels = torch.randint(0, 3, (sum(lengths),), generator=drawn)
    positions = torch.cat([torch.arange(length) for length in lengths])
    return Batch(ids, torch.zeros_like(ids), positions, tuple(lengths), (1,) * len(lengths), {"tags": labels})


def assert_same_gradients(network, alone, full_tensor) -> None:
    gradients = [(p.grad, other.grad) for p, other in zip(network.parameters(), alone.parameters(), strict=True)]
    assert all((found is None) == (expected is None) for found, expected in gradients)
    found, expected = zip(*((full_tensor(one), other) for one, other in gradients if other is not None), strict=True)
    assert relative_difference(found, expected) < ROUNDING


if __name__ == "__main__":
    if started_by_launcher(os.environ):
        ranks = Ranks.of_process(sharded=True)
        for encoder in ENCODERS:
            compare(ranks, encoder)
        compare(ranks, "Bert", adapted=True)
    else:
        launch(2)
