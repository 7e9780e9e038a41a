"""LoRA against full fine-tuning of one model on the same rows: time, memory, disk, scores, forgetting.

    python benchmarks/adapters.py --model ../models/e5-small --out benchmarks/results/adapters.md
    python benchmarks/adapters.py --model ../models/e5-small --study mine.yaml --lr 5e-5 --adapter-lr 5e-4

A study of one track trains whole models, adapters that its stages continue, and adapters that they merge. `--study`: a
config with one track and one data set to evaluate; its models are replaced. The default is on synthetic languages.
Each variant is run alone, by Snakemake in a copy of the project.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml
from rivals import ROOT, copy_project, processor
from tabulate import tabulate

sys.path.insert(0, str(ROOT / "scripts"))

from crosstune.core.files import read_json
from crosstune.evaluation.metrics import metric_named
from crosstune.study.build import build_study
from crosstune.study.graph import Run, Study

STUDY = """
study: adapters
seeds: [1]
tracks:
  qa:
    sources: worldqa
    budget: {updates: 90, tokens: 2048}
    encoding: {max_length: 128, stride: 32, max_question_length: 32}
    schedules: {joint: [qen + qes + qfr], sequential: [qen, qes, qfr]}
    evaluate: {worldqa: [qen, qes, qfr]}
"""
VARIANTS = {"whole model": None, "LoRA, continued": "continue", "LoRA, merged": "merge"}


@dataclass(frozen=True)
class Outcome:
    """What a study of one variant took and reached; `scores` of each schedule, `forgetting` of those with stages."""

    seconds: float
    mib: float
    stage_mb: float
    scores: dict[str, float]
    forgetting: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--study", type=Path, help="config whose track is trained")
    parser.add_argument("--rank", type=int, default=8, help="rank of the adapters (%(default)s)")
    parser.add_argument("--alpha", type=float, default=16, help="their scale times the rank (%(default)s)")
    parser.add_argument("--targets", nargs="+", default=["query", "value"], help="their layers (query value)")
    parser.add_argument("--lr", type=float, default=5e-5, help="learning rate of the whole model (%(default)s)")
    parser.add_argument("--adapter-lr", type=float, default=1e-3, help="learning rate of adapters (%(default)s)")
    parser.add_argument("--note", default="", help="a sentence about the machine for the result")
    parser.add_argument("--out", type=Path, help="file for the tables")
    args = parser.parse_args()

    config = yaml.safe_load(args.study.read_text(encoding="utf-8") if args.study else STUDY)
    config["folders"] = {name: str(Path(path).resolve()) for name, path in config.get("folders", {}).items()}
    out = args.out and args.out.resolve()
    with tempfile.TemporaryDirectory() as folder:
        copy_project(Path(folder))
        os.chdir(folder)
        outcomes = {name: outcome(variant(config, args, stages), Path(folder)) for name, stages in VARIANTS.items()}
    text = report(args, config, outcomes)
    out.write_text(text, encoding="utf-8") if out else print(text)


def variant(config: dict, args: argparse.Namespace, stages: str | None) -> dict:
    """The config of one variant: `stages` of its adapters, None for the whole model."""
    model: dict = {"folder": str((ROOT / args.model).resolve() if not args.model.is_absolute() else args.model)}
    if stages:
        lora = {"rank": args.rank, "alpha": args.alpha, "targets": args.targets, "stages": stages}
        model["lora"] = lora
    rate = args.adapter_lr if stages else args.lr
    tracks = {
        name: track | {"recipe": {**track.get("recipe", {}), "lr": rate}} for name, track in config["tracks"].items()
    }
    return config | {"study": f"adapters-{stages or 'whole'}", "models": {"model": model}, "tracks": tracks}


def outcome(config: dict, folder: Path) -> Outcome:
    """Run a study, and collect what its trainings took."""
    file = folder / f"{config['study']}.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    command = ["snakemake", "--cores", "1", "--quiet", "all", "--configfile", str(file)]
    # Jobs of the warm server share its memory.
    subprocess.run(command, cwd=folder, check=True, env=os.environ | {"CROSSTUNE_WARM_SERVER": "0"})
    study = build_study(config, folder)
    stages = [folder / path for path, node in study.checkpoints.items() if node.data and node.parents]
    return Outcome(
        seconds=sum(read_json(stage / "cost.json")["seconds"] for stage in stages),
        mib=max(peak_mib(stage) for stage in stages),
        stage_mb=statistics.fmean(map(model_bytes, stages)) / 1e6,
        scores={run.schedule.name: mean_score(study, run, -1) for run in study.runs},
        forgetting={run.schedule.name: forgetting(study, run) for run in study.runs if len(run.stages) > 1},
    )


def peak_mib(stage: Path) -> float:
    """The most memory of a training's processes."""
    with open(stage / "benchmarks/train.tsv", encoding="utf-8") as lines:
        return float(next(csv.DictReader(lines, delimiter="\t"))["max_rss"])


