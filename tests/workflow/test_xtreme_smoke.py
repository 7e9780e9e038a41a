"""All ten tasks of XTREME-R run through, from their file formats to the average over tasks and the submission."""

import csv
import json
from pathlib import Path

import pytest

from crosstune.data.synthetic import TASK_LANGUAGES

STUDY = "studies/xtreme-r-smoke.yaml"
TASKS = {
    "xnli": "worldnli", "xcopa": "worldcopa", "udpos": "worldpos", "panx": "worldner", "xquad": "worldqa",
    "mlqa": "worldmlqa", "tydiqa": "worldtydiqa", "tatoeba": "worldtatoeba", "mewslix": "worldmewslix",
    "lareqa": "worldlareqa",
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(new_project, snakemake) -> Path:
    folder = new_project("xtreme")
    snakemake(folder, "--cores", "2", "--configfile", STUDY)
    return folder / "results/xtreme-r-smoke"


def scores(finished: Path) -> dict[str, dict[str, dict]]:
    """Scores by data set and stage."""
    found: dict[str, dict[str, dict]] = {}
    for path in finished.glob("tiny/**/scores/*.json"):
        content = json.loads(path.read_text())
        found.setdefault(content["dataset"], {})[str(path.parents[1])] = content
    return found


def test_every_task_is_scored_in_every_language(finished):
    found = scores(finished)
    assert set(found) == set(TASKS.values())
    for dataset, stages in found.items():
        for stage, content in stages.items():
            expected = set(TASK_LANGUAGES) if dataset == "worldmewslix" else {"qen", "qes", "qka"}
            assert set(content["languages"]) == expected - ({"qen"} if dataset == "worldtatoeba" else set()), stage
            assert all(language["n"] >= 10 for language in content["languages"].values()), stage


def test_the_average_is_that_of_ten_tasks(finished):
    rows = {row["row"]: row for row in csv.DictReader((finished / "tables/average.xtreme-r.csv").open())}
    assert set(rows) == {"untrained", "english", "joint"}
    assert [rows[name]["missing"] for name in ("untrained", "english")] == ["0", "0"]
    assert int(rows["joint"]["missing"]) > 0 and not rows["joint"]["average_mean"], "only question answering has it"
    english = {task: float(rows["english"][f"{task}_mean"]) for task in TASKS}
    assert float(rows["english"]["average_mean"]) == pytest.approx(sum(english.values()) / 10, abs=1e-3)
    assert english["tatoeba"] == float(rows["joint"]["tatoeba_mean"]), "the raw encoder, whatever was trained"
    for task, stage, numbers in (
        ("xnli", "nli/worldnli.qen@40", ["accuracy"]),
        ("xquad", "qa/worldqa.qen@40", ["f1", "exact_match"]),
        ("tatoeba", "qa/untrained", ["accuracy"]),
        ("lareqa", "lareqa/worldqa_sentences.qen@40", ["map20"]),
    ):
        path = finished / "tiny/seed1" / stage / "scores" / f"{TASKS[task]}.json"
        languages = json.loads(path.read_text())["languages"].values()
        values = [sum(language[number] for number in numbers) / len(numbers) for language in languages]
        assert english[task] == pytest.approx(sum(values) / len(values), abs=1e-3), task


def test_questions_are_ranked_against_all_languages(finished):
    folder = finished / "tiny/seed1/lareqa/worldqa_sentences.qen@40/predictions/worldlareqa"
    rows = [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]
    for key in ("gold", "prediction"):
        assert {candidate.split("_")[0] for row in rows for candidate in row[key]} == {"qen", "qes", "qka"}, key
    assert all(len(row["prediction"]) == 20 and len(row["gold"]) >= 3 for row in rows)
