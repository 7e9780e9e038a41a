"""Translators, one module each: lines of one language into lines of another.

A translator is a subclass of `Translator`; adding one is adding its file and its line in `BACKENDS`. A study names each
by a mapping with exactly one of the keys

    command        a program that reads and writes lines, with `pairs` from ours to its own names of language pairs
    model          a sequence-to-sequence model of the hub, with `revision`, `codes` of its languages and `beams`
    transliterate  true: from one Indic script to another, letter by letter
    lexicon        true: between languages of the constructed world, word by word

Owns: what every translator promises, which there are. Must never know: what lines are, or rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from crosstune.core.errors import UserError


class Translator(ABC):
    """Translates lines. `truncated` counts the pieces of text so far of which the end was not translated.

    `inside_words`: whether marks may stand inside words, as they do where single letters are translated.
    """

    inside_words = False
    truncated = 0

    @abstractmethod
    def check(self, source: str, target: str) -> None:
        """Raises UserError for a pair of languages that cannot be translated, before any work."""

    @abstractmethod
    def translate(self, lines: Sequence[str], source: str, target: str) -> list[str]:
        """One line for each line, in order; UserError where it fails. Equal calls give equal lines."""


class Backend(NamedTuple):
    """Where a translator's class is, and its arguments from the configuration, the model's folder and the world."""

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
    "lexicon": Backend("lexicon", "LexiconTranslator", lambda config, folder, world: (world.get("seed", 0),)),
}


def load_translator(config: Mapping, folder: Path | None = None, world: Mapping | None = None) -> Translator:
    """The translator of a configuration; `folder` is the fetched model's, `world` the constructed world's spec.

    Raises UserError where the configuration names none or several, or where its model cannot be loaded.
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
    return getattr(module, backend.name)(*backend.arguments(config, folder, world or {}))
