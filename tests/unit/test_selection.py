"""Which moment of a training is kept."""

import torch

from crosstune.training.model_selection import Selection


def looks(scores, every=2):
    """A selection that has looked at a network whose only weight is the number of the look."""
    found = iter(scores)
    selection = Selection(every, "f1", lambda update: {"validation": next(found)})
    network = torch.nn.Linear(1, 1, bias=False)
    for number in range(1, len(scores) + 1):
        torch.nn.init.constant_(network.weight, number)
        selection.look(number * every, network)
    return selection


def both(hi, ta):
    return {"hi": {"f1": hi}, "ta": {"f1": ta}}


def test_the_best_mean_over_languages_is_kept():
    selection = looks([both(10, 30), both(50, 10), both(0, 40)])  # 20, 30, 20
    assert selection.best["weight"].item() == 2 and selection.update == 4
    assert [look["score"] for look in selection.looks] == [20, 30, 20]


def test_of_equal_looks_the_latest_is_kept():
    selection = looks([both(10, 30), both(30, 10), both(0, 0)])
    assert selection.best["weight"].item() == 2 and selection.update == 4


def test_it_looks_in_step_and_at_the_end():
    selection = Selection(3, "f1", dict)
    assert [update for update in range(1, 9) if selection.wanted(update, 8)] == [3, 6, 8]


def test_what_is_saved_goes_on():
    first = looks([both(10, 30), both(50, 10)])
    second = Selection(2, "f1", lambda update: {"validation": both(0, 0)})
    second.load({**first.tensors(), "weights.x": torch.ones(1)}, first.looks)
    second.look(6, torch.nn.Linear(1, 1, bias=False))
    assert second.update == 4 and second.best["weight"].item() == 2
