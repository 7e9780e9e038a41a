"""A chaos campaign in which every kind of write is hit: the writing process is killed at each moment of the write.

    python benchmarks/chaos_writes.py --work FOLDER [--hits 10] [--seed 1] [--kinds weights,scores] [--out TABLE]

An undisturbed run of a small study lists every write (`chaos_hook.py`). For each hit the campaign draws a write of the
kind, and puts the finished folder back to the moment at which the write's job began. The run then ends at the hit, and
the run after it is compared with the undisturbed one. A hit that does not happen, a write of no kind and a kind without
writes end the campaign with an error. `chaos_trial.py` lists the outcomes.
"""

import json
import os
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from chaos_hook import AFTER, BEFORE, LINKED, MOMENTS, MOVED, UNLINKED, WITHIN, Hit, Write
from chaos_trial import (
    FAULTS,
    ROOT,
    TRACEBACK,
    Trial,
    campaign_options,
    differing,
    end_campaign,
    fault_lines,
    final_outcome,
    keep_log,
    new_trial,
    own_outcome,
    run_undisturbed,
    settle,
)

HOOK = Path(__file__).with_name("chaos_hook.py")
STUDY = Path(__file__).with_name("chaos_writes.yaml")

MARK = "mark of removed weights"

# Kinds of write by the written file; the first that matches counts.
KINDS = {
    "archive": r".*/results\.zip",
    "synthetic data": r"data/raw/.*",
    "encoded windows": r"data/encoded/.*",
    "prepared rows": r"data/.*",
    "resume state": r".*/resume/.*",
    "links to a tokenizer": r".*/\.staging/checkpoint/model/(tokenizer.*|sentencepiece.*)",
    "weights": r".*/\.staging/.*/model\.safetensors",
    "optimizer state": r".*/\.staging/.*/optimizer\.safetensors",
    "training curve": r".*/\.staging/.*/train\.jsonl",
    "checkpoint manifest": r".*/\.staging/.*/stage\.json",
    "model config and card": r".*/\.staging/.*/config\.json|.*/README\.md|.*/model_cards\.json",
    "costs and usage": r".*/\.staging/.*/cost\.json|.*\.requested\.json",
    "staged predictions": r".*/\.staging/predictions/.*",
    "links to predictions": r".*/predictions/.*",
    "scores": r".*/(scores|baselines)/.*",
    "tables": r"results/[^/]+/(tables|cost)/.*",
    "figures": r"results/[^/]+/(figures|paper)/.*",
    "page": r".*/report\.html",
    "analysis": r".*/(contrasts|leakage|claims)\.json",
    "records": r".*/(plan|provenance)\.json|\.snakemake/finished-files\.json",
    MARK: r".*/weights\.removed",
    "links to a checkpoint": r".*/(model/.*|(stage|cost)\.json|train\.jsonl|optimizer\.safetensors)",
}

# What only this target writes, after the study has ended.
EXPORT = "export_results"

# What a run measures of itself, and what contains it. In a PDF the fonts are in random order.
UNCOMPARED = re.compile(r"\.staging/|/logs/|/benchmarks/|/cost/|/report\.html|/provenance\.json|results\.zip|\.pdf")

# A write may be some bytes shorter than that of the undisturbed run, such as a time with fewer digits.
CUT_WITHIN = 0.9

# The kernel's clock, which dates files, may be so many seconds late.
CLOCK_STEP = 0.01


@dataclass(frozen=True)
class Finished:
    """The undisturbed run: a copy of what it made, the hashes to compare, and its writes in their order."""

    folder: Path
    expected: dict[str, str]
    writes: Sequence[Write]

    def begin(self, write: Write) -> float:
        """When the job of a write began to write; for a link to a staged file, the job that staged it.

        Weights that the job may read and that were removed later cannot be put back: their job's begin counts then.
        """
        processes = {write.process}
        if "/.staging/" in write.source:
            processes |= {other.process for other in self.writes if other.target == write.source}
        moment = min(other.begin for other in self.writes if other.process in processes)
        for mark in (other for other in self.writes if kind_of(other) == MARK):
            checkpoint = mark.target.removesuffix("weights.removed")
            made = min(other.begin for other in self.writes if other.target.startswith(checkpoint))
            moment = made if made < moment < mark.begin else moment
        return moment


