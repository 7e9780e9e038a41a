"""MuCoT's table, cut down: the plan of the whole, and one that runs in two minutes."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def chaii(tmp_path) -> Path:
    """A folder with a file like ChAII's: as many rows, invented, with the same columns."""
    with open(tmp_path / "train.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "context", "question", "answer_text", "answer_start", "language"])
        for language, count in (("hindi", 746), ("tamil", 368)):
            for n in range(count):
                table.writerow([f"{language[0]}{n}", f"text {n // 2} is\nhere", "?", "text", 0, language])
    return tmp_path


def test_the_whole_plan_trains_squad_once_a_seed(new_project, snakemake, jobs, chaii):
    folder = new_project("mucot")
    config = yaml.safe_load((ROOT / "studies/mucot.yaml").read_text())
    config["folders"]["chaii"] = str(chaii)
    config["models"] = {"mbert": config["models"]["mbert"]}
    config["tracks"].pop("compat")
    config["published"].pop("table2-compat")
    config["allow_leakage"] = []
    config["seeds"] = [1, 2]
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    done = snakemake(folder, "-n", "--quiet", "host", "--configfile", "study.yaml")
    trained = [line.split("train ")[1] for line in done.stdout.splitlines() if ": train results/" in line]
    squad = [path for path in trained if path.endswith("/squad_full.en@8200")]
    assert sorted(squad) == [f"results/mucot/mbert/seed{seed}/qa/squad_full.en@8200" for seed in (1, 2)]
    # Beside them, for each seed, the untrained heads and eight rows in five folds.
    assert jobs(done.stdout)["train"] == len(trained) == 2 * (1 + 1 + 8 * 5)
    assert jobs(done.stdout)["translate"] == 8  # from two languages into four
    shutil.rmtree(folder)


def fewer_folds(folder: Path) -> None:
    """Split worldchaii in three, the fewest of which each has rows to train on, to validate and to test."""
    records = folder / "registry/world.yaml"
    text = records.read_text()
    assert text.count("folds: {number: 5, by: context}") == 1
    records.write_text(text.replace("folds: {number: 5,", "folds: {number: 3,"))


def small_table() -> dict:
    config = yaml.safe_load((ROOT / "studies/mucot-world.yaml").read_text())
    config |= {"seeds": [1, 2], "synthetic": {"chaii_qhi": 60, "chaii_qta": 36, "text_high": 300, "text_low": 100}}
    config["datasets"] = {}
    pretrain = config["models"]["tiny"]["pretrain"]
    pretrain |= {
        "hidden": 32,
        "layers": 1,
        "heads": 2,
        "vocabulary": 700,
        "corpus": {"worldtext": ["qen"], "worldtext_mucot": "all"},
    }
    pretrain["budget"] = {"updates": 20, "tokens": 1024}
    track = config["tracks"]["qa"]
    track["budget"]["updates"] = 12
    track["select"] = {"dataset": "worldchaii", "every": 3, "log_test_scores": True}
    squad = {"train": "worldqa.qen", "updates": 4}
    everything = "qhi + qta + worldchaii_mt.qml + worldchaii_mt.qmr"
    track["schedules"] = {
        "squad": [squad, "qhi + qta"],
        "all": [squad, everything],
        "all-contrastive": [squad, {"train": everything, "contrastive": {"weight": 0.1}}],
    }
    entry = config["published"]["table2"]
    entry["rows"] = {name: name for name in track["schedules"]}
    entry["differences"] = [["all-contrastive", "all"]]
    config["published"]["original"] = {**entry, "protocol": "mucot"}
    return config


def test_a_small_table_runs_through(new_project, snakemake):
    folder = new_project("mucot-small")
    fewer_folds(folder)
    config = small_table()
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    snakemake(folder, "--cores", "2", "--configfile", "study.yaml")
    results = folder / "results/mucot-world"

    stages = sorted(results.glob("tiny/seed*/qa/worldqa.qen@4"))
    assert len(stages) == 2, "one a seed, whatever the fold"
    last = stages[0] / "worldchaii-fold2.qhi+qta+worldchaii_mt-fold2.qml+qmr@8~contrast=0.1"
    manifest = json.loads((last / "stage.json").read_text())
    looks = manifest["selection"]["looks"]
    assert [look["update"] for look in looks] == [3, 6, 8] and set(looks[0]["scores"]) == {"validation", "test"}
    best = max(looks, key=lambda look: (look["score"], look["update"]))
    assert manifest["selection"]["update"] == best["update"]
    # The checkpoint is the one of the best look: scored by its own job it gives the same numbers.
    scores = json.loads((last / "scores/worldchaii-fold2.json").read_text())["languages"]
    assert scores == best["scores"]["test"]
    assert any("contrast" in line for line in (last / "train.jsonl").read_text().splitlines())

    translated = json.loads((folder / "data/translated/worldchaii_mt/train.qta-qmr.json").read_text())
    assert translated["kept"] >= 0.95 * translated["rows"] == 0.95 * 36
    table = list(csv.DictReader((results / "tables/table2.tiny.csv").open(encoding="utf-8")))
    assert {row["runs"] for row in table} == {"6"} and {row["missing"] for row in table} == {"0"}
    overall = next(row for row in table if (row["schedule"], row["column"]) == ("squad", "overall"))
    assert (overall["published"], overall["examples"]) == ("50.0000", "96")
    assert overall["low"] and float(overall["low"]) <= float(overall["ours"]) <= float(overall["high"])
    assert "which no single model has" in (results / "tables/original.tiny.md").read_text()
    page = (results / "report.html").read_text()
    assert "Comparison with published numbers" in page and "Published claims" in page

    # The constructed world answers directions alone, on its own ground: one pair of rows is here, in both tables.
    claims = {}
    for line in json.loads((results / "claims.json").read_text())["claims"]:
        claims.setdefault(line["claim"], []).append(line)
    assert len(claims) == 10 and [line["verdict"] for line in claims["mucot/table2"]] == ["not run"]
    for line in claims["mucot/contrast-gains.all"]:
        assert line["verdict"] in ("reproduced", "contradicted", "inconclusive") and line["runs"] == 6
        assert line["differs_in"] == ["data set worldchaii", "model tiny"] and len(line["files"]) == 12
        assert all((folder / path).is_file() for path in line["files"])
    assert "tables/claims.md" in {str(path.relative_to(results)) for path in results.glob("tables/*")}
    shutil.rmtree(folder)
