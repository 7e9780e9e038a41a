"""Translators of lines between languages, one module each.

A translator is a subclass of `Translator`; a new one needs its module and its line in `BACKENDS`. A study configures
each by a mapping with exactly one of the keys

    command        a program that reads and writes lines, with `pairs` from this project's to its names of pairs
    model          a sequence-to-sequence model of the hub, with `revision`, `codes` of its languages and `beams`
    transliterate  true: from one Indic script to another, letter by letter
    lexicon        true: between synthetic languages, phrase by phrase
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from crosstune.core.errors import UserError


class Translator(ABC):
    """A translator of lines. `truncated` counts the texts so far whose end was not translated.

    `inside_words`: whether marks may stand inside words, which suits translators of single letters.
    """

    inside_words = False
    truncated = 0

    @abstractmethod
    def check(self, source: str, target: str) -> None:
        """Raise UserError for a pair of languages that the translator lacks, before any work."""

    @abstractmethod
    def translate(self, lines: Sequence[str], source: str, target: str) -> list[str]:
        """The translation of each line, in order; deterministic. Raises UserError if the translator fails."""


class Backend(NamedTuple):
    """Module and class of a translator, and its arguments from configuration, model folder and synthetic spec."""

    module: str
    name: str
    arguments: Callable[[Mapping, Path | None, Mapping], tuple]


BACKENDS = {
    "command": Backend("command", "CommandTranslator", lambda config, *_: (config["command"], config.get("pairs", {}))),
    "model": Backend(
        "seq2seq",
        "ModelTranslator",
        lambda config, folder, _: (folder, config.get("codes", {}), config.get("beams", 1)),
    ),
    "transliterate": Backend("transliteration", "Transliterator", lambda *_: ()),
    "lexicon": Backend("lexicon", "LexiconTranslator", lambda config, folder, synthetic: (synthetic.get("seed", 0),)),
}


def load_translator(config: Mapping, folder: Path | None = None, synthetic: Mapping | None = None) -> Translator:
    """The translator of a configuration; `folder` is that of a fetched model, `synthetic` the synthetic data's spec.

    Raises UserError if the configuration has no or several kinds, or its model cannot be loaded.
    """
    kinds = [kind for kind in BACKENDS if config.get(kind)]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        message = f"expected exactly one of the keys {', '.join(BACKENDS)}, found {found}"
        raise UserError(
            message, "translator", 'Such as {command: "apertium -u -f txt {pair}", pairs: {en-es: eng-spa}}'
        )
    if kinds == ["model"] and folder is None:
        raise UserError(f"the folder of the model {config['model']} is not named", "translator", "Add: --model FOLDER")
    backend = BACKENDS[kinds[0]]
    module = import_module(f"crosstune.data.translation.translators.{backend.module}")
    return getattr(module, backend.name)(*backend.arguments(config, folder, synthetic or {}))
