"""Leakage: evaluation texts in the training data of a study, and what follows from them.

Owns: which finds are leaks, which leaks stop a study, how that is told.
Must never know: when two texts are the same (overlap), how a study is expanded.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import read_json, read_jsonl
from crosstune.data.record import FOLD

LEAKAGE_VERSION = 1

# Repeats of short texts are a leak, and not chance, from this share of a set on.
SHORT = 0.9

TOLD = 5  # pairs in the message that stops a study


def leakage(splits: Mapping[str, Path], groups: Sequence[Mapping], allowed: Sequence[str]) -> dict:
    """What of the evaluated sets stands in the training sets of a study.

    `splits` are files of prepared rows by `train/DATASET.LANGUAGE` and `test/DATASET.LANGUAGE`. Each group pairs all
    sources of `train` with all sets of `evaluate`; its leaks `stop` the study or are only reported.
    Returns {"version", "compared": number of pairs, "pairs": [...]}: the pairs where something was found, each with the
    number of distinct evaluation `texts`, how many of them are `exact`, `near` and `short` (repeated, without a
    shingle), the number of rows with one `id`, `examples`, and `status`: `chance`, `leak`, `allowed` or `reported`.
    """
    from crosstune.data.overlap import Index, prints  # with numpy, which the Snakefile's own process does without

    wanted: dict[str, dict[str, bool]] = {}
    for group in groups:
        for source, name in product(group["train"], group["evaluate"]):
            stops = wanted.setdefault(source, {})
            stops[name] = stops.get(name, False) or group["stop"]
    names = sorted(set().union(*wanted.values()))
    index = Index({name: prints(read_jsonl(splits[f"test/{name}"])) for name in names})
    pairs = [
        {**pair, "status": status(pair, wanted[source][pair["evaluate"]], allowed)}
        for source in sorted(wanted)
        for pair in index.found(source, prints(read_jsonl(splits[f"train/{source}"])), wanted[source])
    ]
    return {"version": LEAKAGE_VERSION, "compared": sum(map(len, wanted.values())), "pairs": pairs}


def status(pair: Mapping, stops: bool, allowed: Sequence[str]) -> str:
    """What becomes of a pair: repeats by `chance`, or a leak that is `reported`, `allowed`, or stops the study."""
    if not (pair["exact"] or pair["near"] or pair["id"] or pair["short"] >= SHORT * pair["texts"]):
        return "chance"
    if not stops:
        return "reported"
    return "allowed" if any(covers(entry, pair["train"], pair["evaluate"]) for entry in allowed) else "leak"


def covers(entry: str, source: str, evaluated: str) -> bool:
    """Whether `DATASET.LANGUAGE > DATASET.LANGUAGE` means a pair.

    Without a language a side means all of them; a data set that is split in several ways means each of its folds.
    """

    def meant(name: str) -> set[str]:
        dataset, _, language = name.rpartition(".")
        whole = FOLD.sub(r"\1", dataset)
        return {name, dataset, whole, f"{whole}.{language}"}

    return all(side in meant(name) for side, name in zip(entry.split(" > "), (source, evaluated), strict=True))


def refuse(found: Mapping, allowed: Sequence[str]) -> None:
    """UserError that names the worst pairs, where some pair is a leak that the study does not allow."""
    leaks = [pair for pair in found["pairs"] if pair["status"] == "leak"]
    if not leaks:
        return
    leaks.sort(key=lambda pair: -sum(pair[kind] for kind in ("exact", "near", "id", "short")))
    told = [told_pair(pair) for pair in leaks[:TOLD]]
    if len(leaks) > TOLD:
        told.append(f"and {len(leaks) - TOLD} more pairs")
    names = sorted({*allowed, *(f"{pair['train']} > {pair['evaluate']}" for pair in leaks)})
    fix = "Train on other rows (a record's split can `exclude` some by their ids), or say in the study that you know:"
    cures = [*told, fix, f"allow_leakage: [{', '.join(names)}]"]
    raise UserError("the study trains on texts of its evaluation sets", fix="\n".join(cures))


def summary(found: Mapping) -> str:
    """One line for a person: how many pairs were compared, and what was found in them."""
    counts = Counter(pair["status"] for pair in found["pairs"])
    kinds = [f"{counts[name]} with leaks ({name})" for name in ("allowed", "reported") if counts[name]]
    short = [f"{counts['chance']} with short repeats"] if counts["chance"] else []
    return f"leakage: {found['compared']} pairs compared, {', '.join([*kinds, *short]) or 'nothing found'}"


def told_pair(pair: Mapping) -> str:
    """`squad.en > xquad.en: 3 exact, 1 near of 1430 texts, 0 rows by id; row a is b: "In 1066 ..."`."""
    same = pair["exact"] + pair["short"]
    counts = f"{same} exact, {pair['near']} near of {pair['texts']} texts, {pair['id']} rows by id"
    example = pair["examples"][0]
    text = f': "{example["text"]}"' if "text" in example else ""
    return f"{pair['train']} > {pair['evaluate']}: {counts}; row {example['train']} is {example['evaluate']}{text}"


def splits_of(manifests: Sequence[Path]) -> dict[str, Path]:
    """Files of prepared rows by `SPLIT/DATASET.LANGUAGE`, from their manifests."""
    found = {}
    for path in manifests:
        manifest = read_json(path)
        found[f"{manifest['split']}/{manifest['dataset']}.{manifest['lang']}"] = path.with_suffix(".jsonl")
    return found
