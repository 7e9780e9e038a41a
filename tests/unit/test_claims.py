"""Files of claims, and which numbers of a study their statements are about."""

import copy
import re
from pathlib import Path

import pytest
import yaml
from helpers.study_config import STUDY
from helpers.study_results import write_study

from crosstune.artifacts.claim import COUNT, Statement
from crosstune.core.errors import UserError
from crosstune.data.registry import load_registry
from crosstune.reporting.tables.claims import claim_results
from crosstune.study.build import build_study
from crosstune.study.claims import load_claims
from crosstune.study.plan import plan_of

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.stem for path in (ROOT / "claims").glob("*.yaml"))
MBERT = "google-bert/bert-base-multilingual-cased"
VERIFIED = {"where": "Table 1", "says": "So it is.", "verified": True, "how": "read"}
NUMBER = VERIFIED | {
    "value": 40, "tolerance": 1, "model": MBERT, "panel": "qa/worldqa", "schedule": "english", "metric": "f1",
}  # fmt: skip
DIRECTION = VERIFIED | {"panel": "qa/worldqa", "better": "joint", "than": "english"}
COUNTED = VERIFIED | {"datasets": ["xquad"], "split": "test", "rows": {"hi": 1190}}
TABLE = {
    "says": "The table.", "where": "Table 2", "numbers": "mucot.table2", "tolerance": {"hi": 5}, "model": MBERT,
    "datasets": ["chaii"],
}  # fmt: skip
ROWS = VERIFIED | {"numbers": "mucot.table2", "column": "hi", "better": "squad", "than": "nothing"}


@pytest.fixture
def project(tmp_path) -> Path:
    """A folder with this project's schemas, registry and published numbers, and no claims yet."""
    for name in ("schemas", "registry", "published"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "claims").mkdir()
    return tmp_path


def match(project: Path, content: dict, **changes) -> list[Statement]:
    """The statements of a file of claims about the planned study, with keys changed; `mbert` is a model of it."""
    (project / "claims/paper.yaml").write_text(yaml.safe_dump({"paper": "A paper", **content}, sort_keys=False))
    config = copy.deepcopy(STUDY) | {"claims": ["paper"]} | changes
    config["models"] = {**config["models"], "mbert": {"hub": MBERT, "revision": "0" * 40}}
    return [Statement(**entry) for entry in plan_of(build_study(config, project))["claims"]]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_claims_are_valid_and_their_sources_exist(name):
    file = load_claims(ROOT, name, "claims[0]", load_registry(ROOT / "registry"))
    assert sum(len(file.content[section]) for section in ("tables", "numbers", "directions", "counts"))


@pytest.mark.parametrize("path", ["config.yaml", *(f"studies/{name}.yaml" for name in ("mucot", "mucot-world"))])
def test_shipped_studies_are_compared_with_their_claims(path):
    config = yaml.safe_load((ROOT / path).read_text())
    found = [Statement(**entry) for entry in plan_of(build_study(config, ROOT))["claims"]]
    assert {statement.claim.partition("/")[0] for statement in found} == set(config["claims"])
    assert any(not statement.not_run for statement in found)


def test_xtreme_r_is_held_against_its_baselines():
    config = yaml.safe_load((ROOT / "studies/xtreme-r.yaml").read_text())
    found = [Statement(**entry) for entry in plan_of(build_study(config, ROOT))["claims"]]
    held = {s.claim for s in found if not s.not_run}
    # All of XTREME-R's, and of XTREME's all but the average over its own nine tasks.
    assert {s.claim for s in found if s.claim.startswith("xtreme")} - held == {
        "xtreme/average.mbert", "xtreme/average.xlmr-large",
    }  # fmt: skip
    (ner,) = [s for s in found if s.claim == "xtreme/ner.mbert"]
    assert len(ner.languages) == 40 and (ner.model, ner.track, ner.schedule) == ("mbert", "ner", "english")
    (gain,) = [s for s in found if s.claim == "phang2020/tydiqa-gain"]
    assert gain.not_run == "the track tydiqa has no schedule intermediate, only untrained, english, joint, sequential"


def test_the_registry_has_the_rows_that_publishers_state(project):
    """Every count, of every record that is named as a copy, whether a study uses it or not."""
    registry = load_registry(ROOT / "registry")
    counts = load_claims(ROOT, "datasets", "claims[0]", registry).content["counts"]
    assert len(counts) > 10
    for name, claim in counts.items():
        for dataset in claim["datasets"]:
            stated = registry[dataset].splits[claim["split"]].rows
            shared = {lang: stated[lang] for lang in claim["rows"] if lang in stated}
            assert shared == {lang: claim["rows"][lang] for lang in shared}, (name, dataset)
            assert shared or dataset in ("chaii_draws",), (name, dataset)


