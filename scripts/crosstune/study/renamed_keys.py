"""Config keys of earlier versions: each is refused with the line to paste instead."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from crosstune.core.errors import UserError

# Old key to new key, by the part of the config that holds it; a dotted new key is nested.
RENAMED = {
    "study": {"keep": "keep_weights", "world": "synthetic"},
    "recipe": {
        "mask": "mlm_probability",
        "alpha": "sampling_alpha",
        "clip": "max_grad_norm",
        "decay": "lr_schedule",
        "contrast": "contrastive.weight",
        "contrast_layers": "contrastive.layers",
        "contrast_parts": "contrastive.pooled_text",
        "contrast_temperature": "contrastive.temperature",
        "contrast_temperature_lr": "contrastive.temperature_lr",
        "contrast_share": "contrastive.active_share",
        "contrast_self": "contrastive.self_pairs",
        "contrast_negatives": "contrastive.negatives",
        "compat": "contrastive.mode",
    },
    "encoding": {"question": "max_question_length"},
    "select": {"trace": "log_test_scores"},
    "tables": {"over": "panels", "show": "statistic", "minus": "relative_to"},
    "published": {"numbers": "table"},
    "source": {"world": "synthetic"},
}
# Parts whose entries have names of the user's choice.
NAMED = ("tables", "published")


def check_renamed(config: Mapping[str, Any]) -> None:
    """UserError for the first key of an earlier version, with the line to paste."""
    for where, part, mapping in _parts(config, "", "study"):
        for old, new in RENAMED[part].items():
            if old in mapping:
                raise UserError(f"the key {old!r} is now {new}", f"{where}.{old}".lstrip("."), _line(new, mapping[old]))


def _parts(value: Any, where: str, part: str) -> Iterator[tuple[str, str, Mapping]]:
    """All mappings whose keys have been renamed, with their place in the config and their part."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _parts(item, f"{where}[{number}]", part)
    if not isinstance(value, Mapping):
        return
    if part in RENAMED and not (part in NAMED and where == part):
        yield where, part, value
    if "train" in value and part == "schedules":
        yield where, "recipe", value
    for key, below in value.items():
        inherits = part in NAMED or part == "schedules"
        yield from _parts(below, f"{where}.{key}".lstrip("."), part if inherits else str(key))


def _line(key: str, value: Any) -> str:
    """The new key with the old value, as one line of YAML."""
    outer, _, inner = key.partition(".")
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).strip().removesuffix("...").strip()
    return f"{outer}: {{{inner}: {text}}}" if inner else f"{outer}: {text}"
