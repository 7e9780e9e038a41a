"""Studies: expansion, specs, and every mistake that can be known before a job starts."""

import json
import re

import pytest
import yaml
from helpers.study_config import ROOT, STUDY, study

from crosstune.core.errors import UserError
from crosstune.core.files import write_json
from crosstune.study.build import build_study
from crosstune.study.checks import longest_sequence
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.encodings import encodings
from crosstune.study.graph import Study
from crosstune.study.plan import plan_of
from crosstune.study.retention import RetentionPolicy
from crosstune.study.specs import config_affecting_results, plan_config, predict_spec
from crosstune.study.summary import summary
from crosstune.study.targets import score_files


def summary_lines(found: Study) -> list[str]:
    """The summary of a study before it runs."""
    return summary(found, RetentionPolicy(found))


POS = {
    "sources": "worldpos", "budget": {"updates": 60, "tokens": 512}, "evaluate": {"worldpos": ["qen"]},
    "schedules": {"english": ["qen"], "raw": [{"train": "qen", "lr": 1e-9}]},
}  # fmt: skip


def test_an_average_names_the_panels_of_its_tasks():
    tasks = {"other": "pos/worldpos", "xquad": "qa/worldqa", "udpos": {"panel": "pos/worldpos", "schedule": "raw"}}
    found = study(tracks__pos=POS, averages={"xtreme-r": tasks})
    assert plan_of(found)["averages"] == {
        "xtreme-r": [
            {"task": "udpos", "track": "pos", "dataset": "worldpos", "schedule": "raw"},
            {"task": "xquad", "track": "qa", "dataset": "worldqa"},
            {"task": "other", "track": "pos", "dataset": "worldpos"},
        ]
    }
    assert plan_of(study())["averages"] == {}


@pytest.mark.parametrize(
    ("entry", "place", "message"),
    [
        ("nli/worldqa", "averages.mine.task", "unknown track 'nli'"),
        ("qa/xquad", "averages.mine.task", "the track 'qa' does not evaluate 'xquad'"),
        ("qa", "averages.mine.task", "is not allowed|does not fit"),
        ({"panel": "qa/worldqa", "schedule": "raw"}, "averages.mine.task.schedule", "has no schedule 'raw'"),
        ({"schedule": "english"}, "averages.mine.task", "expected exactly one|is missing|does not fit"),
    ],
)
def test_mistakes_in_an_average(entry, place, message):
    with pytest.raises(UserError, match=message) as caught:
        study(averages={"mine": {"task": entry}})
    assert caught.value.where == place


NEW_LANGUAGE = {
    "task": "qa", "title": "t", "licence": "l", "reader": "squad", "source": {"files": "{mine}/{lang}.json"},
    "languages": ["zz"], "splits": {"test": {}},
}  # fmt: skip


def test_a_language_that_the_registry_lacks_is_described_in_the_study():
    changes = {"datasets": {"mine": NEW_LANGUAGE}, "folders": {"mine": "."}, "tracks__qa__evaluate": {"mine": "all"}}
    with pytest.raises(UserError, match="the language 'zz' is neither here nor in the registry") as caught:
        study(**changes)
    line = yaml.safe_load(caught.value.fix.partition("\n")[2].replace("...", "Zed"))["languages"]
    assert line == {"zz": {"name": "Zed", "family": "Zed", "script": "Latn", "resource": "low"}}
    found = study(**changes, languages=line | {"qen": {"resource": "low"}})
    assert plan_of(found)["languages"]["zz"] == line["zz"]
    assert plan_of(found)["languages"]["qen"]["resource"] == "low", "in place of the registry's"
    assert found.languages["zz"].genus == "Zed"
    with pytest.raises(UserError, match="a language that the registry lacks needs family, script") as caught:
        study(**changes, languages={"zz": {"name": "Zed"}})
    assert (caught.value.where, caught.value.fix.partition(",")[0]) == ("languages.zz", "zz: {name: Zed")