def kind_of(write: Write) -> str:
    """The kind of a write; empty for one outside the project, in the folder of temporary files."""
    if write.target.startswith("../"):
        return ""
    found = [kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, write.target.removeprefix("./"))]
    if not found:
        sys.exit(f"a write of no kind: {write.target}")
    return found[0]


def moments_of(write: Write) -> tuple[str, ...]:
    if write.source:
        return UNLINKED, LINKED
    return (BEFORE, WITHIN, AFTER, MOVED) if write.size else (BEFORE, AFTER, MOVED)


def is_compared(name: str) -> bool:
    return not UNCOMPARED.search(name)


def new_campaign(work: Path, seed: int, root: Path = ROOT) -> Trial:
    """The copy of the project at `root` in which all runs of a campaign are, so that one warm server serves them."""
    hook = work / "hook"
    hook.mkdir(parents=True)
    shutil.copy(HOOK, hook / "sitecustomize.py")
    environ = {"PYTHONPATH": str(hook), "CROSSTUNE_WARM_IDLE": "60"}
    settings = {"cores": 1, "environ": environ, "compares": is_compared}
    trial = new_trial(work / "trial", random.Random(seed), root, STUDY, **settings)
    save_often(trial.folder / "scripts/train.py")
    return trial


def save_often(program: Path) -> None:
    """Let a training save its state as often as it can: this small study ends before the first save otherwise."""
    text = program.read_text()
    often = text.replace("default=20.0, help", "default=0.0, help")
    if often == text:
        sys.exit(f"{program} has another default of --save-interval")
    program.write_text(often)


def finish_undisturbed(trial: Trial) -> Finished:
    """Run the study and its export undisturbed, list the writes, and keep a copy of what was made."""
    log, folder = trial.folder / "writes.log", trial.folder.with_name("finished")
    environ = {"CROSSTUNE_WRITES_LOG": str(log)}
    expected = run_undisturbed(trial, env=environ)
    run_undisturbed(trial, env=environ, targets=[EXPORT])
    writes = [Write(**json.loads(line)) for line in log.read_text().splitlines()]
    for part in ("results", "data", ".snakemake"):
        shutil.copytree(trial.folder / part, folder / part, ignore=shutil.ignore_patterns("warm-*", "locks", "log"))
    return Finished(folder, expected, writes)


def put_back(trial: Trial, finished: Finished, moment: float) -> None:
    """Put the finished folder in place, without the files that were written after a moment."""
    for part in ("results", "data"):
        shutil.rmtree(trial.folder / part)
        shutil.copytree(finished.folder / part, trial.folder / part)
        for path in (trial.folder / part).rglob("*"):
            if path.is_file() and path.stat().st_mtime >= moment - CLOCK_STEP:
                path.unlink()
        for folder, _, _ in os.walk(trial.folder / part, topdown=False):
            with suppress(OSError):  # not empty
                os.rmdir(folder)
        (trial.folder / part).mkdir(exist_ok=True)
    for part in ("metadata", "incomplete"):
        shutil.rmtree(trial.folder / ".snakemake" / part, ignore_errors=True)
    shutil.copytree(finished.folder / ".snakemake", trial.folder / ".snakemake", dirs_exist_ok=True)


