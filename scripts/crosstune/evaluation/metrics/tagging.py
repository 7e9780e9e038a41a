"""Tagging: token accuracy, and the chunk F1 that XTREME reports for part-of-speech tags.

XTREME passes plain tags (NOUN, VERB) to seqeval, which reads them as chunk tags. `chunks` reproduces **seqeval 1.2.2**
(`metrics.sequence_labeling.get_entities`, default mode) on any tags, B-/I- ones included. On plain tags it follows that

- a run of one tag is one chunk, so that one wrong token can cost three chunks, and F1 is not token accuracy;
- the first letter is cut off the type: CCONJ and SCONJ are the same chunk type, and so are X and `_`;
- tags that begin with S (SYM, SCONJ) never join a run;
- the end of a sentence is the tag O, whose type is that of X: an X run that ends a sentence is never closed and not
  counted, and one that opens any sentence but the first begins where the previous chunk began.

By the last point a sentence depends on the previous ones. Chunks are therefore found over the whole text in the order
of the file and counted with the sentence they *end* in: the counts of the sentences sum to seqeval's exactly.
"""

from collections.abc import Sequence

from crosstune.evaluation.metrics.metric import Metric

COUNTS = ("correct", "tokens", "chunks_correct", "chunks_predicted", "chunks_gold")

SENTENCE_END = "O"


def problem(row: dict) -> str | None:
    """The fault of a prediction row {"id", "prediction": [tag, ...], "gold": [tag, ...]}, or None."""
    for key in ("prediction", "gold"):
        tags = row.get(key)
        if not (isinstance(tags, list) and tags and all(isinstance(tag, str) and tag for tag in tags)):
            return f'"{key}" must be a list of one or more tags'
    predicted, gold = len(row["prediction"]), len(row["gold"])
    return None if predicted == gold else f"{predicted} predicted tags for {gold} tokens"


def measure(rows: Sequence[dict], lang: str = "") -> list[dict]:
    """One record of counts (COUNTS) per sentence, in the order of the file (see the module)."""
    predicted = chunks_by_sentence([row["prediction"] for row in rows])
    gold = chunks_by_sentence([row["gold"] for row in rows])
    return [
        {
            "id": row["id"],
            "correct": sum(a == b for a, b in zip(row["prediction"], row["gold"], strict=True)),
            "tokens": len(row["gold"]),
            "chunks_correct": len(predicted_chunks & gold_chunks),
            "chunks_predicted": len(predicted_chunks),
            "chunks_gold": len(gold_chunks),
        }
        for row, predicted_chunks, gold_chunks in zip(rows, predicted, gold, strict=True)
    ]


def summarise(examples: Sequence[dict]) -> dict:
    """Micro-averaged chunk F1 and token accuracy (0 to 100) from the summed counts, and the number `n` of sentences."""
    total = {key: sum(example[key] for example in examples) for key in COUNTS}
    chunks_either = total["chunks_predicted"] + total["chunks_gold"]
    return {
        "f1": 200 * total["chunks_correct"] / chunks_either if chunks_either else 0.0,
        "accuracy": 100 * total["correct"] / total["tokens"],
        "n": len(examples),
    }


def precision_and_recall(examples: Sequence[dict]) -> dict:
    """Micro-averaged precision and recall of chunks (0 to 100), 0 without any predicted or gold chunk, as seqeval."""
    total = {key: sum(example[key] for example in examples) for key in COUNTS}
    return {
        name: 100 * total["chunks_correct"] / total[key] if total[key] else 0.0
        for name, key in (("precision", "chunks_predicted"), ("recall", "chunks_gold"))
    }


def ratio_terms(example: dict, key: str) -> tuple[float, float]:
    """A sentence's terms of the numerator and the denominator of a number of `summarise`."""
    if key == "accuracy":
        return 100 * example["correct"], example["tokens"]
    return 200 * example["chunks_correct"], example["chunks_predicted"] + example["chunks_gold"]


def chunks_by_sentence(sentences: Sequence[Sequence[str]]) -> list[set[tuple[str, int, int]]]:
    """The chunks of a text, each in the set of the sentence it ends in.

    Positions count one place for the end of every sentence.
    """
    stream = [tag for sentence in sentences for tag in [*sentence, SENTENCE_END]]
    sentence_of = [index for index, sentence in enumerate(sentences) for _ in range(len(sentence) + 1)]
    found: list[set[tuple[str, int, int]]] = [set() for _ in sentences]
    for chunk in chunks(stream):
        found[sentence_of[chunk[2]]].add(chunk)
    return found


def chunks(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The chunks (type, first, last) of a stream of tags, as seqeval 1.2.2 finds them, rule for rule."""
    found = []
    before, type_before, begin = "O", "", 0
    for position, tag in enumerate([*tags, SENTENCE_END]):
        mark, kind = tag[0], tag[1:].split("-", maxsplit=1)[-1] or "_"
        changed = kind != type_before
        ends = before in "ES" or (before in "BI" and mark in "BSO") or (before not in "O." and changed)
        starts = mark in "BS" or (before in "ESO" and mark in "EI") or (mark not in "O." and changed)
        if ends:
            found.append((type_before, begin, position - 1))
        if starts:
            begin = position
        before, type_before = mark, kind
    return found


CHUNK_F1 = Metric(
    {"f1": "chunk F1 (seqeval 1.2.2)", "accuracy": "token accuracy"}, problem, measure, summarise, ("f1",),
    ratio_terms=ratio_terms, details=precision_and_recall,
)  # fmt: skip