@pytest.mark.parametrize(
    ("language", "says"),
    [({"script": "latin"}, "script"), ({"resource": "medium"}, "resource"), ({"fam": "x"}, "Did you mean family")],
)
def test_a_mistake_in_a_language_is_told(language, says):
    with pytest.raises(UserError, match=says) as caught:
        study(languages={"zz": language})
    assert caught.value.where.startswith("languages.zz")


def test_the_metric_belongs_to_the_data_set():
    found = study(folders={"bundle": "."}, tracks__qa__evaluate={"worldqa": ["qen"], "mlqa": ["hi"], "xquad": ["hi"]})
    track = plan_of(found)["tracks"]["qa"]
    assert track["metrics"] == {"worldqa": "qa", "mlqa": "mlqa", "xquad": "qa"}
    assert track["xtreme"] == {"mlqa": "mlqa", "xquad": "xquad"}


OWN = {
    "task": "qa", "title": "mine", "licence": "mine", "reader": "squad", "source": {"files": "{lang}.json"},
    "languages": ["ro"], "splits": {"test": {}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"metric": "mlqa"}, "the metric MLQA F1 does not know 'ro'"),
        ({"xtreme": "mlqa"}, "mine is XTREME-R's mlqa, which is scored by mlqa, not qa"),
        ({"xtreme": "xnli"}, "mine is XTREME-R's xnli, which is scored by classification, not qa"),
    ],
)
def test_a_data_set_that_cannot_be_scored_is_told_before_any_job(keys, message):
    with pytest.raises(UserError, match=message) as caught:
        study(datasets={"mine": OWN | keys}, tracks__qa__evaluate={"worldqa": ["qen"], "mine": "all"})
    assert caught.value.where == "tracks.qa.evaluate.mine"


def test_without_a_headline_the_first_data_set_is_reported_by_its_own_metric():
    assert plan_of(study())["primary"] == {"track": "qa", "dataset": "worldqa", "metric": "f1"}


def test_checkpoints_form_a_tree():
    found = study()
    home = "results/test/tiny/seed1/qa"
    stage = found.checkpoints[f"{home}/worldqa.qen@20/worldqa.qes@20"]
    assert stage.parents == (f"{home}/worldqa.qen@20",)
    assert found.checkpoints[f"{home}/worldqa.qen@20"].parents == ("results/test/tiny/base",)
    assert stage.data == ("data/worldqa/train.qes.json",)
    assert f"{home}/untrained" in found.checkpoints


def test_a_spec_holds_what_affects_the_result_and_not_its_place():
    found = study()
    specs = [json.dumps(node.spec) for node in found.checkpoints.values()]
    assert not any("results/" in spec for spec in specs)
    first = found.checkpoints["results/test/tiny/seed1/qa/worldqa.qen@60"].spec
    assert first["seed"] == 1
    assert first["recipe"]["lr"] == 1e-3
    assert first["recipe"]["weight_decay"] == 0.01


def test_reordered_keys_give_the_same_specs():
    reordered = dict(reversed(STUDY.items()))
    one, two = build_study(STUDY, ROOT), build_study(reordered, ROOT)
    assert {path: node.spec for path, node in one.checkpoints.items()} == {
        path: node.spec for path, node in two.checkpoints.items()
    }


def test_the_plan_follows_the_order_of_the_config():
    """Through the JSON that the rule hands on. Other keys are sorted: their order must not rerun the rule."""
    schedules = STUDY["tracks"]["qa"]["schedules"]
    backwards = dict(reversed(schedules.items()))
    plans = []
    for order in (schedules, backwards):
        config = study(tracks__qa__schedules=order).config
        plans.append(plan_of(build_study(json.loads(plan_config(config)), ROOT)))
    names = [plan["tracks"]["qa"]["schedules"][1:] for plan in plans]  # after the untrained model
    assert names[0] == [*schedules] != names[1] == [*backwards]
    config = study().config
    assert plan_config(config) == plan_config(dict(reversed(config.items())))


def test_the_plan_names_invented_languages():
    languages = plan_of(study())["languages"]
    assert languages["qen"]["synthetic"] is True
    assert "synthetic" not in plan_of(study(low_resource=[]))["languages"].get("en", {})


