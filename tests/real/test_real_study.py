"""Real files through the whole pipeline, cut down to what two cores do in a few minutes."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(bundle, new_project, snakemake):
    """Run snakemake on a study of studies/ with the real data; its config, its folder and what was printed."""

    def run(name: str, *options: str) -> tuple[dict, Path, str]:
        folder = new_project(name)
        config = yaml.safe_load((ROOT / f"studies/{name}.yaml").read_text())
        config["folders"]["bundle"] = str(bundle)
        (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        return config, folder, snakemake(folder, *options, "--configfile", "study.yaml").stdout

    return run


def test_real_questions_and_treebanks_run_through(run):
    _, folder, _ = run("real-smoke", "--cores", "2")
    results = folder / "results/real-smoke"
    stage = results / "small/seed1/pos/ud.en+es+fr@200"
    scores = json.loads((stage / "scores/ud.json").read_text())["languages"]
    floor = json.loads((results / "baselines/ud.json").read_text())["baselines"]["majority"]
    assert set(scores) == {"en", "gl", "ta", "zh"}
    assert scores["en"]["accuracy"] > floor["en"]["accuracy"] + 5
    exposure = json.loads((stage / "stage.json").read_text())["exposure"]
    assert all(exposure[f"ud.{language}"]["tokens"] > 0 for language in ("en", "es", "fr"))
    assert (results / "report.html").exists()
    shutil.rmtree(folder)


def test_nine_tasks_of_xtreme_r_run_through_on_real_files(run):
    config, folder, _ = run("xtreme-r-real-smoke", "--cores", "2")
    results = folder / "results/xtreme-r-real-smoke"
    for track in config["tracks"].values():
        for dataset, languages in track["evaluate"].items():
            found = [json.loads(path.read_text())["languages"] for path in results.rglob(f"scores/{dataset}.json")]
            assert len(found) > 1, f"{dataset}: the untrained head's, and those of every stage"
            wanted = {"ko", "sw"} if languages == "all" else set(languages)
            assert all(set(scores) == wanted for scores in found), dataset
    # Even this model tags better than chance.
    tagged = json.loads((results / "small/seed1/pos/udpos_xtreme.en+es@60/scores/udpos_xtreme.json").read_text())
    assert tagged["languages"]["en"]["accuracy"] > 25
    page = (results / "tables/average.xtreme-r.md").read_text()
    assert "over 9 tasks" in page and "it is without mewslix." in page
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in page.splitlines() if line.startswith("| ")}
    assert "n/a" not in "".join(rows["joint"]) and len(rows["joint"]) == 9 + 2, "a number for every task, and the means"
    lacking = "; ".join(f"{task} (not evaluated)" for task in ("udpos", "panx", "lareqa"))
    assert [cell.strip() for cell in rows[f"sequential [lacks {lacking}]"][-2:]] == ["n/a", "n/a"]
    shutil.rmtree(folder)


def test_the_plan_of_a_paper_shares_its_prefixes(run, jobs):
    found = jobs(run("full-size", "-n")[2])
    runs = 3 * 5 * 2  # models x seeds x tracks
    # Five schedules of one stage; sequential and reversed of three; replayed adds two to sequential's first, between
    # two; of merged's three parts only Spanish is new. And the untrained head.
    assert found["train"] == runs * (5 + 3 + 3 + 2 + 2 + 1 + 1)
    assert found["average"] == runs
    assert found["predict"] == runs // 2 * (3 + 1), "training jobs predict, averages do not"
    assert found["fetch_model"] == 3
    assert found["install_predictions"] + found["predict"] == found["score"] == runs // 2 * 18 * (3 + 1)
