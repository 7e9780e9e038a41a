"""How far a study is, told by its files alone: it can be asked while the study runs, and on a cluster.

Owns: what is done, running, failed or waiting, and how long the rest will take. Must never know: Snakemake, torch.

A training has a lock while it is made, and a prediction the note of its job; both name their process. One of another
machine is taken for running as long as its files change. How far it is stands in its log.
"""

import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.artifacts.checkpoint import MANIFEST, RESUME, STAGING
from crosstune.core.files import read_json
from crosstune.core.locks import is_there
from crosstune.evaluation.scoring import SCORE_VERSION
from crosstune.machine.environment import read_cost
from crosstune.study.graph import Checkpoint, Study
from crosstune.study.specs import predict_spec

DONE, RUNNING, FAILED, INTERRUPTED, WAITING = STATES = ("done", "running", "failed", "interrupted", "waiting")

KINDS = ("trainings", "predictions", "scores")

# A process of another machine whose files have not changed for so long is not taken for running.
SECONDS_OF_SILENCE = 1800

# Lines of a log that are shown, and logs.
LINES, LOGS = 6, 10

# What the end of a log is looked for in.
TAIL_BYTES = 65536

FAILURE = re.compile(r"^(error: |Traceback )", re.MULTILINE)

PROGRESS = re.compile(
    r"^(?P<name>.+?) (?:goes on at )?(?P<done>\d+)/(?P<total>\d+)(?:, .*?(?P<left>\d+) s left)?", re.M
)


@dataclass(frozen=True)
class Work:
    """One training, prediction or scoring: its state, its log, and of a running one how much is done (0 to 1).

    `seconds`: what it took, or what a running one says that it will still take; None where nobody knows. `size`: what
    it costs beside others of its `model`, as tokens; None where that is not known before.
    """

    kind: str
    name: str
    state: str
    log: Path
    model: str
    share: float | None = None
    seconds: float | None = None
    size: float | None = None


def works_of(study: Study) -> list[Work]:
    """All trainings, predictions and scores of a study, by the files in the folder of the project."""
    found = []
    for node in study.checkpoints.values():
        training = None if "hub" in node.spec else _training(study, node)
        found += [training] if training else []
        for dataset in node.evaluate:
            made = not training or training.state == DONE
            prediction = _prediction(study, node, dataset, made)
            found += [prediction, _score(study, node, dataset, prediction.state == DONE)]
    return found


def status_lines(study: Study, works: Sequence[Work]) -> Iterator[str]:
    """The status for a person."""
    counts = Counter((work.kind, work.state) for work in works)
    yield f"study {study.name}, in {study.results}"
    yield f"{'':12}" + "".join(f"{state:>13}" for state in STATES)
    for kind in KINDS:
        yield f"{kind:12}" + "".join(f"{counts[kind, state] or '.':>13}" for state in STATES)
    running = [work for work in works if work.state == RUNNING]
    if running:
        yield from ("", "running")
        for work in running:
            share = "starts" if work.share is None else f"{work.share:4.0%}"
            left = "" if work.seconds is None or work.share is None else f", {duration(work.seconds)} left"
            yield f"  {share:>6}{left}  {work.name}"
    yield from ("", time_left(works)) if any(work.state != DONE for work in works) else ("", "nothing is left to do")
    for state in (FAILED, INTERRUPTED):
        yield from _told([work for work in works if work.state == state], state)