def test_a_change_reaches_all_stages_after_it():
    path = "results/test/tiny/seed1/qa/worldqa.qen@20/worldqa.qes@20"
    assert study().checkpoints[path].spec != study(tracks__qa__recipe={"lr": 2e-3}).checkpoints[path].spec
    deeper = study(models__tiny__pretrain__seed=7)
    assert study().checkpoints[path].spec["parent"] != deeper.checkpoints[path].spec["parent"]


def test_yaml_reads_1e_5_as_text_and_it_is_taken_as_the_number():
    assert yaml.safe_load("lr: 1e-5")["lr"] == "1e-5"
    found = study(tracks__qa__recipe=yaml.safe_load("lr: 1e-5"))
    assert found.config["tracks"]["qa"]["recipe"]["lr"] == 1e-5


def test_stages_of_several_task_types_have_the_heads_they_need():
    found = study(tracks__qa__schedules={"mixed": ["worldpos.qen", "worldqa.qes"], "english": ["qen"]})
    pos = found.checkpoints["results/test/tiny/seed1/qa/worldpos.qen@30"]
    both = found.checkpoints["results/test/tiny/seed1/qa/worldpos.qen@30/worldqa.qes@30"]
    assert [head["name"] for head in pos.spec["heads"]] == ["tagging.upos"]
    assert pos.evaluate == {}
    assert "worldqa" in both.evaluate


def test_a_carried_optimizer_is_kept_by_the_stage_before():
    found = study(tracks__qa__schedules={"carry": ["qen", {"train": "qes", "optimizer": "carry"}]})
    assert found.checkpoints["results/test/tiny/seed1/qa/worldqa.qen@30"].keep_optimizer
    assert not found.checkpoints["results/test/tiny/base"].keep_optimizer


def test_the_summary_says_what_is_matched():
    text = "\n".join(summary_lines(study()))
    assert "compute-matched" in text
    soup = study(tracks__qa__schedules={"a": ["qen"], "b": ["qes"], "soup": {"average": ["a", "b"]}})
    assert "soup costs 120 updates" in "\n".join(summary_lines(soup))


