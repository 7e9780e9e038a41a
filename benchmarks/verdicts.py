"""Does the default study decide alike with other seeds and in another precision, and find no effect where none is?

    python benchmarks/verdicts.py [--repetitions 10] [--work FOLDER] --out docs/results/default-verdicts.md

A repetition has a base model and seeds of its own. It runs in fp32 and in bf16, both at once on a core each. The
planted null is a twin of the joint schedule: its data set has the same files under another name, so that only the
order of the rows differs. Schedules that no contrast compares are left out. With the same `--work`, repetitions of the
same config are not run again; after a change of the code, choose another folder.
"""

import argparse
import copy
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import yaml
from rivals import ROOT, copy_project, processor

PRECISIONS = ("fp32", "bf16")
NULL = "planted null"


def world_records() -> dict[str, dict]:
    """The records of the constructed world's data sets, by name."""
    return yaml.safe_load((ROOT / "registry/world.yaml").read_text())


def with_twin(config: Mapping, registry: Mapping) -> dict:
    """The config with a twin of the headline's joint schedule, a contrast of both, and no uncompared schedule."""
    config = copy.deepcopy(dict(config))
    headline = config["headline"]
    track = config["tracks"][headline["track"]]
    dataset, twin = track["sources"], f"{track['sources']}-twin"
    config["datasets"] = {**config.get("datasets", {}), twin: registry[dataset]}
    compared = {contrast[side] for contrast in config["contrasts"] for side in ("a", "b")}
    track["schedules"] = {name: own for name, own in track["schedules"].items() if name in compared}
    (joint,) = track["schedules"][headline["joint"]]
    track["schedules"]["twin"] = [" + ".join(f"{twin}.{language}" for language in joint.split(" + "))]
    null = {"name": NULL.replace(" ", "-"), "a": "twin", "b": headline["joint"]}
    like = {key: config["contrasts"][0][key] for key in ("over", "languages", "smallest_effect")}
    config["contrasts"].append(null | like)
    config.pop("claims", None)
    return config


def repetition(config: Mapping, number: int, precision: str) -> dict:
    """The study of a repetition: no seed is that of another one."""
    config = copy.deepcopy(dict(config))
    count = len(config["seeds"])
    config |= {"study": f"verdicts-{number}-{precision}", "precision": precision}
    config["seeds"] = list(range(number * count + 1, (number + 1) * count + 1))
    for model in config["models"].values():
        model["pretrain"] |= {"seed": number, "threads": 1}
    return config


def contrasts_of(folder: Path, config: Mapping) -> dict[str, dict]:
    """The contrasts of a study with fixed languages and random seeds, by name; it runs if it has not yet."""
    found, text = folder / f"results/{config['study']}/contrasts.json", yaml.safe_dump(dict(config), sort_keys=False)
    own = folder / f"{config['study']}.yaml"
    if not (found.exists() and own.exists() and own.read_text() == text):
        own.write_text(text)
        command = ["snakemake", "--cores", "1", "--configfile", own.name, "--quiet", "all", "--config", "replace=true"]
        with (folder / f"{config['study']}.log").open("w") as log:
            subprocess.run(command, cwd=folder, check=True, stdout=log, stderr=log)
    entries = json.loads(found.read_text())["contrasts"]
    return {entry["contrast"]["name"]: entry["questions"]["seeds"] for entry in entries}


def report(runs: Mapping[tuple[int, str], Mapping[str, dict]], command: str) -> str:
    """The counts of verdicts by contrast and precision, how often the precisions agree, then every run."""
    names, repetitions = list(next(iter(runs.values()))), sorted({number for number, _ in runs})
    lines = [
        f"# The verdicts of the default study in {len(repetitions)} repetitions",
        "",
        f"{date.today()}, {processor()}; `{command}`.",
        "",
    ]
    lines += [f"| contrast | {' | '.join(PRECISIONS)} | alike in both | mean differences |", "|:--|:--|:--|--:|:--|"]
    for name in names:
        verdicts = {key: run[name]["verdict"] for key, run in runs.items()}
        cells = [
            ", ".join(f"{verdict} {n}" for verdict, n in Counter(verdicts[r, own] for r in repetitions).most_common())
            for own in PRECISIONS
        ]
        alike = sum(len({verdicts[number, own] for own in PRECISIONS}) == 1 for number in repetitions)
        means = sorted(run[name]["mean"] for run in runs.values())
        ends = f"{means[0]:.1f} to {means[-1]:.1f}"
        lines.append(f"| {name} | {' | '.join(cells)} | {alike} of {len(repetitions)} | {ends} |")
    lines += ["", "A cell: the mean difference in points, its 95% CI, the verdict.", ""]
    lines += [f"| repetition | precision | {' | '.join(names)} |", "|--:|:--|" + ":--|" * len(names)]
    for (number, precision), run in sorted(runs.items()):
        cells = [
            f"{own['mean']:.1f} [{own['interval'][0]:.1f}, {own['interval'][1]:.1f}] {own['verdict']}"
            for own in (run[name] for name in names)
        ]
        lines.append(f"| {number} | {precision} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--work", type=Path, help="folder of the runs; the default is a temporary one")
    parser.add_argument("--out", type=Path, help="file for the tables")
    args = parser.parse_args()

    work = args.work or Path(tempfile.mkdtemp())
    folders = {precision: work / precision for precision in PRECISIONS}
    for folder in folders.values():
        if not (folder / "Snakefile").exists():
            copy_project(folder)
    config = with_twin(yaml.safe_load((ROOT / "config.yaml").read_text()), world_records())
    runs = {}
    for number in range(1, args.repetitions + 1):
        with ThreadPoolExecutor(len(folders)) as pool:
            jobs = {
                precision: pool.submit(contrasts_of, folder, repetition(config, number, precision))
                for precision, folder in folders.items()
            }
        runs |= {(number, precision): job.result() for precision, job in jobs.items()}
        text = report(runs, f"python benchmarks/{' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])}")
        if args.out:
            args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
