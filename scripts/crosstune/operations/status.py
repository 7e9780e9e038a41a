"""The progress of a study, from its files alone: it works during a run and on a cluster, without Snakemake and torch.

A training has a lock and a prediction the note of its job; both name their process. A process of another machine counts
as running while its files change. The log has the progress of a job. Jobs of data (downloads, copied models, prepared
and translated rows, the leakage check) are short: they are done, failed or waiting.
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
from crosstune.core.locks import is_running
from crosstune.evaluation.scoring import SCORE_VERSION
from crosstune.machine.environment import read_cost
from crosstune.study.data_requirements import RAW, DataRequirements
from crosstune.study.graph import Checkpoint, Study
from crosstune.study.local_models import copied_models
from crosstune.study.paths import PreparedPath
from crosstune.study.specs import predict_spec

DONE, RUNNING, FAILED, INTERRUPTED, WAITING = STATES = ("done", "running", "failed", "interrupted", "waiting")

DATA, TRAININGS, PREDICTIONS, SCORES = KINDS = ("data", "trainings", "predictions", "scores")

# A job of another machine counts as running until its files have not changed for this time.
MAX_SILENCE_SECONDS = 1800

# The numbers of lines per log and of logs that the status shows.
LINES, LOGS = 6, 10

# The part of a log that is read.
TAIL_BYTES = 65536

FAILURE = re.compile(r"^(error: |Traceback )", re.MULTILINE)

PROGRESS = re.compile(
    r"^(?P<name>.+?) (?:resumes at )?(?P<done>\d+)/(?P<total>\d+)(?:, .*?(?P<left>\d+) s left)?", re.M
)


@dataclass(frozen=True)
class JobStatus:
    """One job of data, training, prediction or scoring with its state and log.

    `share`: the finished part of a running job (0 to 1). `seconds`: the duration of a finished job, the remaining time
    of a running one; None if unknown. `size`: its cost relative to other jobs of its `model`, in tokens or languages;
    None if unknown in advance.
    """

    kind: str
    name: str
    state: str
    log: Path
    model: str
    share: float | None = None
    seconds: float | None = None
    size: float | None = None


def job_statuses(study: Study) -> list[JobStatus]:
    """All jobs of data, trainings, predictions and scores of a study, from the files in the project's folder."""
    jobs = [_data(*names) for names in _data_files(study)]
    for node in study.checkpoints.values():
        training = None if node.is_given else _training(study, node)
        jobs += [training] if training else []
        for dataset in node.evaluate:
            trained = not training or training.state == DONE
            prediction = _prediction(study, node, dataset, trained)
            jobs += [prediction, _score(study, node, dataset, prediction.state == DONE)]
    return jobs


def status_lines(study: Study, jobs: Sequence[JobStatus]) -> Iterator[str]:
    """The status report for the user."""
    counts = Counter((job.kind, job.state) for job in jobs)
    yield f"study {study.name}, in {study.results}"
    yield f"{'':12}" + "".join(f"{state:>13}" for state in STATES)
    for kind in KINDS:
        yield f"{kind:12}" + "".join(f"{counts[kind, state] or '.':>13}" for state in STATES)
    running = [job for job in jobs if job.state == RUNNING]
    if running:
        yield from ("", "running")
        for job in running:
            share = "starts" if job.share is None else f"{job.share:4.0%}"
            left = "" if job.seconds is None or job.share is None else f", {duration_text(job.seconds)} left"
            yield f"  {share:>6}{left}  {job.name}"
    # Rows that somebody deleted are needed by nothing that is finished.
    left = any(job.state != DONE for job in jobs if job.kind != DATA or job.state == FAILED)
    yield from ("", time_left(jobs)) if left else ("", "nothing is left to do")
    for state in (FAILED, INTERRUPTED):
        yield from _log_lines([job for job in jobs if job.state == state], state)


