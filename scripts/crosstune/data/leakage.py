"""Leakage: evaluation texts in the training data of a study, and whether they stop it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.core.files import read_json, read_jsonl
from crosstune.data.part_names import whole_name
from crosstune.data.record import FOLD_NAME

LEAKAGE_VERSION = 2

# Kinds of overlap that are a leak in any number.
CERTAIN = ("exact", "near", "id", "parallel")

# Repeated short texts are chance below this share of an evaluation set, and a leak from it on.
SHORT_SHARE = 0.9

MAX_PAIRS_SHOWN = 5  # in the message that stops a study


def find_leakage(splits: Mapping[str, Path], groups: Sequence[Mapping], allowed: Sequence[str]) -> dict:
    """Overlaps between the training sets and the evaluation sets of a study.

    `splits` are files of prepared rows by `SPLIT/DATASET.LANGUAGE`. Each group pairs all sets of `train` with all sets
    of `evaluate`; its leaks `stop` the study or are only reported. A set without a split is a training split in `train`
    and a test split in `evaluate`.
    Returns {"version", "compared": number of pairs, "limits": what the comparison does not find, "pairs": [...]}.
    `pairs` lists those with an overlap: the number of distinct evaluation `texts`, how many of them are `exact`, `near`
    and `short` (repeated, without a shingle), the number of rows with the same `id` and of `parallel` rows, `examples`,
    and `status`: `chance`, `leak`, `allowed` or `reported`.
    """
    # Late, because it imports numpy, which the Snakefile's process does not need.
    from crosstune.data.overlap import LIMITS, OverlapIndex, fingerprint

    stops: dict[str, dict[str, bool]] = {}
    for group in groups:
        for source, name in product(group["train"], group["evaluate"]):
            evaluated = stops.setdefault(source, {})
            evaluated[name] = evaluated.get(name, False) or group["stop"]

    def rows(name: str, split: str) -> tuple[list[dict], str]:
        """The rows of a set, which has the default `split`, and its language."""
        return read_jsonl(splits[name if "/" in name else f"{split}/{name}"]), name.rpartition(".")[2]

    names = sorted(set().union(*stops.values()))
    index = OverlapIndex({name: fingerprint(*rows(name, "test")) for name in names})
    pairs = [
        {**pair, "status": pair_status(pair, stops[source][pair["evaluate"]], allowed)}
        for source in sorted(stops)
        for pair in index.overlaps(source, fingerprint(*rows(source, "train")), stops[source])
    ]
    compared = sum(map(len, stops.values()))
    return {"version": LEAKAGE_VERSION, "compared": compared, "limits": list(LIMITS.values()), "pairs": pairs}


def pair_status(pair: Mapping, stops: bool, allowed: Sequence[str]) -> str:
    """`chance` for repeats of short texts, else `reported`, `allowed`, or `leak`, which stops the study."""
    if not (any(pair[kind] for kind in CERTAIN) or pair["short"] >= SHORT_SHARE * pair["texts"]):
        return "chance"
    if not stops:
        return "reported"
    return "allowed" if any(covers(entry, pair["train"], pair["evaluate"]) for entry in allowed) else "leak"


def covers(entry: str, source: str, evaluated: str) -> bool:
    """Whether the entry `DATASET.LANGUAGE > DATASET.LANGUAGE` allows a pair.

    A side without a language covers all languages; a data set covers its folds and parts. A validation split is
    covered by its whole name alone, as in `validation/DATASET.LANGUAGE`.
    """

    def patterns(name: str) -> set[str]:
        split, slash, rest = without_parts(name).rpartition("/")
        dataset, _, language = rest.rpartition(".")
        base = FOLD_NAME.sub(r"\1", dataset)
        return {f"{split}{slash}{side}" for side in (rest, dataset, base, f"{base}.{language}")}

    return all(side in patterns(name) for side, name in zip(entry.split(" > "), (source, evaluated), strict=True))


def without_parts(name: str) -> str:
    """The set `DATASET.LANGUAGE` or `SPLIT/DATASET.LANGUAGE` that a set of a part derives from."""
    dataset, _, language = name.rpartition(".")
    return f"{whole_name(dataset)}.{language}"


def refuse_leaks(found: Mapping, allowed: Sequence[str]) -> None:
    """Raise UserError, which names the worst pairs, if any pair is a leak that the study does not allow."""
    leaks = [pair for pair in found["pairs"] if pair["status"] == "leak"]
    if not leaks:
        return
    leaks.sort(key=lambda pair: -sum(pair[kind] for kind in (*CERTAIN, "short")))
    lines = [pair_line(pair) for pair in leaks[:MAX_PAIRS_SHOWN]]
    if len(leaks) > MAX_PAIRS_SHOWN:
        lines.append(f"and {len(leaks) - MAX_PAIRS_SHOWN} more pairs")
    pairs = {" > ".join(without_parts(pair[side]) for side in ("train", "evaluate")) for pair in leaks}
    names = sorted({*allowed, *pairs})
    fix = "Train on other rows (a record's split can `exclude` some by their ids), or say in the study that you know:"
    lines += [fix, f"allow_leakage: [{', '.join(names)}]"]
    raise UserError("the study trains or selects on texts of its evaluation sets", fix="\n".join(lines))


def summary_lines(found: Mapping) -> list[str]:
    """The number of compared pairs, and how many of them have leaks or short repeats; then the check's limits."""
    counts = Counter(pair["status"] for pair in found["pairs"])
    kinds = [f"{counts[name]} with leaks ({name})" for name in ("allowed", "reported") if counts[name]]
    short = [f"{counts['chance']} with short repeats"] if counts["chance"] else []
    line = f"leakage: {found['compared']} pairs compared, {', '.join([*kinds, *short]) or 'nothing found'}"
    return [line, "it does not find:", *(f"  {limit}" for limit in found["limits"])]


def pair_line(pair: Mapping) -> str:
    """`squad.en > xquad.en: 3 exact, 1 near of 1430 texts, 2 rows by id; row a is b: "In 1066 ..."`."""
    counts = f"{pair['exact'] + pair['short']} exact, {pair['near']} near of {pair['texts']} texts"
    rows = (
        f", {pair[kind]} {name}" for kind, name in (("id", "rows by id"), ("parallel", "parallel rows")) if pair[kind]
    )
    example = pair["examples"][0]
    text = f': "{example["text"]}"' if "text" in example else ""
    found = f"{counts}{''.join(rows)}; row {example['train']} is {example['evaluate']}{text}"
    return f"{pair['train']} > {pair['evaluate']}: {found}"


def rows_by_split(manifests: Sequence[Path]) -> dict[str, Path]:
    """Files of prepared rows by `SPLIT/DATASET.LANGUAGE`, from their manifests."""
    rows = {}
    for path in manifests:
        manifest = read_json(path)
        rows[f"{manifest['split']}/{manifest['dataset']}.{manifest['lang']}"] = path.with_suffix(".jsonl")
    return rows
