"""The config of a small study on synthetic data, for tests of planning."""

import copy
from pathlib import Path

import yaml

from crosstune.study.build import build_study
from crosstune.study.graph import Study

ROOT = Path(__file__).parents[2]

STUDY = yaml.safe_load("""
study: test
seeds: [1, 2]
models:
  tiny:
    pretrain:
      {corpus: {worldtext: all}, vocabulary: 500, hidden: 32, layers: 1, heads: 2, budget: {updates: 10, tokens: 512}}
tracks:
  qa:
    sources: worldqa
    budget: {updates: 60, tokens: 512}
    recipe: {lr: 1e-3}
    schedules:
      english: [qen]
      joint: [qen + qes + qfr]
      sequential: [qen, qes, qfr]
    evaluate: {worldqa: all}
""")


def study(**changes) -> Study:
    """The test study with other values at `__`-separated keys (None removes a key)."""
    config = copy.deepcopy(STUDY)
    for path, value in changes.items():
        *parents, last = path.split("__")
        part = config
        for key in parents:
            part = part[key]
        if value is None:
            part.pop(last, None)
        else:
            part[last] = value
    return build_study(config, ROOT)
