"""Size of the page of a large study, how long it takes to write, and how long Chromium takes to show it.

    python benchmarks/page.py --out benchmarks/results/page.md

The study is planted: 50 languages, 12 schedules, 10 tasks, 3 seeds. Shown: from asking for the file until its load
event, and until the first figure stands there.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from rivals import ROOT, processor

sys.path.insert(0, str(ROOT / "scripts"))

from crosstune.analysis.results import load_results
from crosstune.core.files import write_json, write_jsonl
from crosstune.reporting.page.page import write_report

SOURCES = ("l00", "l01", "l02")
TIMES = 5


def plant(folder: Path, languages: int, schedules: int, tasks: int, seeds: int) -> None:
    """Write the plan and the scores: the untrained model, one source, all at once, and sequences of three stages."""
    random.seed(0)
    codes = [f"l{number:02d}" for number in range(languages)]
    names = ["untrained", "single", "joint", *(f"sequential{number}" for number in range(schedules - 3))]
    about = {
        code: {
            "name": f"Language {code}",
            "family": f"family {n % 12}",
            "script": "Latn",
            "resource": "low" if n > 9 else "high",
        }
        for n, code in enumerate(codes)
    }
    runs, tracks = [], {}
    for task in range(tasks):
        track, dataset = f"task{task}", f"data{task}"
        tracks[track] = {
            "metrics": {dataset: "qa"}, "xtreme": {}, "trained": list(SOURCES), "evaluate": {dataset: codes},
            "matched": True, "budget": {"updates": 300, "tokens": 4096}, "schedules": names,
        }  # fmt: skip
        for name in names:
            mixtures = stages_of(name, dataset)
            for seed in range(1, seeds + 1):
                path, stages = f"model/seed{seed}/{track}", []
                for number in range(len(mixtures)):
                    path += f"/{name}{number}"
                    stages.append(path)
                    scores = {code: {"f1": random.uniform(5, 80), "exact_match": 5.0, "n": 1000} for code in codes}
                    write_json(folder / path / f"scores/{dataset}.json", {"dataset": dataset, "languages": scores})
                    write_jsonl(folder / path / "train.jsonl", learning_curve(300 // len(mixtures)))
                runs.append(
                    {
                        "model": "model",
                        "seed": seed,
                        "track": track,
                        "schedule": name,
                        "stages": stages,
                        "evaluated": [[dataset]] * len(stages),
                        "mixtures": mixtures,
                        "updates": [0 if name == "untrained" else 300 // len(stages)] * len(stages),
                    }
                )
    plan = {
        "study": "large", "primary": {"track": "task0", "dataset": "data0", "metric": "f1"},
        "headline": {"single": "single", "joint": "joint", "sequential": "sequential0"},
        "seeds": list(range(1, seeds + 1)), "models": ["model"], "languages": about, "tracks": tracks, "runs": runs,
    }  # fmt: skip
    write_json(folder / "plan.json", plan)


def learning_curve(updates: int) -> list[dict]:
    """The points of a training's curve, about 50."""
    return [
        {
            "update": n,
            "loss": random.uniform(0.5, 3),
            "lr": 1e-4 / n,
            "grad_norm": random.uniform(0.5, 9),
            "tokens": 4096,
        }
        for n in range(1, updates + 1, max(1, updates // 50))
    ]


def stages_of(schedule: str, dataset: str) -> list[list[str]]:
    """The sources of every stage."""
    sources = [f"{dataset}.{code}" for code in SOURCES]
    if schedule == "untrained":
        return [[]]
    return {"single": [sources[:1]], "joint": [sources]}.get(schedule, [[source] for source in sources])


def shown(page: Path) -> tuple[float, float]:
    """Seconds until the load event, and until the first figure is drawn."""
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("headless=new", "no-sandbox", "disable-gpu"):
        options.add_argument(f"--{argument}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        driver.get("data:,")
        begin = time.perf_counter()
        driver.get(page.as_uri())
        loaded = time.perf_counter() - begin
        driver.execute_script("document.querySelector('figure.figure').scrollIntoView()")
        drawn = "return document.querySelector('figure.figure .chart').getClientRects().length > 0"
        WebDriverWait(driver, 60, 0.05).until(lambda _: driver.execute_script(drawn))
        return loaded, time.perf_counter() - begin
    finally:
        driver.quit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", type=int, default=50)
    parser.add_argument("--schedules", type=int, default=12)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="file for the table")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plant(folder, args.languages, args.schedules, args.tasks, args.seeds)
        study, page = load_results(folder / "plan.json", folder), folder / "report.html"
        begin = time.process_time()
        write_report(study, folder, page)
        written = time.process_time() - begin
        times = sorted(shown(page) for _ in range(TIMES))
        size = page.stat().st_size / 1e6
    loaded, drawn = (sorted(column)[TIMES // 2] for column in zip(*times, strict=True))
    lines = [
        f"# The page of {args.languages} languages, {args.schedules} schedules, {args.tasks} tasks, {args.seeds} seeds",
        "",
        f"{date.today()}, {processor()}, Chromium without a window, medians of {TIMES}; load {os.getloadavg()[0]:.1f};"
        f" `python benchmarks/page.py {' '.join(sys.argv[1:])}`.",
        "",
        "| | |",
        "|:--|--:|",
        f"| size | {size:.1f} MB |",
        f"| written in, CPU | {written:.0f} s |",
        f"| loaded in | {loaded:.1f} s |",
        f"| first figure drawn after | {drawn:.1f} s |",
    ]
    print("\n".join(lines))
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
