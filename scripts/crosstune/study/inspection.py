"""What a study would do on a machine: programs, files, downloads. For reading a study of somebody else's."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.text import count
from crosstune.study.data_requirements import DataRequirements
from crosstune.study.graph import Study

NOTHING = "nothing"

# Only the command line gives them: a file may come from anybody.
CONSENTS_OF_THE_USER = ("allow_commands", "replace")


def check_no_code(config: Any, where: str) -> None:
    """UserError if Snakemake would evaluate Python in a config file: it has YTE's keys.

    YTE: https://yte-template-engine.github.io, which Snakemake applies to every config file with `__use_yte__`.
    """
    for key in _keys(config):
        if isinstance(key, str) and (key.startswith(("__use_yte__", "__definitions__", "__variables__", "?"))):
            message = f"the key {key!r} makes Snakemake run Python from this file, even in a dry run"
            raise UserError(message, where, "Do not use the file. A study needs no such key.")


def check_consents(config: Mapping, where: str) -> None:
    """UserError if a config file itself gives a consent that is for the user to give."""
    for key in CONSENTS_OF_THE_USER:
        if config.get(key):
            fix = f"Remove the key. If you want it, say so: --config {key}=true"
            raise UserError("a file cannot give your consent", f"{where}: {key}", fix)


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
    """Lines: the programs that a study runs, the files that it reads, the folders, the models and the downloads."""
    needs = DataRequirements(study)
    files = {path for key in needs.needed if isinstance(found := needs.source(*key), list) for path in found}
    addresses = Counter(address for download in needs.downloads.values() for address in _addresses(download.request))
    models = [(model["hub"], model["revision"]) for model in study.config["models"].values() if "hub" in model]
    models += [(t["model"], t["revision"]) for t in study.config["translators"].values() if "model" in t]
    yield from _section("runs, with --config allow_commands=true", commands(study, needs))
    yield from _section("reads the folders", [f"{name}: {place}" for name, place in study.config["folders"].items()])
    yield from _section("reads the files", _numbers(Counter(f"{path.parent}/" for path in files)))
    yield from _section("downloads the models", sorted({f"{name} at {revision}" for name, revision in models}))
    yield from _section("downloads data from", _numbers(addresses))
    yield from _section("writes below", [study.results, "data", "models", "logs"])


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"{title}:"
    yield from (f"  {line}" for line in list(lines) or [NOTHING])


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
