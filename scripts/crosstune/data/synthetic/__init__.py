"""Synthetic data: facts in sixteen constructed languages, for cross-lingual experiments without network or GPU."""

from crosstune.data.synthetic.languages import CHAII_LANGUAGES, LANGUAGES, TASK_LANGUAGES, make_lexicon
from crosstune.data.synthetic.write import DEFAULT_SPEC, complete_spec, generate_files, write_files

__all__ = [
    "CHAII_LANGUAGES",
    "DEFAULT_SPEC",
    "LANGUAGES",
    "TASK_LANGUAGES",
    "complete_spec",
    "generate_files",
    "relatedness",
    "write_files",
]


def relatedness(a: str, b: str, seed: int = 0) -> float:
    """Relatedness of two languages under a seed, in [0, 1]; see Lexicon.relatedness."""
    return make_lexicon(seed).relatedness(a, b)
