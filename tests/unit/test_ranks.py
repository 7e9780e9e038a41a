"""Ranks of schedules and their intervals."""

import pytest
from helpers.study_results import by_seed, plan, write_study

from crosstune.analysis.cells import Cell
from crosstune.analysis.ranks import Rank, rank_schedules
from crosstune.reporting.tables.ranking import rankings


def cell(*values: float) -> Cell:
    return Cell(by_seed(dict(enumerate(values, start=1))), len(values))


def test_clear_differences_give_sure_ranks():
    cells = {"a": cell(10, 10.1, 9.9), "b": cell(20, 20.2, 19.9), "c": cell(30, 30.1, 30.2)}
    assert rank_schedules(cells) == {"a": Rank(3, 3, 3), "b": Rank(2, 2, 2), "c": Rank(1, 1, 1)}


def test_noise_leaves_every_rank_open():
    cells = {"a": cell(10, 30, 20), "b": cell(21, 9, 31), "c": cell(33, 10, 20)}
    assert {(rank.low, rank.high) for rank in rank_schedules(cells).values()} == {(1, 3)}


def test_the_correction_is_for_all_pairs():
    """The differences are 1, 2, 3: t = 3.46 with 2 degrees of freedom, p = 0.074; 5, 6, 7: t = 10.4, p = 0.009.

    Three pairs need p below 0.05 / 3, one pair below 0.05.
    """
    near = {"a": cell(0, 0, 0), "b": cell(5, 6, 7)}
    assert rank_schedules(near)["b"] == Rank(1, 1, 1)
    far = near | {"c": cell(1, 2, 3)}
    assert rank_schedules(far) == {"a": Rank(3, 2, 3), "b": Rank(1, 1, 1), "c": Rank(2, 2, 3)}
    assert rank_schedules({"a": cell(0, 0, 0), "b": cell(4, 6, 8)})["b"] == Rank(1, 1, 1)
    # t = 5.2, p = 0.035: enough for one pair, too little for three.
    assert rank_schedules({"a": cell(0, 0, 0), "b": cell(4, 6, 8), "c": cell(30, -30, 2)})["b"].high == 3


def test_one_seed_decides_nothing():
    assert rank_schedules({"a": cell(1), "b": cell(99)}) == {"a": Rank(2, 1, 2), "b": Rank(1, 1, 2)}


def test_equal_means_share_a_rank_and_missing_ones_have_none():
    found = rank_schedules({"a": cell(1, 3), "b": cell(3, 1), "c": cell()})
    assert {name: rank.rank for name, rank in found.items()} == {"a": 1, "b": 1}


def test_the_summary_has_the_low_resource_means_of_all_data_sets(tmp_path):
    two = plan()
    two["tracks"]["nli"] = two["tracks"]["qa"] | {"evaluate": {"worldqa": ["qna"]}}
    two["runs"] += [run | {"track": "nli"} for run in two["runs"]]
    (ranking,) = rankings(write_study(tmp_path, two))
    assert ranking.head == ["schedule", "qa/worldqa", "nli/worldqa", "mean", "rank", "95% CI of the rank"]
    # english: qna 21, qix 6; joint: 32 and 7; sequential: 19 and 6.
    assert [row[:5] for row in ranking.rows] == [
        ["english", "13.5", "21.0", "17.2", "2"],
        ["joint", "19.5", "32.0", "25.8", "1"],
        ["sequential", "12.5", "19.0", "15.8", "3"],
    ]
    assert ranking.best == {(1, 0), (1, 1), (1, 2), (1, 3)}


def test_tracks_with_other_schedules_have_a_summary_of_their_own(tmp_path):
    two = plan()
    two["tracks"]["nli"] = two["tracks"]["qa"] | {"schedules": ["english", "joint"]}
    two["runs"] += [run | {"track": "nli"} for run in two["runs"] if run["schedule"] in ("english", "joint")]
    found = list(rankings(write_study(tmp_path, two)))
    assert [(ranking.title, len(ranking.rows)) for ranking in found] == [
        ("Ranks of the schedules, qa", 3), ("Ranks of the schedules, nli", 2)
    ]  # fmt: skip


def test_a_suite_of_diagnostics_ranks_nothing(tmp_path):
    changed = plan()
    changed["tracks"]["qa"]["metrics"]["worldqa"] = "multichecklist"
    assert list(rankings(write_study(tmp_path, changed))) == []


def test_a_schedule_without_scores_has_no_rank(tmp_path):
    changed = plan()
    changed["runs"] = [run | {"stages": ["nowhere"]} if run["schedule"] == "joint" else run for run in changed["runs"]]
    (ranking,) = rankings(write_study(tmp_path, changed))
    assert next(row for row in ranking.rows if row[0] == "joint") == ["joint", "n/a", "n/a", ""]


@pytest.mark.parametrize("schedules", [["untrained"], ["untrained", "joint"]])
def test_a_study_with_one_schedule_has_no_ranks(tmp_path, schedules):
    changed = plan()
    changed["tracks"]["qa"]["schedules"] = schedules
    changed["runs"] = [run for run in changed["runs"] if run["schedule"] in schedules]
    assert list(rankings(write_study(tmp_path, changed))) == []
