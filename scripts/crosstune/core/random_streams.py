"""Independent random streams.

Every purpose (first weights, order of the data, masks, dropout of update 17) has its own stream, derived from the
seed and the purpose's name. So two schedules with one seed share their heads' first weights. A resumed run needs no
replay, because the stream of update n does not depend on earlier updates.
"""

import hashlib

import numpy as np

from crosstune.core.files import canonical_json


def derive(*parts: object) -> int:
    """A 63-bit seed from (seed, purpose, ...); parts must be JSON values."""
    return int.from_bytes(hashlib.sha256(canonical_json(parts).encode()).digest()[:8], "big") >> 1


def stream(*parts: object) -> np.random.Generator:
    """The generator of (seed, purpose, ...)."""
    return np.random.Generator(np.random.PCG64(derive(*parts)))