@pytest.mark.parametrize(
    ("changes", "place", "says"),
    [
        ({"sede": [1]}, "sede", "unknown key 'sede'\n.*Did you mean seeds"),
        ({"tracks__qa__recipe": {"learning_rate": 1}}, "tracks.qa.recipe", "unknown key 'learning_rate'"),
        ({"seeds": None}, "config", "'seeds' is missing\n(.|\n)*seeds: \\[1, 2, 3, 4, 5\\]"),
        ({"tracks__qa__budget": {"updates": 60}}, "tracks.qa.budget", "'tokens' is missing"),
        ({"seeds": [1, 2, 1]}, "seeds", "1 is given twice"),
        ({"seeds": ["one"]}, "seeds[0]", "expected a whole number, found 'one'"),
        ({"seeds": 1}, "seeds", "expected a list, found 1\n  seeds: \\[1\\]$"),
        ({"models": ["tiny"]}, "models", "expected a mapping \\(key: value\\), found \\['tiny'\\]"),
        (
            {"tracks__qa__schedules__english": "qen"},
            "tracks.qa.schedules.english",
            "expected a list or .*\n  english: \\[qen\\]$",
        ),
        ({"tracks__qa__schedules__english": "qen, qes"}, "tracks.qa.schedules.english", "english: \\[qen, qes\\]$"),
        (
            {"tracks__qa__schedules__english": ["qen, qes,qfr"]},
            "tracks.qa.schedules.english[0]",
            "a comma in the mixture(?s:.*): qen \\+ qes \\+ qfr\n  One after the other: \\[qen, qes, qfr\\]$",
        ),
        ({"tracks__qa__evaluate__worldqa": "qen"}, "tracks.qa.evaluate.worldqa", "a list or a mapping .*, found 'qen'"),
        ({"study": "\u201csmall\u201d"}, "study", 'the quotes of (?s:.*)Write straight ones:\n  "small"$'),
        ({"tracks__qa__sources": {"\u2018qen\u2019": "worldqa.qen"}}, "tracks.qa.sources", '"qen": \\.\\.\\.$'),
        ({"synthetic": {"seed": "x"}}, "synthetic.seed", "not a whole number"),
        ({"synthetic": {"qa_tset": 5}}, "synthetic", "unknown key 'qa_tset'"),
        ({"seeds": [True]}, "seeds[0]", "expected a whole number, found the truth value True"),
        ({"seeds": [1.0]}, "seeds[0]", "expected a whole number, found 1.0\n.*Write 1"),
        ({"tracks__qa__budget": {"updates": "6e1", "tokens": 512}}, "tracks.qa.budget.updates", "Write 60"),
        ({"tracks__qa__recipe": {"lr": "1e999"}}, "tracks.qa.recipe.lr", "too large"),
        ({"tracks__qa__recipe": {"lr": 10**400}}, "tracks.qa.recipe.lr", "too large"),
        (
            {"tracks__qa__encoding": {"max_length": 128}},
            "tracks.qa.encoding.stride",
            "none would overlap.*\n.*stride: 30",
        ),
        ({"tracks__qa__encoding": {"stride": 384}}, "tracks.qa.encoding.stride", "stride: 158"),
        ({"tracks__qa__schedules": {"a": {"orders": list("abcdefgh")}}}, "tracks.qa.schedules.a", "design: latin"),
        ({"study": "../x"}, "study", "'../x' is not allowed"),
        ({"study": "/tmp/x"}, "study", "not allowed"),
        ({"study": "a/b"}, "study", "not allowed"),
        ({"tracks__qa__schedules": {"../x": ["qen"]}}, "tracks.qa.schedules", "not allowed"),
        ({"tracks__qa__schedules": {"untrained": ["qen"]}}, "tracks.qa.schedules", "name of the untrained baseline"),
        ({"tracks__qa__evaluate": {"worldqa": ["../x"]}}, "tracks.qa.evaluate.worldqa", "not allowed"),
        ({"tracks__qa__evaluate": {"worldqa": ["xx"]}}, "tracks.qa.evaluate.worldqa", "has no language 'xx'"),
        ({"tracks__qa__evaluate": {"worldqb": "all"}}, "tracks.qa.evaluate.worldqb", "Did you mean 'worldqa'"),
        ({"tracks__qa__evaluate": {"worldqa": [False]}}, "tracks.qa.evaluate.worldqa", 'quotes: "no"'),
        ({"tracks__qa__sources": {False: "worldqa.qen"}}, "tracks.qa.sources", 'quotes: "no"'),
        ({"tracks__qa__schedules": {"a": ["qno"]}}, "tracks.qa.schedules.a", "has no language 'qno' in its train"),
        ({"tracks__qa__schedules": {"a": ["nope.qen"]}}, "tracks.qa.schedules.a", "unknown source 'nope.qen'"),
        ({"tracks__qa__schedules": {"a": ["qen +"]}}, "tracks.qa.schedules.a", "empty part"),
        ({"tracks__qa__schedules": {"a": []}}, "tracks.qa.schedules.a", "must not be empty"),
        ({"tracks__qa__schedules": {"a": ["qen"] * 7}}, "tracks.qa.schedules.a", "does not divide"),
        ({"tracks__qa__schedules": {"a": [{"train": "qen", "lrr": 1}]}}, "tracks.qa.schedules.a", "unknown key 'lrr'"),
        ({"tracks__qa__sources": None}, "tracks.qa.schedules.english", "names no data set"),
        ({"models__tiny": {"revision": "a" * 40}}, "models.tiny", "exactly one of"),
        ({"models__tiny": {"hub": "a/b", "revision": "refs/pr/1"}}, "models.tiny.revision", "40 hexadecimal"),
        ({"models__tiny": {"hub": "a/b", "revision": "../x"}}, "models.tiny.revision", "40 hexadecimal"),
        ({"models__tiny__sharded": True}, "models.tiny.sharded", "(?s)a sharded model needs two GPUs.*gpus: 2"),
        ({"models__tiny__pretrain__heads": 3}, "models.tiny.pretrain.heads", "do not divide"),
        ({"models__tiny__pretrain__corpus": {"worldqa": "all"}}, "models.tiny.pretrain.corpus", "not text"),
        ({"tracks__qa__evaluate": {"xquad": ["hi"]}}, "folders", "needs the folder 'bundle'"),
        (
            {"tracks__qa__encoding": {"max_length": 64}},
            "tracks.qa.encoding.max_question_length",
            "(?s)question of 64 tokens leaves no room for context in 64.*max_question_length: 30",
        ),
        ({"models__tiny__pretrain__max_length": 128}, "models.tiny.pretrain.max_length", "(?s)of 384 tok.*length: 384"),
        (
            {
                "tracks__qa__schedules": {"english": ["worldqa_sentences.qen"]},
                "tracks__qa__evaluate": {"worldlareqa": "all"},
                "tracks__qa__encoding": {"max_length": 128, "max_question_length": 400},
            },
            "models.tiny.pretrain.max_length",
            "(?s)sequences of 400 tokens.*max_length: 400",
        ),
        ({"headline": {"track": "qb", "dataset": "worldqa", "metric": "f1"}}, "headline.track", "unknown track"),
    ],
)
def test_a_mistake_gets_one_clear_message(changes, place, says):
    with pytest.raises(UserError) as caught:
        DataRequirements(study(**changes)).check_files()
    assert caught.value.where.startswith(place), str(caught.value)
    assert re.search(says, str(caught.value)), str(caught.value)


