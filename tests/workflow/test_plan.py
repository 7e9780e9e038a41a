"""Plans: dry runs of studies whose data are not at hand, and a data set that a study brings along."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import yaml

PROJECT = Path(__file__).parents[2]
SECONDS, KILOBYTES = 60, 1_000_000


def test_xtreme_r_is_planned_without_network_data_or_pins(new_project, jobs):
    """In little time and memory; nothing is written, and the run itself is refused before any job."""
    folder = new_project("xtreme-r-plan")
    command = ["snakemake", "--nocolor", "--quiet", "rules", "--configfile", "studies/xtreme-r.yaml"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "https_proxy": "http://127.0.0.1:9"}
    with (folder / "plan.txt").open("w") as log:
        process = subprocess.Popen([*command, "-n"], cwd=folder, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    plan = (folder / "plan.txt").read_text()
    assert process.returncode == 0, plan[-3000:]
    assert usage.ru_utime + usage.ru_stime < SECONDS and usage.ru_maxrss < KILOBYTES

    # Six tracks have the untrained head and one, one and three stages; choice two and one, Mewsli-X one.
    checkpoints = 3 * 5 * (6 * (1 + 1 + 1 + 3) + (1 + 2 + 1) + (1 + 1))
    assert jobs(plan)["train"] == checkpoints and jobs(plan)["fetch_model"] == 3
    # A checkpoint of each model in turn, 4 bytes a parameter.
    weights = checkpoints // 3 * 4 * (177_853_440 + 278_043_648 + 559_890_432) / 1e9
    assert f"{checkpoints} checkpoints (about {weights:.1f} GB of weights), " in plan
    unpinned = re.search(r"not pinned to a version yet: (.*) \(snakemake --cores 1 pin\)", plan)[1].split(", ")
    assert {"squad_full", "xnli_full", "wikiann_full"} <= set(unpinned)
    assert not {"xquad_full", "lareqa_full", "xcopa_full", "tatoeba_full", "mewslix_full"} & set(unpinned)
    assert "downloads are still to be made" in plan
    assert not (folder / "data").exists() and not (folder / "results").exists()

    # What `snakemake estimate_cost` says of the jobs is what Snakemake works out; it needs no cores and writes nothing.
    quiet = [word if word != "rules" else "all" for word in command]
    told = subprocess.run([*quiet, "-n", "estimate_cost"], cwd=folder, env=environment, text=True, capture_output=True)
    assert told.returncode == 0, told.stderr
    counted = {line.split()[0]: int(line.split()[-2]) for line in told.stdout.splitlines() if line.endswith("  0")}
    planned = jobs(plan)
    # Trainings and predictions are told as one, whether a job makes them or takes them over from another's.
    wanted = {rule: planned[rule] for rule in ("prepare", "score", "baselines")}
    wanted["train"] = planned["train"]
    wanted["predict"] = planned["install_predictions"] + planned.get("predict", 0)
    assert {rule: counted[rule] for rule in wanted} == wanted
    assert "No two schedules share a stage" in told.stdout and "RTX 4090" in told.stdout
    assert not (folder / "data").exists() and not (folder / "results").exists()

    done = subprocess.run([*command, "--cores", "1"], cwd=folder, env=environment, text=True, capture_output=True)
    assert done.returncode and "not pinned to a version: " + ", ".join(unpinned) in done.stdout + done.stderr
    assert not (folder / "data").exists()


def test_a_mistake_ends_snakemake_with_its_message_alone(new_project, snakemake, tmp_path):
    folder = new_project("mistakes")
    small = (PROJECT / "tests/workflow/small.yaml").read_text()
    words = {"--configfile": "study.yaml", "-s": f"{folder}/Snakefile", "--directory": f"{tmp_path}"}

    def message(*arguments: str, study: str = small, where: Path = folder) -> str:
        (folder / "study.yaml").write_text(study)
        options = [part for argument in arguments for part in (argument, words[argument])]
        done = snakemake(where, "-n", *options, check=False)
        assert done.returncode == 1 and "Traceback" not in done.stdout and ".smk" not in done.stdout
        return done.stdout.partition("error: ")[2]

    twice = small.replace("study: small\n", "study: small\nseeds: [7]\n")
    line = small.split("\n").index("seeds: [1]") + 2
    assert message("--configfile", study=twice) == (
        f"{folder}/study.yaml:{line}:1: the key 'seeds' is given twice, first in line {line - 1}\n"
        "  YAML would forget the first: remove or rename one of the two.\n"
    )
    consent = message("--configfile", study=small + "allow_commands: true\n")
    assert consent.startswith(f"{folder}/study.yaml: the key 'allow_commands' is for the command line alone")
    nameless = small.replace("study: small\n", "")
    assert message("--configfile", study=nameless).startswith("config: the key 'study' is missing\n")
    (folder / "config.yaml").write_text("study: [\n")
    assert message().startswith("config.yaml:2:1: not valid YAML ")
    outside = f"crosstune runs in its own folder, not in {tmp_path}\n  cd {folder}\n"
    assert message("-s", where=tmp_path) == message("--configfile", "--directory") == outside


def test_a_program_of_a_study_runs_only_with_the_users_consent(new_project, snakemake):
    folder = new_project("programs")
    text = (PROJECT / "tests/workflow/small.yaml").read_text()
    text = text.replace("english: [qen]", "english: [qen]\n      translated: [worldchaii_mt.qbn]")
    text += 'translators: {lexicon: {command: "touch ran.txt", pairs: {qhi-qbn: x, qta-qbn: x}}}\n'
    (folder / "study.yaml").write_text(text)
    done = snakemake(folder, "--cores", "1", "--configfile", "study.yaml", check=False)
    assert done.returncode == 1 and "error: translators: translators run programs of this machine" in done.stdout
    assert not (folder / "data").exists() and not (folder / "ran.txt").exists()


NAMES = """\
Ane\tB-PER
bor\tO
i\tO
Bergen\tB-LOC
.\tO

