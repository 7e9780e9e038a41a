"""What publishers say of the rows of their data, held against the real files."""

from pathlib import Path

import pytest

from crosstune.analysis.results import StudyResults
from crosstune.artifacts.claim import COUNT
from crosstune.data.prepare import prepare
from crosstune.data.registry import load_registry
from crosstune.reporting.tables.claims import claim_results
from crosstune.study.claims import load_claims

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("claim", "dataset"),
    [("xcopa.test", "xcopa"), ("mlqa.validation-as-test", "mlqa"), ("tydiqa.train", "tydiqa"), ("xquad", "xquad")],
)
def test_the_rows_of_the_real_files_are_those_that_are_claimed(bundle, tmp_path, claim, dataset):
    registry = load_registry(ROOT / "registry")
    file = load_claims(ROOT, "datasets", "claims[0]", registry)
    said = file.content["counts"][claim]
    for lang in said["rows"]:
        out = tmp_path / f"data/{dataset}/{said['split']}.{lang}.jsonl"
        prepare(registry[dataset], said["split"], lang, {"bundle": bundle}, tmp_path, out)
    about = {"value": sum(said["rows"].values()), "rows": said["rows"], "split": said["split"], "dataset": dataset}
    entry = file.statement(COUNT, claim, said).entry() | about
    (result,) = claim_results(StudyResults({"claims": [entry]}, {}, {}), tmp_path / "results/small")
    assert (result.verdict, result.remark, len(result.files)) == ("reproduced", "", len(said["rows"]))
    entry["rows"] = {**said["rows"], next(iter(said["rows"])): 1}
    (result,) = claim_results(StudyResults({"claims": [entry]}, {}, {}), tmp_path / "results/small")
    assert result.verdict == "contradicted"
