"""Real files through the whole pipeline, cut down to what two cores do in a few minutes."""

import json
import shutil
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_real_questions_and_treebanks_run_through(bundle, new_project, snakemake):
    folder = new_project("real")
    config = yaml.safe_load((ROOT / "studies/real-smoke.yaml").read_text())
    config["folders"]["bundle"] = str(bundle)
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    snakemake(folder, "--cores", "2", "--configfile", "study.yaml")
    results = folder / "results/real-smoke"
    stage = results / "small/seed1/pos/ud.en+es+fr@200"
    scores = json.loads((stage / "scores/ud.json").read_text())["languages"]
    floor = json.loads((results / "floor/ud.json").read_text())["baselines"]["majority"]
    assert set(scores) == {"en", "gl", "ta", "zh"}
    assert scores["en"]["accuracy"] > floor["en"]["accuracy"] + 5
    exposure = json.loads((stage / "stage.json").read_text())["exposure"]
    assert all(exposure[f"ud.{language}"]["tokens"] > 0 for language in ("en", "es", "fr"))
    assert (results / "report.html").exists()
    shutil.rmtree(folder)


def test_the_plan_of_a_paper_shares_its_prefixes(bundle, new_project, snakemake, jobs):
    folder = new_project("plan")
    config = yaml.safe_load((ROOT / "studies/full-size.yaml").read_text())
    config["folders"]["bundle"] = str(bundle)
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    found = jobs(snakemake(folder, "-n", "--configfile", "study.yaml").stdout)
    runs = 3 * 5 * 2  # models x seeds x tracks
    # Five schedules of one stage; sequential and reversed of three; replayed adds two to sequential's first, between
    # two; of merged's three parts only Spanish is new. And the untrained head.
    assert found["train"] == runs * (5 + 3 + 3 + 2 + 2 + 1 + 1)
    assert found["average"] == runs
    assert found["fetch_model"] == 3
    assert found["predict"] == found["score"] == runs // 2 * 18 * (3 + 1)