def time_left(works: Sequence[Work]) -> str:
    """How long the rest will take, by what finished trainings and predictions of the same model took."""
    rest = [work for work in works if work.state != DONE and work.kind != "scores"]
    if not rest:
        return "time left: seconds"
    finished: dict[tuple[str, str], list[Work]] = {}
    for work in works:
        if work.state == DONE and work.seconds is not None:
            finished.setdefault((work.kind, work.model), []).append(work)
    expected = [(work, _expected(work, finished.get((work.kind, work.model), []))) for work in rest]
    known = [seconds for _, seconds in expected if seconds]
    at_once = max(1, sum(work.state == RUNNING for work in rest))
    about = f"about {duration(sum(known) / at_once)}, with {at_once} at once" if known else ""
    unknown = Counter(f"{work.kind} of {work.model}" for work, seconds in expected if seconds is None)
    others = ", ".join(f"{what} ({number})" for what, number in sorted(unknown.items()))
    return "time left: " + "; ".join(filter(None, [about, others and f"not known before one has finished: {others}"]))


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h` or `2.1 days`."""
    for size, unit, digits in ((86400, "days", 1), (3600, "h", 1), (60, "min", 0)):
        if seconds >= 2 * size or (unit == "h" and seconds >= size):
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"


# --- what is done and what runs --------------------------------------------------------------------------------------


def _training(study: Study, node: Checkpoint) -> Work:
    out = Path(node.path)
    kind = "pretrain" if not node.parents else "average" if "average" in node.spec else "train"
    log = out / "logs" / f"{kind}.log"
    name = node.path.removeprefix(f"{study.results}/")
    model = name.partition("/")[0]
    common = {"model": f"{model} (pretraining)" if kind == "pretrain" else model, "size": _tokens(node)}
    if _spec(out / MANIFEST) == node.spec:
        return Work("trainings", name, DONE, log, seconds=read_cost(out).get("seconds"), **common)
    text = tail(log)
    share, left = progress(text, out.name)
    if _runs(out / STAGING / "lock", log, out / RESUME / "state.safetensors"):
        return Work("trainings", name, RUNNING, log, share=share, seconds=left, **common)
    # What has told that it is through was of another spec, and is waited for again.
    state = WAITING if not text or (share == 1 and not FAILURE.search(text)) else _ended(text)
    return Work("trainings", name, state, log, **common)


def _prediction(study: Study, node: Checkpoint, dataset: str, made: bool) -> Work:
    out = Path(node.path, "predictions", dataset)
    log = Path(node.path, "logs", f"predict.{dataset}.log")
    name = f"{node.path.removeprefix(f'{study.results}/')}: {dataset}"
    common = {"model": node.location.model, "size": float(len(node.evaluate[dataset]))}
    if made and _spec(out.with_suffix(".json")) == predict_spec(study, node.path, dataset):
        return Work("predictions", name, DONE, log, seconds=read_cost(out).get("seconds"), **common)
    note = Path(node.path, "benchmarks", f"predict.{dataset}.requested.json")
    text = tail(log)
    share, left = progress(text, f"predict {dataset}")
    if made and _runs(note, log):
        return Work("predictions", name, RUNNING, log, share=share, seconds=left, **common)
    state = WAITING if not made or not text or (share == 1 and not FAILURE.search(text)) else _ended(text)
    return Work("predictions", name, state, log, **common)


def _score(study: Study, node: Checkpoint, dataset: str, made: bool) -> Work:
    out, log = Path(node.path, "scores", f"{dataset}.json"), Path(node.path, "logs", f"score.{dataset}.log")
    name, model = f"{node.path.removeprefix(f'{study.results}/')}: {dataset}", node.location.model
    if made and out.exists() and read_json(out).get("score_version") == SCORE_VERSION:
        return Work("scores", name, DONE, log, model)
    return Work("scores", name, FAILED if made and FAILURE.search(tail(log)) else WAITING, log, model)


def _spec(manifest: Path) -> dict | None:
    try:
        return read_json(manifest)["spec"]
    except FileNotFoundError:
        return None


def _runs(holder: Path, *heard: Path) -> bool:
    """Whether the process that is named in a lock or a note is there; of another machine, whether it is `heard` of."""
    try:
        text, wrote = holder.read_text(encoding="utf-8"), holder.stat().st_mtime
    except FileNotFoundError:
        return False
    there = is_there(read_json(holder).get("process", "") if holder.suffix == ".json" else text, wrote)
    if there is None:
        times = [path.stat().st_mtime for path in heard if path.exists()]
        return time.time() - max([wrote, *times]) < SECONDS_OF_SILENCE
    return there


def _ended(text: str) -> str:
    return FAILED if FAILURE.search(text) else INTERRUPTED


# --- logs ------------------------------------------------------------------------------------------------------------


def tail(log: Path) -> str:
    """The end of a log; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def progress(text: str, name: str) -> tuple[float | None, float | None]:
    """How much of `name` is done by the last line that tells (0 to 1), and the seconds left that the line tells."""
    told = [match for match in PROGRESS.finditer(text) if match["name"] == name]
    if not told:
        return None, None
    last = told[-1]
    share = int(last["done"]) / max(1, int(last["total"]))
    return share, float(last["left"]) if last["left"] else None


def _told(works: Sequence[Work], state: str) -> Iterator[str]:
    """The last lines of the logs of what failed or was interrupted."""
    if works:
        what = "its log ends with" if state == FAILED else "the same command goes on with it; its log ends with"
        yield from ("", f"{state} ({what})")
    for work in works[:LOGS]:
        yield f"  {work.name}  ({work.log})"
        lines = [line for line in tail(work.log).splitlines() if line.strip()]
        yield from (f"    {line}" for line in lines[-LINES:])
    if len(works) > LOGS:
        yield f"  and {len(works) - LOGS} more"


# --- time ------------------------------------------------------------------------------------------------------------


def _tokens(node: Checkpoint) -> float | None:
    """Tokens that a training sees; None where it counts epochs."""
    budget = node.spec.get("budget", node.spec)
    if "average" in node.spec:
        return 0.0
    return None if budget.get("updates") is None else float(budget["updates"] * budget["tokens"])


def _expected(work: Work, finished: Sequence[Work]) -> float | None:
    """Seconds that one will still take: as a running one says itself, else by the finished ones of its model."""
    if work.state == RUNNING and work.seconds is not None:
        return work.seconds
    if work.size == 0:
        return 0.0
    left = 1 - (work.share or 0)
    sized = [other for other in finished if other.size]
    if work.size and sized:
        return left * work.size * sum(other.seconds for other in sized) / sum(other.size for other in sized)
    return left * statistics.fmean(other.seconds for other in finished) if finished else None
