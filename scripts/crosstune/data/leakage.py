"""Leakage: evaluation texts in the training data of a study, and whether they stop it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import read_json, read_jsonl
from crosstune.data.record import FOLD_NAME

LEAKAGE_VERSION = 1

# Repeated short texts are chance below this share of an evaluation set, and a leak from it on.
SHORT_SHARE = 0.9

MAX_PAIRS_SHOWN = 5  # in the message that stops a study


def find_leakage(splits: Mapping[str, Path], groups: Sequence[Mapping], allowed: Sequence[str]) -> dict:
    """Overlaps between the training sets and the evaluation sets of a study.

    `splits` are files of prepared rows by `train/DATASET.LANGUAGE` and `test/DATASET.LANGUAGE`. Each group pairs all
    sources of `train` with all sets of `evaluate`; its leaks `stop` the study or are only reported.
    Returns {"version", "compared": number of pairs, "pairs": [...]}. `pairs` lists those with an overlap: the number of
    distinct evaluation `texts`, how many of them are `exact`, `near` and `short` (repeated, without a shingle), the
    number of rows with the same `id`, `examples`, and `status`: `chance`, `leak`, `allowed` or `reported`.
    """
    # Late, because it imports numpy, which the Snakefile's process does not need.
    from crosstune.data.overlap import OverlapIndex, fingerprint

    stops: dict[str, dict[str, bool]] = {}
    for group in groups:
        for source, name in product(group["train"], group["evaluate"]):
            evaluated = stops.setdefault(source, {})
            evaluated[name] = evaluated.get(name, False) or group["stop"]
    names = sorted(set().union(*stops.values()))
    index = OverlapIndex({name: fingerprint(read_jsonl(splits[f"test/{name}"])) for name in names})
    pairs = [
        {**pair, "status": pair_status(pair, stops[source][pair["evaluate"]], allowed)}
        for source in sorted(stops)
        for pair in index.overlaps(source, fingerprint(read_jsonl(splits[f"train/{source}"])), stops[source])
    ]
    return {"version": LEAKAGE_VERSION, "compared": sum(map(len, stops.values())), "pairs": pairs}


def pair_status(pair: Mapping, stops: bool, allowed: Sequence[str]) -> str:
    """`chance` for repeats of short texts, else `reported`, `allowed`, or `leak`, which stops the study."""
    if not (pair["exact"] or pair["near"] or pair["id"] or pair["short"] >= SHORT_SHARE * pair["texts"]):
        return "chance"
    if not stops:
        return "reported"
    return "allowed" if any(covers(entry, pair["train"], pair["evaluate"]) for entry in allowed) else "leak"


def covers(entry: str, source: str, evaluated: str) -> bool:
    """Whether the entry `DATASET.LANGUAGE > DATASET.LANGUAGE` allows a pair.

    A side without a language covers all languages; a data set with folds covers each of them.
    """

    def patterns(name: str) -> set[str]:
        dataset, _, language = name.rpartition(".")
        base = FOLD_NAME.sub(r"\1", dataset)
        return {name, dataset, base, f"{base}.{language}"}

    return all(side in patterns(name) for side, name in zip(entry.split(" > "), (source, evaluated), strict=True))


def refuse_leaks(found: Mapping, allowed: Sequence[str]) -> None:
    """Raise UserError, which names the worst pairs, if any pair is a leak that the study does not allow."""
    leaks = [pair for pair in found["pairs"] if pair["status"] == "leak"]
    if not leaks:
        return
    leaks.sort(key=lambda pair: -sum(pair[kind] for kind in ("exact", "near", "id", "short")))
    lines = [pair_line(pair) for pair in leaks[:MAX_PAIRS_SHOWN]]
    if len(leaks) > MAX_PAIRS_SHOWN:
        lines.append(f"and {len(leaks) - MAX_PAIRS_SHOWN} more pairs")
    names = sorted({*allowed, *(f"{pair['train']} > {pair['evaluate']}" for pair in leaks)})
    fix = "Train on other rows (a record's split can `exclude` some by their ids), or say in the study that you know:"
    lines += [fix, f"allow_leakage: [{', '.join(names)}]"]
    raise UserError("the study trains on texts of its evaluation sets", fix="\n".join(lines))


def summary_line(found: Mapping) -> str:
    """One line: the number of compared pairs, and how many of them have leaks or short repeats."""
    counts = Counter(pair["status"] for pair in found["pairs"])
    kinds = [f"{counts[name]} with leaks ({name})" for name in ("allowed", "reported") if counts[name]]
    short = [f"{counts['chance']} with short repeats"] if counts["chance"] else []
    return f"leakage: {found['compared']} pairs compared, {', '.join([*kinds, *short]) or 'nothing found'}"


def pair_line(pair: Mapping) -> str:
    """`squad.en > xquad.en: 3 exact, 1 near of 1430 texts, 0 rows by id; row a is b: "In 1066 ..."`."""
    same = pair["exact"] + pair["short"]
    counts = f"{same} exact, {pair['near']} near of {pair['texts']} texts, {pair['id']} rows by id"
    example = pair["examples"][0]
    text = f': "{example["text"]}"' if "text" in example else ""
    return f"{pair['train']} > {pair['evaluate']}: {counts}; row {example['train']} is {example['evaluate']}{text}"


def rows_by_split(manifests: Sequence[Path]) -> dict[str, Path]:
    """Files of prepared rows by `SPLIT/DATASET.LANGUAGE`, from their manifests."""
    rows = {}
    for path in manifests:
        manifest = read_json(path)
        rows[f"{manifest['split']}/{manifest['dataset']}.{manifest['lang']}"] = path.with_suffix(".jsonl")
    return rows