def test_a_number_is_about_its_model_and_the_languages_of_its_test_set(project):
    (found,) = match(project, {"numbers": {"a": NUMBER}})
    assert (found.model, found.schedule, found.track, found.dataset) == ("mbert", "english", "qa", "worldqa")
    assert len(found.languages) == 10 and found.claim == "paper/a" and found.source == "A paper, Table 1"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"model": "somebody/else"}, "no model of the study is somebody/else"),
        ({"schedule": "englsh"}, "the track qa has no schedule englsh, only untrained, english, joint, sequential"),
        ({"less": "nobody"}, "the track qa has no schedule nobody, only"),
        ({"panel": "other/worldqa"}, "the study has no track other"),
        ({"panel": "qa/xquad"}, "the track qa does not evaluate xquad"),
        ({"panel": None, "average": "ten", "metric": "mean"}, "the study has no average ten"),
    ],
)
def test_statements_without_runs_in_the_study(project, changes, problem):
    claim = {key: value for key, value in (NUMBER | changes).items() if value is not None}
    (found,) = match(project, {"numbers": {"a": claim}})
    assert found.not_run.startswith(problem) and found.value == 40


def test_a_number_over_more_languages_than_are_evaluated(project):
    tracks = copy.deepcopy(STUDY["tracks"])
    tracks["qa"]["evaluate"] = {"worldqa": ["qen", "qno"]}
    all_of_them, two = NUMBER, NUMBER | {"languages": ["qno", "qen"]}
    found = match(project, {"numbers": {"all": all_of_them, "two": two}}, tracks=tracks)
    assert [bool(statement.not_run) for statement in found] == [True, False]
    assert found[0].not_run.startswith("worldqa is not evaluated in qis")


def test_an_average_over_tasks(project):
    claim = {key: value for key, value in NUMBER.items() if key != "panel"} | {"average": "one", "metric": "mean_f1"}
    averages = {"one": {"worldqa": "qa/worldqa"}}
    (found,) = match(project, {"numbers": {"a": claim}}, averages=averages)
    assert (found.average, found.metric, found.model, found.not_run) == ("one", "mean_f1", "mbert", "")
    (found,) = match(project, {"numbers": {"a": claim | {"schedule": "other"}}}, averages=averages)
    assert found.not_run == "the average one has no schedule other"


def test_a_direction_with_another_model(project):
    own, others = match(project, {"directions": {"a": DIRECTION | {"model": MBERT}}})[::-1]
    assert (own.model, own.differs_in) == ("mbert", [])
    assert (others.model, others.differs_in) == ("tiny", ["model tiny"])
    assert (own.schedule, own.relative_to, own.metric, own.languages) == ("joint", "english", "f1", "all")


def test_a_direction_of_the_headline(project):
    claim = DIRECTION | {"panel": "headline", "better": "joint", "than": "single", "languages": "low"}
    headline = {"track": "qa", "dataset": "worldqa", "metric": "exact_match", "single": "english", "joint": "joint"}
    first, _ = match(project, {"directions": {"a": claim}}, headline=headline)
    assert (first.schedule, first.relative_to, first.metric) == ("joint", "english", "exact_match")
    assert first.differs_in == ["data set worldqa"]
    (found,) = match(project, {"directions": {"a": claim | {"than": "sequential"}}}, headline=headline)
    assert found.not_run == "the study's headline names no schedule as sequential"
    (found,) = match(project, {"directions": {"a": claim}})
    assert found.not_run == "the study's headline names no schedule as joint or single"


def published(**changes):
    """The world's questions beside MuCoT's table."""
    entry = {"table": "mucot.table2", "panel": "qa/worldqa", "columns": {"hi": "qno", "ta": "qis"}}
    return {"published": {"ours": {**entry, "rows": {"nothing": "english", "squad": "joint"}, **changes}}}


def test_rows_of_a_published_table_are_the_studys_schedules(project):
    own = {"tables": {"t": TABLE | {"datasets": ["worldqa"]}}, "directions": {"d": ROWS}}
    first, second, *directions = match(project, own, **published())
    # Table 2 has 0.47 and 0.57 there; only the column hi has a tolerance.
    assert [(s.schedule, s.value, s.column, s.model) for s in (first, second)] == [
        ("english", 47.0, "hi", "mbert"), ("joint", 57.0, "hi", "mbert"),
    ]  # fmt: skip
    assert first.tolerance == 5 and first.verified and first.text == "The table. Row nothing, column hi."
    assert [(s.schedule, s.relative_to, s.model) for s in directions] == [
        ("joint", "english", "tiny"), ("joint", "english", "mbert"),
    ]  # fmt: skip
    assert directions[0].differs_in == ["data set worldqa"] and "qno" in directions[0].about


def test_a_table_is_compared_with_no_other_data(project):
    content = {"tables": {"t": TABLE}, "directions": {"d": ROWS}}
    assert [s.not_run for s in match(project, content)] == [
        "the study has no table of mucot.table2 under `published`"
    ] * 2
    found = match(project, content, **published(rows={"squad": "joint"}))
    assert [s.not_run for s in found] == ["worldqa is not the paper's data set", "published.ours has no row nothing"]