Hei\tO
!\tO
"""


def test_a_study_brings_a_data_set_of_its_own(new_project, snakemake):
    """The example of the README: names in a new language, as a file of two columns."""
    folder = new_project("own-data")
    (folder / "names").mkdir()
    (folder / "names/nn.train.tsv").write_text(NAMES)
    (folder / "names/nn.test.tsv").write_text("Kari\tB-PER\nles\tO\n\nOslo\tB-LOC\nsov\tO\n")
    readme = (PROJECT / "README.md").read_text()
    (example,) = re.findall(r"```yaml\n( *folders: \{mine.*?)```", readme, re.DOTALL)
    config = yaml.safe_load(dedent(example)) | {
        "study": "own",
        "seeds": [1],
        "models": {"tiny": {"pretrain": {
            "corpus": {"worldtext": ["qen"]}, "vocabulary": 300, "hidden": 16, "layers": 1, "heads": 2,
            "budget": {"updates": 2, "tokens": 256},
        }}},
    }  # fmt: skip
    config["folders"]["mine"] = "names"
    with (folder / "registry/languages.yaml").open("a") as table:
        table.write("nn: {name: Norwegian Nynorsk, family: Indo-European, genus: Germanic, script: Latn}\n")
    (folder / "study.yaml").write_text(yaml.safe_dump(config))
    snakemake(folder, "prepare_all", "--cores", "1", "--configfile", "study.yaml")
    manifest = json.loads((folder / "data/names/test.nn.json").read_text())
    assert manifest["rows"] == 2 and manifest["statistics"]["tags"] == {"B-PER": 1, "O": 2, "B-LOC": 1}
    rows = [json.loads(line) for line in (folder / "data/names/train.nn.jsonl").read_text().splitlines()]
    assert rows[0]["tokens"] == ["Ane", "bor", "i", "Bergen", "."]
    plan = snakemake(folder, "-n", "--quiet", "host", "--configfile", "study.yaml").stdout
    assert "names.nn@20" in plan and "error" not in plan.lower()

    (folder / "names/nn.train.tsv").write_text(NAMES.replace("B-LOC", "B-PLACE"))
    done = snakemake(folder, "prepare_all", "--cores", "1", "--configfile", "study.yaml", check=False)
    mistake = "nn.train.tsv:4: the tag 'B-PLACE' is outside the set"
    assert done.returncode and mistake in done.stdout
    command = [sys.executable, "scripts/status.py", "--configfile", "study.yaml"]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert "  prepare names.train.nn  (logs/prepare/names.train.nn.log)\n    error: " in told and mistake in told


def test_a_dry_run_is_short_and_tells_reasons_on_request(new_project, snakemake, jobs):
    folder = new_project("short")
    plan = snakemake(folder, "-n").stdout
    assert len(plan.splitlines()) < 60
    assert plan.count("Job stats:") == 1 and jobs(plan)["train"] == 72 and "40 runs share 65 trainings" in plan
    reasons = snakemake(folder, "-n", "--quiet", "host").stdout
    assert reasons.count("Reason: Missing output files") >= 100 and jobs(reasons) == jobs(plan)
    assert "python scripts/train.py --spec" in snakemake(folder, "-n", "-p").stdout


def test_a_run_tells_its_jobs_and_their_errors(new_project, snakemake):
    folder = new_project("told")
    run = snakemake(folder, "--cores", "1", "results/default/plan.json").stdout
    assert "write the plan" in run and "1 of 1 steps (100%) done" in run and "Reason:" not in run
    (folder / "scripts/plan_file.py").write_text("raise SystemExit('error: told by the job')")
    (folder / "results/default/plan.json").unlink()
    run = snakemake(folder, "--cores", "1", "results/default/plan.json", check=False).stdout
    assert "error: told by the job" in run and "Error in rule plan_file:" in run
