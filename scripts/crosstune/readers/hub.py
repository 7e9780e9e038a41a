"""Rows of data sets on the Hugging Face hub."""

from collections.abc import Mapping

from crosstune.errors import UserError
from crosstune.readers.pieces import DEFAULTS, Options, check_ids, check_tag, identifier, member, text_of
from crosstune.readers.qa import check_answers
from crosstune.registry import HubSource

HUB_TAG_COLUMNS = ("upos", "pos_tags", "ner_tags", "tags")


def from_hub(source: HubSource, task: str, options: Options = DEFAULTS) -> list[dict]:
    """The rows of one split of a data set on the Hugging Face hub, through the `datasets` library.

    SQuAD's features give qa rows; `tokens` with a column of tags (class labels or strings) gives tagging rows; `text`
    gives text rows. Raises UserError where the data set cannot be loaded or has other features.
    """
    import datasets

    place = f"hub:{source.id}" + (f" {source.config}" if source.config else "") + f" {source.split}"
    try:
        data = datasets.load_dataset(source.id, source.config, split=source.split, revision=source.revision)
    except Exception as error:  # the library raises a dozen kinds; the advice is the same for all of them
        cure = "The hub must be reachable once; afterwards the cache in HF_HOME serves. Check id, config and revision."
        raise UserError(f"cannot load this data set ({error})", place, cure) from error
    make = {"qa": _hub_question, "tagging": _hub_sentence, "text": _hub_text}[task]
    rows = []
    for number, record in enumerate(data):
        if str(record.get("id", "")).startswith(source.id_prefix):
            rows.append(make(record, data.features, f"{place}, row {number}", number, options))
    if not rows:
        raise UserError(f"no rows with an id that begins with {source.id_prefix!r}" if len(data) else "no rows", place)
    check_ids(rows, place)
    return rows


def _hub_question(record: Mapping, features: Mapping, where: str, number: int, options: Options) -> dict:
    answers = member(record, "answers", dict, where)
    row = {
        "id": identifier(record, where),
        "context": text_of(record, "context", where),
        "question": text_of(record, "question", where),
        "answers": {key: list(member(answers, key, list, where)) for key in ("text", "answer_start")},
    }
    check_answers(row, f"{where}, question {row['id']}")
    return row


def _hub_sentence(record: Mapping, features: Mapping, where: str, number: int, options: Options) -> dict:
    column = next((name for name in HUB_TAG_COLUMNS if name in features), None)
    if column is None:
        raise UserError(f"expected a column of tags ({', '.join(HUB_TAG_COLUMNS)}), found {', '.join(features)}", where)
    labels = getattr(getattr(features[column], "feature", None), "names", None)
    tokens = member(record, "tokens", list, where)
    tags = [labels[tag] if labels else tag for tag in member(record, column, list, where)]
    if len(tokens) != len(tags) or not tokens:
        raise UserError(f"{len(tokens)} tokens with {len(tags)} tags", where)
    tokens = [token.removeprefix(options.token_prefix) for token in tokens]
    for tag in tags:
        check_tag(tag, options.tags, where)
    return {"id": str(record.get("id") or record.get("idx") or number), "tokens": tokens, "tags": tags}


def _hub_text(record: Mapping, features: Mapping, where: str, number: int, options: Options) -> dict:
    return {"id": str(record.get("id") or number), "text": text_of(record, "text", where)}