def test_rows_are_compared_with_the_data_sets_in_use(project):
    used = COUNTED | {"datasets": ["worldqa", "xquad"], "rows": {"qen": 60}}
    unused = COUNTED | {"rows": {"hi": 1190, "ar": 1190}}
    with pytest.raises(UserError, match="has no language 'qen'"):
        match(project, {"counts": {"a": used}})
    first, second = match(project, {"counts": {"a": used | {"datasets": ["worldqa"]}, "b": unused}})
    assert (first.dataset, first.rows, first.known, first.not_run) == ("worldqa", {"qen": 60}, {}, "")
    assert second.not_run == "the study does not use xquad" and second.value == 2380


def test_a_fold_counts_as_its_data_set(project):
    config = yaml.safe_load((ROOT / "studies/mucot.yaml").read_text())
    found = [Statement(**entry) for entry in plan_of(build_study(config, ROOT))["claims"]]
    rows = {s.about: s.known for s in found if s.kind == COUNT and not s.not_run}
    assert rows["chaii train"] == {"hi": 746, "ta": 368} and "chaii_draws train" in rows


def test_the_example_of_the_documentation(project):
    example = re.search(r"```yaml\n(paper:.*?)```", (ROOT / "docs/claims.md").read_text(), re.DOTALL)[1]
    headline = {"track": "qa", "dataset": "worldqa", "metric": "f1", "single": "english", "joint": "joint"}
    number, direction, *_ = match(project, yaml.safe_load(example), headline=headline)
    assert (number.claim, number.not_run) == ("paper/xnli.mbert", "the study has no track nli")
    assert (direction.schedule, direction.relative_to, direction.not_run) == ("joint", "english", "")


MISTAKES = [
    ({"numbers": {"a": {**NUMBER, "toleranse": 1}}}, "numbers.a: unknown key 'toleranse'", "Did you mean tolerance"),
    ({"numbers": {"a": {k: v for k, v in NUMBER.items() if k != "how"}}}, "numbers.a: the key 'how' is missing", ""),
    ({"numbers": {"a": {**NUMBER, "average": "x"}}}, "numbers.a: expected exactly one of: panel; average", ""),
    ({"numbers": {"a": {**NUMBER, "metric": "F1"}}}, "numbers.a.metric: unknown metric 'F1'", "There are: f1"),
    ({"numbers": {"a": {**NUMBER, "panel": "qa/worldq"}}}, "numbers.a.panel: unknown data set 'worldq'", ""),
    ({"numbers": {"a": {**NUMBER, "languages": ["hi"]}}}, "numbers.a.languages: unknown language 'hi'", "qen"),
    ({"numbers": {"a": {**NUMBER, "tolerance": -1}}}, "numbers.a.tolerance: -1 does not fit", ""),
    ({"tables": {"t": {**TABLE, "numbers": "mucot.table9"}}}, "has no table 'table9'", "table2"),
    ({"tables": {"t": {**TABLE, "tolerance": {"mr": 1}}}}, "tables.t.tolerance: unknown published column 'mr'", ""),
    ({"tables": {"t": {**TABLE, "datasets": ["chai"]}}}, "tables.t.datasets: unknown data set 'chai'", ""),
    ({"directions": {"d": {**ROWS, "than": "nobody"}}}, "directions.d.than: unknown published row 'nobody'", ""),
    ({"directions": {"d": {**ROWS, "column": "all"}}}, "directions.d.column: unknown published column 'all'", ""),
    ({"directions": {"d": {**DIRECTION, "than": "joint"}}}, "directions.d.than: 'joint' cannot be better than", ""),
    ({"directions": {"d": {**DIRECTION, "panel": "headline"}}}, "directions.d.than: unknown role 'english'", "single"),
    ({"counts": {"c": {**COUNTED, "rows": {"no": 1}}}}, "counts.c.rows: data set 'xquad' has no language", ""),
    ({"numbers": {"a": NUMBER}, "counts": {"a": COUNTED}}, "two claims have the id 'a'", ""),
    ({"verdicts": {}}, "unknown key 'verdicts'", ""),
]


@pytest.mark.parametrize(("content", "message", "fix"), MISTAKES)
def test_mistakes_in_a_file_are_errors_before_any_job(project, content, message, fix):
    with pytest.raises(UserError) as caught:
        match(project, content)
    assert message in str(caught.value) and fix in caught.value.fix
    assert "claims/paper.yaml" in caught.value.where


def test_a_misspelt_file_of_claims(project):
    (project / "claims/paper.yaml").write_text("paper: A paper\n")
    with pytest.raises(UserError, match=r"claims\[0\]: no claims 'papr'\n  There are: paper"):
        build_study(STUDY | {"claims": ["papr"]}, project)
    with pytest.raises(UserError, match="unknown key 'claim'"):
        build_study(STUDY | {"claim": ["paper"]}, project)


def test_no_yaml_at_all(project):
    (project / "claims/paper.yaml").write_text("paper: [A paper\n")
    with pytest.raises(UserError, match=r"paper\.yaml:2:1: not valid YAML"):
        build_study(STUDY | {"claims": ["paper"]}, project)


def test_a_plan_without_claims_has_an_empty_list(tmp_path):
    assert claim_results(write_study(tmp_path), tmp_path) == []