def time_left(jobs: Sequence[JobStatus]) -> str:
    """The remaining time, from the durations of finished trainings and predictions of the same model."""
    rest = [job for job in jobs if job.state != DONE and job.kind in (TRAININGS, PREDICTIONS)]
    if not rest:
        return "time left: seconds"
    finished: dict[tuple[str, str], list[JobStatus]] = {}
    for job in jobs:
        if job.state == DONE and job.seconds is not None:
            finished.setdefault((job.kind, job.model), []).append(job)
    expected = [(job, _remaining_seconds(job, finished.get((job.kind, job.model), []))) for job in rest]
    known = [seconds for _, seconds in expected if seconds]
    at_once = max(1, sum(job.state == RUNNING for job in rest))
    about = f"about {duration_text(sum(known) / at_once)}, with {at_once} at once" if known else ""
    unknown = Counter(f"{job.kind} of {job.model}" for job, seconds in expected if seconds is None)
    others = ", ".join(f"{what} ({number})" for what, number in sorted(unknown.items()))
    return "time left: " + "; ".join(filter(None, [about, others and f"not known before one has finished: {others}"]))


def duration_text(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h` or `2.1 days`."""
    for size, unit, digits in ((86400, "days", 1), (3600, "h", 1), (60, "min", 0)):
        if seconds >= 2 * size or (unit == "h" and seconds >= size):
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"


# --- states of jobs --------------------------------------------------------------------------------------------------


def _data_files(study: Study) -> Iterator[tuple[str, str, str]]:
    """The names of all jobs before the first training, with the files that they make and their logs."""
    needs = DataRequirements(study)
    for manifest in needs.all_downloads:
        name = str(Path(manifest).parent if manifest.endswith(f"/{MANIFEST}") else Path(manifest).with_suffix(""))
        yield f"fetch {name}", manifest, f"logs/fetch/{name.removeprefix(f'{RAW}/').removeprefix('models/')}.log"
    for manifest in copied_models(study):
        path = str(Path(manifest).parent)
        yield f"copy {path}", manifest, f"logs/copy/{path.removeprefix('models/')}.log"
    for dataset, split, language in sorted(needs.needed):
        name = f"{dataset}.{split}.{language}"
        yield f"prepare {name}", str(PreparedPath(dataset, split, language)), f"logs/prepare/{name}.log"
    for job in needs.translations:
        name = f"{job.dataset}/{job.split}.{job.source}-{job.target}"
        yield f"translate {name}", f"data/translated/{name}.json", f"logs/translate/{name.replace('/', '.')}.log"
    yield "leakage check", f"{study.results}/leakage.json", f"{study.results}/logs/leakage.log"


def _data(name: str, made: str, log: str) -> JobStatus:
    """A job of data. Snakemake deletes what a failed job has made."""
    if Path(made).exists():
        return JobStatus(DATA, name, DONE, Path(log), "")
    return JobStatus(DATA, name, FAILED if FAILURE.search(log_tail(Path(log))) else WAITING, Path(log), "")


def _training(study: Study, node: Checkpoint) -> JobStatus:
    out = Path(node.path)
    kind = "pretrain" if not node.parents else "average" if "average" in node.spec else "train"
    log = out / "logs" / f"{kind}.log"
    name = node.path.removeprefix(f"{study.results}/")
    model = name.partition("/")[0]
    common = {"model": f"{model} (pretraining)" if kind == "pretrain" else model, "size": _tokens(node)}
    if _spec(out / MANIFEST) == node.spec:
        return JobStatus(TRAININGS, name, DONE, log, seconds=read_cost(out).get("seconds"), **common)
    text = log_tail(log)
    share, left = progress(text, out.name)
    if _is_running(out / STAGING / "lock", log, out / RESUME / "state.safetensors"):
        return JobStatus(TRAININGS, name, RUNNING, log, share=share, seconds=left, **common)
    return JobStatus(TRAININGS, name, _stopped_state(text, share), log, **common)


def _prediction(study: Study, node: Checkpoint, dataset: str, trained: bool) -> JobStatus:
    out = Path(node.path, "predictions", dataset)
    log = Path(node.path, "logs", f"predict.{dataset}.log")
    name = f"{node.path.removeprefix(f'{study.results}/')}: {dataset}"
    common = {"model": node.location.model, "size": float(len(node.evaluate[dataset]))}
    if trained and _spec(out.with_suffix(".json")) == predict_spec(study, node.path, dataset):
        return JobStatus(PREDICTIONS, name, DONE, log, seconds=read_cost(out).get("seconds"), **common)
    note = Path(node.path, "benchmarks", f"predict.{dataset}.requested.json")
    text = log_tail(log)
    share, left = progress(text, f"predict {dataset}")
    if trained and _is_running(note, log):
        return JobStatus(PREDICTIONS, name, RUNNING, log, share=share, seconds=left, **common)
    return JobStatus(PREDICTIONS, name, _stopped_state(text, share) if trained else WAITING, log, **common)


def _score(study: Study, node: Checkpoint, dataset: str, predicted: bool) -> JobStatus:
    out, log = Path(node.path, "scores", f"{dataset}.json"), Path(node.path, "logs", f"score.{dataset}.log")
    name, model = f"{node.path.removeprefix(f'{study.results}/')}: {dataset}", node.location.model
    if predicted and out.exists() and read_json(out).get("score_version") == SCORE_VERSION:
        return JobStatus(SCORES, name, DONE, log, model)
    return JobStatus(SCORES, name, FAILED if predicted and FAILURE.search(log_tail(log)) else WAITING, log, model)


def _spec(manifest: Path) -> dict | None:
    try:
        return read_json(manifest)["spec"]
    except FileNotFoundError:
        return None


def _is_running(holder: Path, *logs: Path) -> bool:
    """Whether the process named in a lock or a note exists; on another machine, whether it or its logs are recent."""
    try:
        text, written = holder.read_text(encoding="utf-8"), holder.stat().st_mtime
    except FileNotFoundError:
        return False
    exists = is_running(read_json(holder).get("process", "") if holder.suffix == ".json" else text, written)
    if exists is None:
        times = [path.stat().st_mtime for path in logs if path.exists()]
        return time.time() - max([written, *times]) < MAX_SILENCE_SECONDS
    return exists


def _stopped_state(text: str, share: float | None) -> str:
    """The state of a job that does not run, from its log. A log with its last line is that of another spec."""
    if FAILURE.search(text):
        return FAILED
    return WAITING if not text or share == 1 else INTERRUPTED


# --- logs ------------------------------------------------------------------------------------------------------------


def log_tail(log: Path) -> str:
    """The end of a log; empty without the file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def progress(text: str, name: str) -> tuple[float | None, float | None]:
    """The finished share (0 to 1) and the remaining seconds of `name`, from its last progress line in a log."""
    matches = [match for match in PROGRESS.finditer(text) if match["name"] == name]
    if not matches:
        return None, None
    last = matches[-1]
    share = int(last["done"]) / max(1, int(last["total"]))
    return share, float(last["left"]) if last["left"] else None


def _log_lines(jobs: Sequence[JobStatus], state: str) -> Iterator[str]:
    """The last lines of the logs of failed or interrupted jobs."""
    if jobs:
        note = "" if state == FAILED else "rerun the same command to resume; "
        yield from ("", f"{state} ({note}its log ends with)")
    for job in jobs[:LOGS]:
        yield f"  {job.name}  ({job.log})"
        lines = [line for line in log_tail(job.log).splitlines() if line.strip()]
        yield from (f"    {line}" for line in lines[-LINES:])
    if len(jobs) > LOGS:
        yield f"  and {len(jobs) - LOGS} more"


# --- time ------------------------------------------------------------------------------------------------------------


def _tokens(node: Checkpoint) -> float | None:
    """The number of training tokens; None for a budget in epochs."""
    budget = node.spec.get("budget", node.spec)
    if "average" in node.spec:
        return 0.0
    return None if budget.get("updates") is None else float(budget["updates"] * budget["tokens"])


def _remaining_seconds(job: JobStatus, finished: Sequence[JobStatus]) -> float | None:
    """The remaining seconds of a job: from its own log or, if it has none, from finished jobs of its model."""
    if job.state == RUNNING and job.seconds is not None:
        return job.seconds
    if job.size == 0:
        return 0.0
    left = 1 - (job.share or 0)
    sized = [other for other in finished if other.size]
    if job.size and sized:
        return left * job.size * sum(other.seconds for other in sized) / sum(other.size for other in sized)
    return left * statistics.fmean(other.seconds for other in finished) if finished else None
