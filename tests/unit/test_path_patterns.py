"""The pattern of several paths matches these and no others."""

import re

from crosstune.files import any_of

PATHS = ["a/b@1", "a/b@1/c+d~lr=0.1", "a/b@1/c", "x", "a.b"]


def test_a_pattern_of_paths_matches_them_alone():
    pattern = re.compile(f"(?P<path>{any_of(PATHS)})/predictions")
    others = ["a", "a/b", "a/b@1/c+d", "a/b@1/", "axb", "a/b@1/c/c", ""]
    assert [path for path in PATHS + others if pattern.fullmatch(f"{path}/predictions")] == PATHS


def test_a_pattern_of_no_paths_matches_nothing():
    assert not re.search(any_of([]), "")
