"""docs/your-data.md from files to a report: one study that trains on the data of all its sections."""

import json

import yaml
from helpers.guides import sections

GUIDE = {section.title: section for section in sections("your-data.md")}


def test_a_study_trains_on_the_guide_s_own_data(new_project, snakemake):
    folder = new_project("own-data")
    study = dict(GUIDE["Your own data"].study)
    for section in GUIDE.values():
        section.write(folder.parent / "my-data")
        for key in ("folders", "languages", "datasets", "tracks"):
            study[key] = study.get(key, {}) | section.study.get(key, {})
    (folder / "mine.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    output = snakemake(folder, "--cores", "2", "--configfile", "mine.yaml").stdout
    results = folder / "results/mine"
    assert (results / "report.html").exists()
    scores = {(path.parents[1].name, path.stem) for path in results.rglob("scores/*.json")}
    for dataset in study["datasets"]:
        assert [stage for stage, name in scores if name == dataset and stage != "untrained"], dataset
    assert "rows left out: no answer" in output and "rows left out: the label '1'" in output
    manifest = json.loads((folder / "data/tweets/train.yo.json").read_text())
    assert manifest["notes"] == {"rows left out: the label '1'": 1}
    assert "Luo" in (results / "report.html").read_text()
    assert "Nothing to be done" in snakemake(folder, "-n", "--configfile", "mine.yaml").stdout