def hit_write(trial: Trial, finished: Finished, write: Write, moment: str) -> str:
    """Run until a write is hit, then to the end; the outcome. Ends the campaign if the hit does not happen."""
    marker = trial.folder.with_name("marker")
    marker.unlink(missing_ok=True)
    put_back(trial, finished, finished.begin(write))
    byte = int(trial.luck.random() * write.size * CUT_WITHIN)
    hit = Hit(write.target, write.number, moment, byte, str(marker))
    targets = [EXPORT] if kind_of(write) == "archive" else []
    status, output = trial.run(targets=targets, env={"CROSSTUNE_WRITE_HIT": json.dumps(asdict(hit))})
    if not marker.exists() or marker.read_text():
        sys.exit(f"no hit {moment} of {write.target}: {marker.read_text() if marker.exists() else output[-3000:]}")
    label = f"{kind_of(write)}.{moment}".replace(" ", "-")
    own = own_outcome(trial, status, output)
    if own:
        keep_log(trial, f"{label}.{own}", 0)
    settled = settle_exported(trial, finished, targets)
    outcome = final_outcome(own, settled)
    if settled in FAULTS:
        keep_log(trial, f"{label}.{settled}", 1)
    return f"{outcome}: {differing(trial, finished.expected)}" if outcome == "different" else outcome


def settle_exported(trial: Trial, finished: Finished, targets: Sequence[str]) -> str:
    """The outcome of the runs after a hit. If the hit run made the archive, the archive is made again and compared."""
    outcome = settle(trial, finished.expected)
    if not targets or outcome in FAULTS:
        return outcome
    status, output = trial.run(targets=targets)
    if status:
        return "traceback" if TRACEBACK in output else "stuck"
    archives = [folder.glob("results/*/results.zip") for folder in (trial.folder, finished.folder)]
    made, expected = ([path.read_bytes() for path in found] for found in archives)
    return outcome if made == expected else "different"


def draw_writes(finished: Finished, kind: str, hits: int, luck: random.Random) -> Iterable[tuple[Write, str]]:
    """So many writes of a kind, each with a moment; the moments take turns."""
    writes = [write for write in finished.writes if kind_of(write) == kind]
    if not writes:
        sys.exit(f"the study has no write of the kind: {kind}")
    moments = [moment for moment in MOMENTS if any(moment in moments_of(write) for write in writes)]
    for number in range(hits):
        moment = moments[number % len(moments)]
        yield luck.choice([write for write in writes if moment in moments_of(write)]), moment


def campaign(hits: int, seed: int, kinds: Sequence[str], work: Path, root: Path = ROOT) -> list[tuple[str, str, str]]:
    """Kind, moment and outcome of every hit. Only logs of faults and tracebacks stay in the folder `work`."""
    trial = new_campaign(work, seed, root)
    events = []
    try:
        finished = finish_undisturbed(trial)
        for kind in kinds:
            for write, moment in draw_writes(finished, kind, hits, trial.luck):
                events.append((kind, moment, hit_write(trial, finished, write, moment)))
                print(f"{len(events):4} {' | '.join(events[-1])} | {write.target}", flush=True)
    finally:
        for place in ("trial", "finished", "hook"):
            shutil.rmtree(work / place, ignore_errors=True)
        (work / "marker").unlink(missing_ok=True)
    return events


def table(events: Sequence[tuple[str, str, str]]) -> str:
    """The campaign as a Markdown table: a row for each kind, the outcomes of each moment, then the faults."""
    moments = [moment for moment in MOMENTS if any(own == moment for _, own, _ in events)]
    lines = [f"| write | hits | {' | '.join(moments)} |", "|---|--:|" + "---|" * len(moments)]
    for kind in dict.fromkeys(kind for kind, *_ in events):
        mine = [event for event in events if event[0] == kind]
        cells = [outcomes(outcome for _, own, outcome in mine if own == moment) for moment in moments]
        lines.append(f"| {kind} | {len(mine)} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *fault_lines(events)]) + "\n"


def outcomes(found: Iterable[str]) -> str:
    """For a cell of the table: how often there was each outcome."""
    counts = Counter(outcome.split(":")[0] for outcome in found)
    return ", ".join(f"{number} {outcome}" for outcome, number in counts.items())


def main() -> None:
    parser = campaign_options(__doc__.split("\n")[0])
    parser.add_argument("--hits", type=int, default=10, help="of each kind")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of these, separated by commas")
    options = parser.parse_args()
    events = campaign(options.hits, options.seed, options.kinds.split(","), options.work)
    end_campaign(events, table(events), options.out)


if __name__ == "__main__":
    main()
