"""The study of real translations, cut down: Apertium's Spanish of real questions, with and without the contrast."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from crosstune.core.files import read_jsonl
from crosstune.data.readers import read_rows
from crosstune.data.registry import load_registry

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("apertium")
def test_translated_rows_are_trained_on_and_contrasted(bundle, new_project, snakemake):
    folder = new_project("translate")
    config = yaml.safe_load((ROOT / "studies/real-translate.yaml").read_text())
    config |= {"seeds": [1], "folders": {"bundle": str(bundle)}}
    write_part(bundle, folder / "part.json", 150)
    config["datasets"] = {
        "part": {
            "task": "qa", "title": "Part of SQuAD", "reader": "squad", "licence": "CC BY-SA 4.0", "languages": ["en"],
            "splits": {"train": {"source": {"files": "part.json"}}},
        },
        "part_mt": {
            "task": "qa", "title": "The same in Spanish", "licence": "CC BY-SA 4.0", "languages": ["es"],
            "splits": {"train": {"source": {"translate": "part", "from": ["en"], "by": "apertium"}}},
        },
    }  # fmt: skip
    pretrain = config["models"]["small"]["pretrain"]
    pretrain |= {"corpus": {"squad_text": "all"}, "vocabulary": 2000, "hidden": 32, "layers": 1}
    pretrain["budget"] = {"updates": 10, "tokens": 2048}
    track = config["tracks"]["qa"]
    track["budget"] = {"updates": 6, "tokens": 3072}
    track["sources"] = {"en": "part.en", "es": "part_mt.es"}
    track["schedules"] = {
        "english": ["en"],
        "translated": ["en + es"],
        "contrastive": [{"train": "en + es", "contrastive": {"weight": 0.1}}],
        "sequential": ["en", "es"],
    }
    track["evaluate"] = {"xquad": ["es", "ro", "de"]}
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    snakemake(folder, "--cores", "2", "--configfile", "study.yaml", "--config", "allow_commands=true")

    translated = json.loads((folder / "data/translated/part_mt/train.en-es.json").read_text())
    assert translated["kept"] >= 0.95 * translated["rows"] == 0.95 * 150
    rows = read_jsonl(folder / "data/part_mt/train.es.jsonl")
    assert all(row["origin"].startswith("part.en/") for row in rows)
    stage = folder / "results/real-translate/small/seed1/qa/part.en+part_mt.es@6~contrast=0.1"
    assert (
        sum(
            json.loads((stage / "stage.json").read_text())["partners"][name]["examples"]
            for name in ("part.en", "part_mt.es")
        )
        > 20
    )
    scores = json.loads((stage / "scores/xquad.json").read_text())["languages"]
    assert {lang: numbers["n"] for lang, numbers in scores.items()} == {"es": 1190, "ro": 1190, "de": 1190}
    assert (folder / "results/real-translate/report.html").exists()
    shutil.rmtree(folder)


def write_part(bundle: Path, path: Path, count: int) -> None:
    """The first questions of the real SQuAD rows, in SQuAD's format."""
    from crosstune.core.files import read_text

    (source,) = load_registry(ROOT / "registry")["squad"].pinned_source("en", "train", {"bundle": bundle})
    rows = read_rows("squad", [(str(source), read_text(source))])[:count]
    paragraphs = [
        {
            "context": row["context"],
            "qas": [
                {
                    "id": row["id"],
                    "question": row["question"],
                    "answers": [{"text": row["answers"]["text"][0], "answer_start": row["answers"]["answer_start"][0]}],
                }
            ],
        }
        for row in rows
    ]
    path.write_text(json.dumps({"data": [{"title": "part", "paragraphs": paragraphs}]}), encoding="utf-8")
