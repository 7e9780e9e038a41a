"""Scores of examples with planted effects in buckets, and the files of rule buckets made from them."""

from pathlib import Path

import numpy as np

from crosstune.analysis.buckets import Bucket, BucketedLanguage, find_buckets, with_holm
from crosstune.analysis.contrasts import LanguageScores
from crosstune.core.files import write_json

ENTRY = {
    "name": "where", "a": "sequential", "b": "joint", "bins": 4, "confidence": 0.95,
    "panels": [{"track": "qa", "dataset": "worldqa", "metric": "f1"}],
}  # fmt: skip


def bucketed_language(name: str, scores: np.ndarray, buckets: dict) -> BucketedLanguage:
    """A language with scores (2, seeds, examples)."""
    keys = tuple(f"{name}{n}" for n in range(scores.shape[-1]))
    return BucketedLanguage(LanguageScores(name, name, name, 1.0, keys, scores, np.ones_like(scores)), buckets)


def draw_languages(rng, effect: float, seeds: int = 4, examples: int = 120) -> list[BucketedLanguage]:
    """Three languages with right and wrong answers, and two attributes of random buckets. `effect`: how much more often
    (0 to 1) schedule a is right in the bucket `x` of the first one."""
    languages = []
    for name in "pqr":
        first, second = (rng.choice(list(letters), examples) for letters in ("xyz", "uvw"))
        ease = rng.normal(0, 0.2, examples) + 0.5
        chance = np.stack([ease + effect * (first == "x"), ease])[:, None] + rng.normal(0, 0.03, (2, seeds, 1))
        scores = 100.0 * (rng.random((2, seeds, examples)) < chance)
        languages.append(bucketed_language(name, scores, {"one": first.tolist(), "two": second.tolist()}))
    return languages


def write_buckets(folder: Path, buckets: list[Bucket], model: str = "tiny") -> None:
    """What rule buckets writes for the page, for the comparison ENTRY."""
    write_json(folder / f"buckets/{ENTRY['name']}.{model}.json", [bucket.entry() for bucket in buckets])


def planted_buckets(effect: float, seed: int = 2) -> list[Bucket]:
    """The buckets of two attributes; only `x` of the first has an effect."""
    return with_holm(find_buckets(draw_languages(np.random.default_rng(seed), effect), ["one", "two"]))
