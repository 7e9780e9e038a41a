"""What a study would do on a machine: programs, files, downloads. For reading a study of somebody else's."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.text import count
from crosstune.data.sources import SyntheticSource
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.distances import distances_file
from crosstune.study.graph import Study
from crosstune.study.specs import COMMAND_LINE_KEYS

NOTHING = "nothing"

# All white space but single spaces between words: the end of a line, and what pushes the rest into the next one.
SPACES = re.compile(r"[^\S ]+|(?<= ) +|^ +| +$")


def check_no_code(config: Any, where: str) -> None:
    """UserError if Snakemake would evaluate Python in a config file: it has YTE's keys.

    YTE: https://yte-template-engine.github.io, which Snakemake applies to every config file with `__use_yte__`.
    """
    for key in _keys(config):
        if isinstance(key, str) and (key.startswith(("__use_yte__", "__definitions__", "__variables__", "?"))):
            message = f"the key {key!r} makes Snakemake run Python from this file, even in a dry run"
            raise UserError(message, where, "Do not use the file. A study needs no such key.")


def check_no_consent(config: Mapping, where: str) -> None:
    """UserError for a key in a study's file that only the user may give: somebody else's file must not consent."""
    for key in COMMAND_LINE_KEYS:
        if key in config:
            message = f"the key {key!r} is for the command line alone: no file consents for you"
            value = str(config[key]) if key in ("archive", "corrections") else str(config[key]).lower()
            fix = f"Remove it. If you mean it: --config {key}={shlex.quote(value)}"
            raise UserError(message, where, fix)


def commands(study: Study, needs: DataRequirements) -> list[str]:
    """The programs of translators that a study would run, as its config writes them."""
    known = study.config["translators"]
    used = {job.translator for job in needs.translations}
    return sorted({known[name]["command"] for name in used if "command" in known[name]})


def check_commands(study: Study, needs: DataRequirements) -> None:
    """UserError if a study would run programs and the user has not allowed that."""
    programs = commands(study, needs)
    if programs and not study.config["allow_commands"]:
        fix = "\n".join([*programs, "If you trust them: --config allow_commands=true"])
        raise UserError("translators run programs of this machine, with your rights", "translators", fix)


def inspection(study: Study) -> Iterator[str]:
    """Lines: the programs that a study runs, the files that it reads, the folders, the models, downloads, trackers."""
    needs = DataRequirements(study)
    sources = [needs.source(*key) for key in needs.needed]
    files = {path for source in sources if isinstance(source, list) for path in source}
    synthetic = {str(path) for source in sources if isinstance(source, SyntheticSource) for path in source.paths}
    published = study.config["published"].values()
    addresses = Counter(address for download in needs.downloads.values() for address in _addresses(download.request))
    models = [(model["hub"], model["revision"]) for model in study.config["models"].values() if "hub" in model]
    models += [(t["model"], t["revision"]) for t in study.config["translators"].values() if "model" in t]
    yield from _section("runs, with --config allow_commands=true", commands(study, needs))
    yield from _section("reads the folders", [f"{name}: {place}" for name, place in study.config["folders"].items()])
    places = [model["folder"] for model in study.config["models"].values() if "folder" in model]
    yield from _section("reads the models in the folders", places)
    files |= set(map(Path, distances_file(study)))
    yield from _section("reads the files", sorted(map(str, files)))
    yield from _section("reads the synthetic data", sorted(synthetic))
    yield from _section("reads the published tables", sorted(entry["table"] for entry in published))
    yield from _section("downloads the models", sorted({f"{name} at {revision}" for name, revision in models}))
    yield from _section("downloads data from", _numbers(addresses))
    yield from _section("shows trainings in the trackers", study.config.get("trackers", []))
    yield from _section("writes below", [study.results, "data", "models", "logs"])


def _section(title: str, values: Iterable[str]) -> Iterator[str]:
    """A title and a line for each value. A value that stays on its line cannot look like another section."""
    yield f"{title}:"
    yield from (f"  {SPACES.sub(_escaped, value)}" for value in list(values) or [NOTHING])


def _escaped(spaces: re.Match) -> str:
    return "".join(f"\\x{ord(space):02x}" for space in spaces[0])


def _addresses(request: Mapping) -> list[str]:
    """The folders of a request's addresses, or its repository."""
    if "url" in request:
        return [f"{url.rpartition('/')[0]}/" for url in request["url"]]
    return [f"{request['hub']} of the hub, at {request['revision'] or 'no revision yet'}"]


def _numbers(places: Counter[str]) -> Iterator[str]:
    for place, number in sorted(places.items()):
        yield f"{place} ({count(number, 'file')})" if place.endswith("/") else place


def _keys(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield key
            yield from _keys(part)
    elif isinstance(value, list):
        for part in value:
            yield from _keys(part)
