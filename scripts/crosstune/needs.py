"""What a study needs before anything is trained: prepared rows, the files and downloads that they are made of.

Owns: which data are needed and from where, what is missing, what of it a user must be told before any job.
Must never know: how to download or read, what the rows are used for.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from crosstune.download import FETCH_ALL, offline
from crosstune.errors import UserError
from crosstune.fetch import manifest_path, request_of
from crosstune.prepare import PREPARE_VERSION
from crosstune.registry import HubSource, UrlSource, WorldSource
from crosstune.study import Study

PIN_ALL = "snakemake --cores 1 pin"
RAW = "data/raw"
WORLD_MANIFEST = f"{RAW}/world/world.json"


@dataclass(frozen=True)
class Download:
    """What a job fetches for one or more data sets, and their licences."""

    request: dict
    licence: str


class Needs:
    """The data of a study."""

    def __init__(self, study: Study):
        self._study = study

    @property
    def has_passed(self) -> bool:
        """Whether the guard against leakage has let the study through before."""
        return Path(self._study.results, "unleaked").exists()

    def prepare_spec(self, dataset: str, split: str, language: str) -> dict:
        """What the prepared rows of one language depend on, beside the content of their source."""
        record = self._study.registry[dataset]
        found = record.require(language, split)
        location = record.planned(language, split, self._study.config["folders"])
        return {
            "version": PREPARE_VERSION,
            "source": asdict(location)
            if isinstance(location, HubSource | UrlSource)
            else record.names(language, split),
            "world": self._study.config["world"] if isinstance(location, WorldSource) else None,
            "reader": record.reader,
            "form": [record.codes.get(language), record.tags, record.labels, record.fields, record.token_prefix],
            "rows": found.rows.get(language),
            "sha256": found.sha256.get(language),
            "exclude": found.exclude.get(language),
        }

    def raw_inputs(self, dataset: str, split: str, language: str) -> list[str]:
        """Files that preparing waits for: the record's, or the manifest of a download or of the constructed world."""
        location = self._study.registry[dataset].planned(language, split, self._study.config["folders"])
        if isinstance(location, WorldSource):
            return [WORLD_MANIFEST]
        if isinstance(location, HubSource | UrlSource):
            return [f"{RAW}/{manifest_path(request_of(location))}"]
        return [str(path) for path in location]

    @property
    def prepared(self) -> list[str]:
        """Manifests of all prepared splits that the study uses."""
        return sorted(self._study.prepared(*key) for key in self.needed)

    @cached_property
    def needed(self) -> set[tuple[str, str, str]]:
        """(data set, split, language) of everything that has to be prepared."""
        keys = {(d, "test", lang) for d, languages in self._study.all_evaluated() for lang in languages}
        for manifest in {path for node in self._study.checkpoints.values() for path in node.data}:
            dataset, _, name = manifest.removeprefix("data/").removesuffix(".json").partition("/")
            split, _, language = name.partition(".")
            keys.add((dataset, split, language))
        return keys

    @cached_property
    def downloads(self) -> dict[str, Download]:
        """What has to be fetched for the study's data sets, by the manifest that then says so."""
        licences: dict[str, set[str]] = {}
        requests = {}
        for dataset, split, language in self.needed:
            record = self._study.registry[dataset]
            location = record.planned(language, split, self._study.config["folders"])
            if isinstance(location, HubSource | UrlSource):
                request = request_of(location)
                manifest = f"{RAW}/{manifest_path(request)}"
                requests[manifest] = request
                licences.setdefault(manifest, set()).add(record.licence)
        return {path: Download(requests[path], "; ".join(sorted(licences[path]))) for path in sorted(requests)}

    @property
    def all_downloads(self) -> list[str]:
        """Manifests of everything that the study needs from the network: data sets and models of the hub."""
        models = [f"{node.path}/stage.json" for node in self._study.checkpoints.values() if "hub" in node.spec]
        return [*self.downloads, *models]

    @property
    def unpinned(self) -> list[str]:
        """Data sets that the study uses and whose record does not say which version in the network it means."""
        return sorted({d for d, split, lang in self.needed if not self._study.registry[d].pinned(lang, split)})

    def check_pins(self) -> None:
        """UserError where a data set is not pinned to a version."""
        if names := self.unpinned:
            message = f"not pinned to a version: {', '.join(names)}"
            raise UserError(message, "registry", f"With a network: {PIN_ALL}")

    def check_files(self) -> None:
        """UserError for the first data file on disk that the study needs and that is not there."""
        for dataset, split, language in sorted(self.needed):
            location = self._study.registry[dataset].planned(language, split, self._study.config["folders"])
            for path in location if isinstance(location, list) else ():
                if not path.exists():
                    where = f"folders: {self._study.config['folders']}"
                    notes = self._study.registry[dataset].notes
                    raise UserError(f"no such data file (data set {dataset})", str(path), f"{where}\n{notes}".strip())

    def check_downloads(self, environment: Mapping[str, str]) -> None:
        """UserError where something is still to be fetched and the user forbids the network."""
        if offline(environment) and (missing := self.missing_downloads):
            message = f"not downloaded yet, and HF_HUB_OFFLINE forbids the network ({len(missing)} downloads)"
            raise UserError(message, missing[0], f"Where there is a network, with the same config:\n{FETCH_ALL}")

    @property
    def missing_downloads(self) -> list[str]:
        """Manifests of what is still to be fetched; what is prepared needs no download any more."""
        prepared = {
            path for key in self.needed if Path(self._study.prepared(*key)).exists() for path in self.raw_inputs(*key)
        }
        return [path for path in self.all_downloads if path not in prepared and not Path(path).exists()]

    def to_come(self) -> list[str]:
        """Lines for a dry run: what would have to be pinned and downloaded first."""
        lines = []
        if names := self.unpinned:
            lines.append(f"not pinned to a version yet: {', '.join(names)} ({PIN_ALL})")
        if missing := self.missing_downloads:
            lines.append(f"{len(missing)} downloads are still to be made ({FETCH_ALL})")
        return lines
