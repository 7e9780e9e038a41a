"""Heads: data sets of equal task and labels share one; what no schedule trains is told before any job."""

import pytest
from helpers.study_config import study

from crosstune.core.errors import UserError
from crosstune.study.retention import RetentionPolicy
from crosstune.study.specs import predict_spec
from crosstune.study.summary import summary
from crosstune.study.targets import majority_sources

HOME = "results/test/tiny/seed1/t"
TAGS = ["O", "B-PER", "I-PER"]


def names(**keys) -> dict:
    """A record of names in the user's own files."""
    record = {
        "task": "tagging", "title": "Names", "licence": "CC0-1.0", "reader": "columns", "languages": ["qen"],
        "tags": TAGS, "source": {"synthetic": "x/{split}.tsv"}, "splits": {"train": {}, "test": {}},
    }  # fmt: skip
    return record | keys


def found(schedules: dict, evaluate: dict, **datasets):
    track = {"budget": {"updates": 12, "tokens": 64}, "schedules": schedules, "evaluate": evaluate}
    return study(datasets=datasets, tracks__t=track)


def heads(planned, path: str) -> tuple[list[str], dict[str, str]]:
    """The heads of a checkpoint, and the one that predicts each data set."""
    node = planned.checkpoints[f"{HOME}/{path}"]
    used = {dataset: predict_spec(planned, node.path, dataset)["head"] for dataset in node.evaluate}
    return [head["name"] for head in node.spec["heads"]], used


def test_equal_labels_share_a_head_without_being_told():
    planned = found({"s": ["a.qen"]}, {"b": "all"}, a=names(), b=names(tags=TAGS[::-1]))
    assert heads(planned, "a.qen@12") == (["tagging.a"], {"b": "tagging.a"})
    assert heads(planned, "untrained") == (["tagging.b"], {"b": "tagging.b"})
    assert majority_sources(planned, "b") == ["data/a/train.qen.json"], "the baseline knows the labels from there"


def test_a_named_head_and_an_unnamed_one_of_equal_labels_are_one():
    own = found({"s": ["worldner.qen"]}, {"mine": "all"}, mine=names(tags=[*TAGS, "B-ORG", "I-ORG", "B-LOC", "I-LOC"]))
    assert heads(own, "worldner.qen@12")[1] == {"mine": "tagging.wikiann"}
    nli = names(
        task="classification", reader="classified", labels=["entailment", "neutral", "contradiction"], tags=None
    )
    nli = {key: value for key, value in nli.items() if value}
    planned = found({"s": ["mine.qen"]}, {"worldnli": ["qen"]}, mine=nli)
    assert heads(planned, "mine.qen@12") == (["classification.mine"], {"worldnli": "classification.mine"})


def test_stages_on_equal_labels_train_the_head_of_the_first():
    planned = found({"s": ["b.qen", "a.qen"], "m": ["a.qen + b.qen"]}, {"a": "all", "b": "all"}, a=names(), b=names())
    both = {"a": "tagging.b", "b": "tagging.b"}
    assert heads(planned, "b.qen@6") == heads(planned, "b.qen@6/a.qen@6") == (["tagging.b"], both)
    spec = planned.checkpoints[f"{HOME}/b.qen@6/a.qen@6"].spec
    assert spec["source_heads"] == {"a.qen": "tagging.b"}
    assert heads(planned, "a.qen+b.qen@12")[0] == ["tagging.a"]


def test_heads_of_other_names_stay_apart():
    datasets = {"a": names(head="one"), "b": names(head="two")}
    planned = found({"s": ["a.qen", "b.qen"]}, {"a": "all", "b": "all"}, **datasets)
    assert heads(planned, "a.qen@6/b.qen@6") == (
        ["tagging.one", "tagging.two"],
        {"a": "tagging.one", "b": "tagging.two"},
    )


@pytest.mark.parametrize(
    ("evaluated", "message", "fix"),
    [
        (
            names(head="two"),
            "no schedule of the track trains a head for tagging with the tags B-PER I-PER O",
            "head: one",
        ),
        (names(tags=TAGS[:2]), "trains a head for tagging with the tags B-PER O", "head: one"),
        (names(tags=[*TAGS, "B-LOC"]), "with the tags B-LOC B-PER I-PER O", "Let a schedule train on it"),
        (names(tags=[*TAGS, "B-LOC"], head="one"), "b has the tags B-LOC, which the head tagging.one", "train on b"),
    ],
)
def test_an_evaluated_set_without_a_trained_head_is_told_before_any_job(evaluated, message, fix):
    with pytest.raises(UserError, match=message) as caught:
        found({"s": ["a.qen"]}, {"b": "all"}, a=names(head="one"), b=evaluated)
    assert caught.value.where == "tracks.t.evaluate.b" and fix in caught.value.fix


def test_the_line_to_paste_lets_an_evaluated_set_use_a_wider_head():
    planned = found({"s": ["a.qen"]}, {"b": "all"}, a=names(head="one"), b=names(tags=TAGS[:2], head="one"))
    assert heads(planned, "a.qen@12")[1] == {"b": "tagging.one"}


def test_a_task_that_no_schedule_trains_is_told():
    with pytest.raises(UserError, match="trains a head for qa") as caught:
        found({"s": ["worldpos.qen"]}, {"worldpos": ["qen"], "worldqa": ["qen"]})
    assert caught.value.where == "tracks.t.evaluate.worldqa"


def test_a_schedule_that_would_have_no_scores_is_told():
    with pytest.raises(UserError, match="no evaluated data set can use what it trains: qa") as caught:
        found({"s": ["worldpos.qen"], "other": ["worldqa.qen"]}, {"worldpos": ["qen"]})
    assert caught.value.where == "tracks.t.schedules.other"


def test_the_summary_names_what_a_schedule_is_not_scored_on():
    planned = found({"s": ["worldpos.qen"], "q": ["worldqa.qen"]}, {"worldpos": ["qen"], "worldqa": ["qen"]})
    lines = summary(planned, RetentionPolicy(planned))
    assert "  s trains no head for worldqa and has no scores there" in lines
    assert not any("untrained trains" in line for line in lines)