def model_bytes(stage: Path) -> int:
    """Bytes of a stage's model folder without what hard links share with an earlier stage."""
    files = [path for path in (stage / "model").rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files if "merged" not in path.parts)


def scores_of(study: Study, run: Run, stage: int) -> dict[str, float]:
    """The main metric of each language after a stage of a run, in points."""
    (dataset,) = study.checkpoints[run.stages[stage]].evaluate
    metric = metric_named(study.registry[dataset].metric).primary
    languages = read_json(Path(run.stages[stage], "scores", f"{dataset}.json"))["languages"]
    return {language: scores[metric] for language, scores in languages.items()}


def mean_score(study: Study, run: Run, stage: int) -> float:
    return statistics.fmean(scores_of(study, run, stage).values())


def forgetting(study: Study, run: Run) -> float:
    """The mean loss of a language from the stage that trains on it to the end, over the stages before the last."""
    last, losses = scores_of(study, run, -1), []
    for number, stage in enumerate(run.schedule.stages[:-1]):
        after = scores_of(study, run, number)
        trained = [source.rpartition(".")[2] for source in stage.sources]
        losses += [after[language] - last[language] for language in trained if language in last]
    return statistics.fmean(losses)


def report(args: argparse.Namespace, config: dict, outcomes: dict[str, Outcome]) -> str:
    """The Markdown page."""
    first = next(iter(outcomes.values()))
    head = ["", "training s", "peak MiB", "MB a stage", *(f"score, {name}" for name in first.scores)]
    head += [f"forgetting, {name}" for name in first.forgetting]
    rows = [
        [name, f"{own.seconds:.0f}", f"{own.mib:,.0f}", f"{own.stage_mb:.1f}"]
        + [f"{value:.1f}" for value in (*own.scores.values(), *own.forgetting.values())]
        for name, own in outcomes.items()
    ]
    adapter = f"LoRA of rank {args.rank}, alpha {args.alpha:g}, targets {', '.join(args.targets)}"
    rates = f"learning rate {args.lr:g} (whole model), {args.adapter_lr:g} (LoRA)"
    setting = f"{date.today()}, {processor()}, one core. Model {args.model.name}; {adapter}; {rates}. {args.note}"
    columns = """Training s: seconds of all trainings, without the start of processes. Peak MiB: the most memory of a
        training. Score: mean of the main metric over languages after the last stage, in points. Forgetting: points that
        a trained language loses from its own stage to the last, mean over the stages before the last. It is negative if
        the later stages help."""
    lines = [
        "# LoRA and full fine-tuning",
        "",
        textwrap.fill(" ".join(setting.split()), 120),
        "",
        textwrap.fill(" ".join(columns.split()), 120),
        "",
        tabulate(rows, head, tablefmt="github", disable_numparse=True, colalign=["left"] + ["right"] * (len(head) - 1)),
        "",
        "The tracks of the study:",
        "",
        "```yaml",
        yaml.safe_dump({"seeds": config["seeds"], "tracks": config["tracks"]}, sort_keys=False).rstrip(),
        "```",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
