"""Model selection: the best update on validation rows."""

import torch

from crosstune.training.model_selection import BestCheckpoint


def evaluated(scores, every=2):
    """A selection after evaluations of a network whose only weight is the number of the evaluation."""
    found = iter(scores)
    best = BestCheckpoint(every, "f1", lambda update: {"validation": next(found)})
    network = torch.nn.Linear(1, 1, bias=False)
    for number in range(1, len(scores) + 1):
        torch.nn.init.constant_(network.weight, number)
        best.evaluate(number * every, network)
    return best


def both(hi, ta):
    return {"hi": {"f1": hi}, "ta": {"f1": ta}}


def test_the_best_mean_over_languages_wins():
    best = evaluated([both(10, 30), both(50, 10), both(0, 40)])  # 20, 30, 20
    assert best.weights["weight"].item() == 2 and best.update == 4
    assert [evaluation["score"] for evaluation in best.evaluations] == [20, 30, 20]


def test_of_equal_evaluations_the_latest_wins():
    best = evaluated([both(10, 30), both(30, 10), both(0, 0)])
    assert best.weights["weight"].item() == 2 and best.update == 4


def test_evaluations_are_due_in_step_and_at_the_end():
    best = BestCheckpoint(3, "f1", dict)
    assert [update for update in range(1, 9) if best.is_due(update, 8)] == [3, 6, 8]


def test_a_saved_selection_continues():
    first = evaluated([both(10, 30), both(50, 10)])
    second = BestCheckpoint(2, "f1", lambda update: {"validation": both(0, 0)})
    second.load_state({**first.state_tensors(), "weights.x": torch.ones(1)}, first.evaluations)
    second.evaluate(6, torch.nn.Linear(1, 1, bias=False))
    assert second.update == 4 and second.weights["weight"].item() == 2


def test_patience_ends_after_so_many_evaluations_without_a_higher_score():
    scores = [20, 30, 30, 10]
    for patience, ends in ((1, [False, False, True, True]), (2, [False, False, False, True]), (None, [False] * 4)):
        bests = [evaluated([both(score, score) for score in scores[:n]]) for n in range(1, 5)]
        for best in bests:
            best.patience = patience
        assert [best.is_exhausted for best in bests] == ends
    assert not BestCheckpoint(2, "f1", dict, patience=1).is_exhausted
