"""What a process imports: a light job must not pay seconds for torch, nor any job for scikit-learn or pandas."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIGHT = [
    "prepare", "leakage", "score", "baselines", "plan_file", "tables", "figures", "report", "submission", "synthetic",
    "pin", "audit", "describe", "fetch", "fetch_model", "remove_weights", "translate", "distances", "contrasts",
    "provenance", "crate", "stale", "status", "check", "corrections",
]  # fmt: skip
HUB = ["huggingface_hub", "datasets", "pooch", "requests", "pandas", "pyarrow"]
# Every name that is None in sys.modules cannot be imported.
BLOCK = "import sys, runpy; sys.modules.update(dict.fromkeys({blocked!r})); sys.argv = {argv!r}; "


def run_without(blocked: list[str], script: str, *arguments: str) -> subprocess.CompletedProcess:
    path = str(ROOT / f"scripts/{script}.py")
    code = BLOCK.format(blocked=blocked, argv=[path, *arguments]) + f"runpy.run_path({path!r}, run_name='__main__')"
    environment = {"PYTHONPATH": str(ROOT / "scripts"), "PATH": ""}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("script", [*LIGHT, "train", "predict"])
def test_a_program_starts_without_torch_and_the_libraries_of_the_hub(script):
    found = run_without(["torch", "transformers", *HUB], script, "--help")
    assert found.returncode == 0, found.stderr
    assert "usage" in found.stdout


def test_a_job_installs_staged_files_without_torch(tmp_path):
    from crosstune.core.files import write_json, write_jsonl

    spec = {"seed": 1}
    write_json(tmp_path / "parent/stage.json", {"weights": "old"})
    write_jsonl(tmp_path / "child/.staging/checkpoint/train.jsonl", [])
    write_jsonl(tmp_path / "child/.staging/checkpoint/model/model.safetensors", [])
    write_json(
        tmp_path / "child/.staging/checkpoint/stage.json",
        {"spec": spec, "parents": ["old"], "data": {}, "weights": "new"},
    )
    arguments = ["--spec", json.dumps(spec), "--parents", str(tmp_path / "parent"), "--out", str(tmp_path / "child")]
    found = run_without(["torch", "transformers", "numpy"], "train", *arguments)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "child/stage.json").exists()

    data, made = tmp_path / "test.qen.json", tmp_path / "child/.staging/predictions/worldqa"
    write_jsonl(tmp_path / "test.qen.jsonl", [])
    write_json(data, {"dataset": "worldqa", "lang": "qen", "sha256": "rows"})
    prediction = {"dataset": "worldqa"}
    write_jsonl(made / "qen.jsonl", [{"id": "1"}])
    write_json(
        made.with_suffix(".json"), {"spec": prediction, "weights": "new", "languages": {"qen": {"data": "rows"}}}
    )
    out = tmp_path / "child/predictions/worldqa"
    arguments = ["--spec", json.dumps(prediction), "--stage", str(tmp_path / "child"), "--data", str(data)]
    arguments += ["--out", str(out), "--install-only"]
    found = run_without(["torch", "transformers", "numpy"], "predict", *arguments)
    assert found.returncode == 0, found.stderr
    assert (out / "qen.jsonl").exists()

    later = (tmp_path / "child/stage.json").stat().st_mtime + 10
    os.utime(data, (later, later))
    found = run_without(["torch", "transformers", "numpy"], "predict", *arguments)
    assert f"when it ended, {data} did not exist" in found.stderr
    os.utime(data, (0, 0))
    found = run_without(["torch", "transformers", "numpy"], "predict", *arguments)
    assert found.returncode == 1 and "Traceback" not in found.stderr
    assert "the training staged no predictions of worldqa: nobody asked it for them" in found.stderr, "installed before"
    assert "Rerun the same command" in found.stderr


def test_a_study_without_downloads_is_planned_and_prepared_without_the_libraries_of_the_hub(tmp_path):
    modules = ["crosstune.study.build", "crosstune.study.data_requirements", "crosstune.data.prepare"]
    code = f"import sys; sys.modules.update(dict.fromkeys({HUB!r}))\n" + "".join(f"import {name}\n" for name in modules)
    code += f"""
import json
from pathlib import Path
from crosstune.data.registry import load_registry
record = {{"task": "text", "title": "T", "licence": "none", "reader": "lines", "languages": ["en"],
           "source": {{"files": {str(tmp_path / "x.txt")!r}}}, "splits": {{"train": {{}}}}}}
dataset = load_registry(Path("nowhere"), {{"toy": record}})["toy"]
folders = {{"mine": {str(tmp_path)!r}}}
crosstune.data.prepare.prepare(dataset, "train", "en", folders, Path("raw"), Path({str(tmp_path / "out.jsonl")!r}))
"""
    (tmp_path / "x.txt").write_text("one\ntwo\n")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "scripts")
    assert found.returncode == 0, found.stderr


def test_a_training_imports_neither_scikit_learn_nor_pandas():
    missing = "import sys; sys.modules.update(sklearn=None, pandas=None, datasets=None)"
    code = f"{missing}; import crosstune.training.checkpoint_job"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "scripts")
    assert found.returncode == 0, found.stderr
