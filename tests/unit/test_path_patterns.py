"""The pattern of several paths matches these and no others."""

import re
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from crosstune.core.files import paths_regex

PATHS = ["a/b@1", "a/b@1/c+d~lr=0.1", "a/b@1/c", "x", "a.b"]


def test_a_pattern_of_paths_matches_them_alone():
    pattern = re.compile(f"(?P<path>{paths_regex(PATHS)})/predictions")
    others = ["a", "a/b", "a/b@1/c+d", "a/b@1/", "axb", "a/b@1/c/c", ""]
    assert [path for path in PATHS + others if pattern.fullmatch(f"{path}/predictions")] == PATHS


def test_a_pattern_of_no_paths_matches_nothing():
    assert not re.search(paths_regex([]), "")


@given(st.sets(st.lists(st.sampled_from(["a", "b", "c+", "d.e"]), min_size=1, max_size=4).map("/".join)))
def test_a_pattern_of_any_paths_matches_them_alone(paths):
    pattern = re.compile(paths_regex(sorted(paths)))
    every = {"/".join(parts) for size in range(1, 5) for parts in product(["a", "b", "c+", "d.e"], repeat=size)}
    assert {path for path in every if pattern.fullmatch(path)} == paths


def test_folders_that_hold_the_same_share_their_branch():
    """Or the pattern grows with every stage of every seed, and reading it again and again with its square."""
    stages = [f"qa/worldqa.qen@{updates}" for updates in range(50)]
    one, many = ([f"seed{n}/{stage}" for n in range(seeds) for stage in stages] for seeds in (1, 100))
    assert len(paths_regex(many)) < len(paths_regex(one)) + 100 * len("seed99/|")