RENAMED = [
    ({"keep": "final"}, "keep: the key 'keep' is now keep_weights", "keep_weights: final"),
    ({"world": {"seed": 1}}, "world: the key 'world' is now synthetic", "synthetic: {seed: 1}"),
    ({"tracks__qa__recipe": {"lr": 1e-3, "alpha": 0.3}}, "tracks.qa.recipe.alpha: ", "sampling_alpha: 0.3"),
    ({"tracks__qa__recipe": {"contrast": 0.5}}, "tracks.qa.recipe.contrast: ", "contrastive: {weight: 0.5}"),
    ({"tracks__qa__encoding": {"question": 32}}, "tracks.qa.encoding.question: ", "max_question_length: 32"),
    (
        {"tracks__qa__schedules": {"english": ["qen"], "soup": {"average": [["qen"], [{"train": "qes", "clip": 0}]]}}},
        "tracks.qa.schedules.soup.average[1][0].clip: ", "max_grad_norm: 0",
    ),
    ({"tables": {"over": {"over": ["qa"], "rows": "schedule"}}}, "tables.over.over: ", "panels: [qa]"),
    ({"published": {"paper": {"numbers": "mucot.table2"}}}, "published.paper.numbers: ", "table: mucot.table2"),
    ({"datasets": {"mine": {"source": {"world": "qa/x"}}}}, "datasets.mine.source.world: ", "synthetic: qa/x"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message", "line"), RENAMED)
def test_a_key_of_an_earlier_version_is_refused_with_the_line_to_paste(changes, message, line):
    with pytest.raises(UserError) as caught:
        study(**changes)
    assert str(caught.value).startswith(message) and caught.value.fix == line


def test_a_missing_data_file_is_told_before_any_job(tmp_path):
    with pytest.raises(UserError, match="no such data file") as caught:
        DataRequirements(study(folders={"bundle": str(tmp_path)}, tracks__qa__evaluate={"xquad": ["hi"]})).check_files()
    assert "xquad.hi" in caught.value.where


def test_what_rows_are_trained_on_does_not_depend_on_how_they_are_computed():
    """Streams of rows and of dropout are drawn from these parts of a stage's spec alone."""

    def drawn(**changes):
        nodes = study(**changes).checkpoints.values()
        return {n.path: [n.spec[key] for key in ("seed", "after", "sources")] for n in nodes if "after" in n.spec}

    assert drawn(packing=False) == drawn(precision="bf16") == drawn(tracks__qa__recipe={"lr": 1e-4}) == drawn()
    lineage = "results/test/tiny/seed1/qa/worldqa.qen@20"
    assert drawn()[lineage] == [1, [], ["worldqa.qen"]]
    assert drawn()[f"{lineage}/worldqa.qes@20"] == [1, [["worldqa.qen"]], ["worldqa.qes"]]


def test_a_layer_for_each_model():
    models = {"a": {"hub": "h/a", "revision": "0" * 40}, "b": {"hub": "h/b", "revision": "0" * 40}}
    found = study(models=models, tracks__qa__encoding={"layer": {"a": 8, "b": 14}})
    layers = [
        predict_spec(found, f"results/test/{name}/seed1/qa/worldqa.qen@60", "worldqa")["encoding"]["layer"]
        for name in "ab"
    ]
    assert layers == [8, 14]
    stages = [node.spec for node in found.checkpoints.values() if "encoding" in node.spec]
    assert stages and not any("layer" in spec["encoding"] for spec in stages), "another layer trains nothing again"
    with pytest.raises(UserError, match=r"(?s)encoding.layer: expected a layer for each model.*layer: \{a: 8, b: 8\}"):
        study(models=models, tracks__qa__encoding={"layer": {"a": 8}})


def test_windows_longer_than_a_model_are_refused_once_its_folder_exists(tmp_path):
    for part in ("schemas", "registry"):
        (tmp_path / part).symlink_to(ROOT / part)
    config = {**STUDY, "models": {"m": {"hub": "h/a", "revision": "0" * 40}}}
    build_study(config, tmp_path)
    written = {"model_type": "xlm-roberta", "max_position_embeddings": 258, "pad_token_id": 1}
    write_json(tmp_path / f"models/h--a@{'0' * 40}/model/config.json", written)
    with pytest.raises(UserError, match=r"(?s)models\.m: .* 384 tokens, and the model has .* 256.*max_length: 256"):
        build_study(config, tmp_path)


def test_the_longest_sequence_of_a_track_is_a_question_only_in_retrieval():
    long = {"max_length": 128, "max_question_length": 100, "stride": 12}
    found = study(tracks__qa__encoding=long)
    assert longest_sequence(found, found.tracks["qa"]) == 128


def test_every_encoding_of_a_study_is_listed_once():
    found = encodings(study(seeds=[1, 2, 3]))
    assert len(found) == len({tuple(entry.names.values()) for entry in found}) == 3 + 10
    assert {entry.rows.language for entry in found if entry.rows.split == "train"} == {"qen", "qes", "qfr"}
    assert {(str(entry.folder), entry.head["name"], entry.metric) for entry in found} == {
        ("results/test/tiny/base/model", "qa", "qa")
    }


def test_what_changes_no_result_is_in_no_spec_and_not_in_the_plan():
    model = study().config["models"]["tiny"]
    other = study(keep_weights="none", models={"tiny": {**model, "gpus": 2, "sharded": True}})
    assert {path: node.spec for path, node in other.checkpoints.items()} == {
        path: node.spec for path, node in study().checkpoints.items()
    }
    assert plan_of(other) == plan_of(study()) and config_affecting_results(other.config) == config_affecting_results(
        study().config
    )
    assert config_affecting_results(other.config)["models"]["tiny"]["pretrain"] == model["pretrain"]


def test_a_plan_tells_the_disk_that_it_takes():
    """Two seeds of untrained, english, joint and sequential's three stages, and the base model; ten languages each."""
    stages = 2 * (1 + 1 + 1 + 3)
    parameters = (500 + 128) * 32 + 1 * (12 * 32 * 32 + 13 * 32)  # embeddings, and one layer
    assert summary_lines(study())[-1] == (
        f"{stages + 1} checkpoints (about {(stages + 1) * parameters * 4 / 1e9:.1f} GB of weights), "
        f"{stages * 10} files of predictions"
    )
    hub = {"hub": "a/b", "revision": "0" * 40}
    big = hub | {"parameters": 250_000_000}
    expected = f"{stages} checkpoints (about {stages}.0 GB of weights), "
    assert summary_lines(study(models={"big": big}))[-1].startswith(expected)
    unknown = summary_lines(study(models={"big": big, "other": hub}))[-1]
    assert f"about {stages}.0 GB of weights and {stages} checkpoints of models that do not state" in unknown


def test_heads_that_data_sets_share_have_the_same_labels():
    other = {
        "task": "classification", "title": "Other", "licence": "CC0-1.0", "reader": "classified", "languages": ["qes"],
        "labels": ["yes", "no"], "head": "nli", "source": {"synthetic": "nli/{lang}.{split}.tsv"},
        "splits": {"train": {}},
    }  # fmt: skip
    track = {
        "budget": {"updates": 6, "tokens": 64}, "evaluate": {"worldnli": ["qen"]},
        "schedules": {"both": ["worldnli.qen + other.qes"]},
    }  # fmt: skip
    with pytest.raises(UserError, match=r"two data sets share the head 'classification.nli' and differ"):
        study(datasets={"other": other}, tracks__nli=track)
    study(datasets={"other": other | {"head": "other"}}, tracks__nli=track)


def test_nothing_is_trained_on_what_is_only_searched():
    with pytest.raises(UserError, match="has no split 'train'"):
        study(tracks__qa__schedules={"x": ["worldtatoeba.qes"]})
    pairs = {
        "task": "bitext", "title": "Pairs", "licence": "CC0-1.0", "reader": "pairs", "languages": ["qes"],
        "source": {"synthetic": "pairs/{lang}.tsv"}, "splits": {"train": {}},
    }  # fmt: skip
    with pytest.raises(UserError, match="pairs is for evaluation: nothing can be trained on it"):
        study(datasets={"pairs": pairs}, tracks__qa__schedules={"x": ["pairs.qes"]})


def test_two_averages_that_would_share_a_folder_are_refused():
    schedules = {
        "a": {"average": [["qen"], ["qes"]]},
        "b": {"average": [["qen"], [{"train": "qes", "lr": 0.001}]]},
    }
    with pytest.raises(UserError, match="the same member names"):
        study(tracks__qa__schedules=schedules)


def test_an_average_of_checkpoints_with_other_heads_is_refused_before_any_training():
    schedules = {
        "x": ["worldpos.qen", "worldqa.qen"],
        "y": ["worldqa.qen", "worldpos.qen"],
        "mean": {"average": ["x", "y"]},
    }
    with pytest.raises(UserError, match="the members of 'mean' end with different heads"):
        study(tracks__qa__schedules=schedules)
    study(tracks__qa__schedules={**schedules, "y": ["worldpos.qes", "worldqa.qes"]})


def test_the_headline_has_a_metric_of_its_data_set():
    headline = {"track": "qa", "dataset": "worldqa", "metric": "accuracy", "single": "english"}
    with pytest.raises(UserError, match=r"headline.metric: worldqa has no metric 'accuracy'"):
        study(headline=headline)


MUCOT = {"weight": 1.0, "mode": "mucot"}


def contrasted(**options) -> dict:
    return {"joint": [{"train": "qen + qes", "contrastive": options}]}


def test_contrast_is_in_the_specs_of_its_stages_alone():
    found = study(tracks__qa__schedules={"plain": ["qen"], **contrasted(weight=1.0, layers=[1])})
    recipes = {path: node.spec["recipe"] for path, node in found.checkpoints.items() if node.spec.get("updates")}
    one, two = (next(recipe for path, recipe in recipes.items() if part in path) for part in ("qen@", "qen+qes@"))
    assert "contrastive" not in one
    assert two["contrastive"] == {"weight": 1.0, "layers": [1]}


@pytest.mark.parametrize(
    ("options", "message", "fix"),
    [
        ({"active_share": 0.2}, "active_share has no effect without a weight", "contrastive: {weight: 1.0}"),
        ({"mode": "mucot"}, "mode has no effect without a weight", "contrastive: {weight: 1.0}"),
        ({**MUCOT, "pooled_text": "context"}, "averages over all positions", "Leave"),
        ({**MUCOT, "self_pairs": True}, "every row be its own partner", "Leave"),
        ({**MUCOT, "temperature_lr": 0.1}, "at the learning rate of the model", "contrastive: {temperature_lr: 0.001}"),
        ({**MUCOT, "temperature_lr": 1e-3, "temperature": 0.1}, "from 0.07 on", "Leave temperature out"),
    ],
)
def test_mistakes_in_contrastive_options(options, message, fix):
    with pytest.raises(UserError, match=message) as caught:
        study(tracks__qa__schedules=contrasted(**options))
    assert caught.value.where.startswith("tracks.qa.schedules, worldqa.qen+qes@60")
    assert caught.value.fix.startswith(fix)


def test_keys_of_contrast_may_be_the_track_s_for_some_of_its_stages():
    recipe = {"lr": 1e-3, "contrastive": {"layers": [1]}}
    study(tracks__qa__recipe=recipe, tracks__qa__schedules={"plain": ["qen"], **contrasted(weight=1.0)})
    with pytest.raises(UserError, match="layers has no effect") as caught:
        study(tracks__qa__recipe=recipe)
    assert caught.value.where == "tracks.qa.recipe.contrastive"


def test_contrast_is_for_tasks_that_it_fits():
    track = {
        "budget": {"updates": 4, "tokens": 256}, "evaluate": {"worldpos": ["qen"]}, "sources": "worldpos",
        "schedules": {"joint": [{"train": "qen + qes", "contrastive": {"weight": 1.0, "pooled_text": "question"}}]},
    }  # fmt: skip
    with pytest.raises(UserError, match="rows of tagging have no question"):
        study(tracks__pos=track)
    with pytest.raises(UserError, match="the loss of retrieval is contrastive already"):
        study(tracks__pos={**track, "sources": "worldqa_sentences", "evaluate": {"worldlareqa": ["qen"]}})
    track["schedules"]["joint"][0]["contrastive"] |= {"pooled_text": "both", "mode": "mucot"}
    with pytest.raises(UserError, match="for question answering, not for tagging"):
        study(tracks__pos=track)


def test_an_average_of_one_with_a_learned_temperature_and_one_without_is_refused():
    learned = {"train": "qen", "contrastive": {"weight": 1.0, "temperature_lr": 0.01}}
    with pytest.raises(UserError, match="no mean"):
        study(tracks__qa__schedules={"mean": {"average": [[learned], ["qes"]]}})


def test_a_track_can_score_what_its_schedules_end_with_alone():
    every, final = study(), study(tracks__qa__score="final")
    runs = [run for run in final.runs if run.schedule.name == "sequential"]
    assert all([bool(final.checkpoints[path].evaluate) for path in run.stages] == [False, False, True] for run in runs)
    assert len(score_files(every)) - len(score_files(final)) == 2 * 2, "two stages on the way, two seeds"
    planned = next(run for run in plan_of(final)["runs"] if run["schedule"] == "sequential")
    assert planned["evaluated"] == [[], [], ["worldqa"]]


def test_a_data_set_can_be_scored_after_other_stages_than_the_rest():
    evaluate = {"worldqa": "all", "worldmlqa": {"languages": ["qen"], "score": "final"}}
    planned = next(run for run in plan_of(study(tracks__qa__evaluate=evaluate))["runs"] if len(run["stages"]) == 3)
    assert planned["evaluated"] == [["worldqa"], ["worldqa"], ["worldmlqa", "worldqa"]]
    evaluate["worldqa"], evaluate["worldmlqa"]["score"] = "all", "all"
    every = study(tracks__qa__evaluate=evaluate, tracks__qa__score="final")
    planned = next(run for run in plan_of(every)["runs"] if len(run["stages"]) == 3)
    assert [set(names) for names in planned["evaluated"]] == [{"worldmlqa"}, {"worldmlqa"}, {"worldqa", "worldmlqa"}]
