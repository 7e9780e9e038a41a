"""The data that a study needs: prepared splits, their source files, translations and downloads."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from crosstune.core.errors import UserError
from crosstune.data.download.cached_models import is_model_cached
from crosstune.data.download.fetch import download_request, is_request_cached, manifest_path
from crosstune.data.download.hub import is_offline
from crosstune.data.download.limits import FETCH_ALL
from crosstune.data.places import check_bounds, check_named
from crosstune.data.prepare import PREPARE_VERSION, source_manifests
from crosstune.data.readers import reads_all_languages
from crosstune.data.record import Dataset
from crosstune.data.sources import (
    DataSource,
    DerivedSource,
    FoldSource,
    HubSource,
    SavedSource,
    SyntheticSource,
    TranslatedSource,
    UrlSource,
    identity,
)
from crosstune.data.tables import saved_files
from crosstune.data.translation.translate_split import TRANSLATE_VERSION
from crosstune.data.translation.translators import load_translator
from crosstune.study.distances import distances_file
from crosstune.study.graph import Expansion
from crosstune.study.paths import PreparedPath
from crosstune.study.targets import evaluated_sets, test_manifests

PIN_ALL = "snakemake --cores 1 pin"

COMMIT = re.compile("[0-9a-f]{40}")

PREPARED = "data"

RAW = f"{PREPARED}/raw"

WORLD_MANIFEST = f"{RAW}/world/world.json"


@dataclass(frozen=True)
class Download:
    """The request of a fetch job for one or more data sets, and their licences."""

    request: dict
    licence: str


@dataclass(frozen=True)
class Translation:
    """The translation of the rows of `origin` and `split` from the language `source` into `target`, for `dataset`."""

    dataset: str
    origin: str
    split: str
    source: str
    target: str
    translator: str


def find_unpinned_models(config: Mapping, translators: Collection[str]) -> dict[str, tuple[str, str]]:
    """(id, branch or tag) by config key of models of the hub without a commit: base models and those of translators."""
    models = {f"models.{name}": (m["hub"], m["revision"]) for name, m in config["models"].items() if "hub" in m}
    for name in sorted(translators):
        if "model" in (translator := config["translators"].get(name, {})):
            models[f"translators.{name}"] = (translator["model"], translator["revision"])
    return {key: model for key, model in models.items() if not COMMIT.fullmatch(model[1])}


def missing_offline(manifests: Sequence[str], downloads: Mapping[str, Download]) -> list[str]:
    """If the user forbids the network: the manifests of data sets and models that the hub's cache has not all of."""
    if not manifests or not is_offline():
        return []
    return [manifest for manifest in manifests if not _is_cached(manifest, downloads)]


def _is_cached(manifest: str, downloads: Mapping[str, Download]) -> bool:
    if manifest in downloads:
        return is_request_cached(downloads[manifest].request)
    name, _, revision = Path(manifest).parent.name.partition("@")
    return is_model_cached(name.replace("--", "/", 1), revision)


def _check_distances_file(study: Expansion) -> None:
    """UserError for a file of languages' features that is missing or out of bounds."""
    for file in distances_file(study):
        check_bounds(Path(file), study.config["folders"])
        check_named(study.config["distances"]["file"], "distances.file")
        if not Path(file).exists():
            fix = "Correct distances.file, or leave `distances` out."
            raise UserError("no such file of languages' features", file, fix)


def _check_file(path: Path, record: Dataset, folders: Mapping[str, str]) -> None:
    """UserError for a data file that is missing or out of bounds."""
    check_bounds(path, folders)
    if not path.exists():
        fix = f"folders: {folders}\n{record.notes}".strip()
        raise UserError(f"no such data file (data set {record.name})", str(path), fix)


def _check_translator(job: Translation, known: Mapping[str, Mapping], where: str) -> None:
    """UserError if the translator of a job, which the record names at `where`, is unknown or lacks the languages."""
    if job.translator not in known:
        near = difflib.get_close_matches(job.translator, known, 1)
        fix = f"Did you mean {near[0]!r}?" if near else "translators: {NAME: {command: ..., pairs: ...}}"
        raise UserError(f"unknown translator {job.translator!r}", where, fix)
    # Only the job that loads a model can check its languages.
    if "model" not in known[job.translator]:
        try:
            load_translator(known[job.translator]).check(job.source, job.target)
        except UserError as error:
            raise UserError(error.message, f"translators.{job.translator}", error.fix) from None


class DataRequirements:
    """The data that a study needs before anything is trained."""

    def __init__(self, study: Expansion):
        self._study = study

    @property
    def leakage_passed(self) -> bool:
        """Whether the study has passed the leakage check once."""
        return Path(self._study.results, "leakage.passed").exists()

    def prepare_spec(self, dataset: str, split: str, language: str) -> dict:
        """The spec of the prepared rows of one language: its dependencies except their source's content."""
        record = self._study.registry[dataset]
        split_record = record.require(language, split)
        location = self.source(dataset, split, language)
        has_files = isinstance(location, list | SyntheticSource | SavedSource)
        chosen = [location.split, location.id_prefix] if isinstance(location, SavedSource) else []
        # One reader gives a language the rows of languages that the record lacks.
        languages = split_record.languages if reads_all_languages(record.reader) else ()
        spec = {
            "version": PREPARE_VERSION,
            "source": record.file_names(language, split) + chosen if has_files else identity(location),
            "synthetic": self._study.config["synthetic"] if isinstance(location, SyntheticSource) else None,
            "reader": record.reader,
            "task": record.task,
            "form": [
                record.codes.get(language),
                record.tags,
                record.labels,
                record.declaration,
                record.token_prefix,
                languages,
            ],
            "rows": split_record.rows.get(language),
            "sha256": split_record.sha256.get(language),
            "exclude": split_record.exclude.get(language),
        }
        spec |= {"folds": asdict(record.folds)} if isinstance(location, FoldSource) else {}
        return spec | ({"suite": record.suite} if record.suite else {})

    def records(self, dataset: str) -> dict:
        """The study's own records that a job needs to prepare a data set."""
        registry = self._study.registry
        whole = registry[dataset].base_dataset or dataset
        names = {whole, registry.translation_source(whole)}
        return {name: record for name, record in self._study.config["datasets"].items() if name in names}

    def source_files(self, dataset: str, split: str, language: str) -> list[str]:
        """Files that a preparation waits for: the record's files, or manifests of downloads or of other rows."""
        location = self.source(dataset, split, language)
        if isinstance(location, SyntheticSource):
            return [WORLD_MANIFEST]
        if isinstance(location, HubSource | UrlSource):
            return [f"{RAW}/{manifest_path(download_request(location))}"]
        if isinstance(location, DerivedSource):
            return [f"{PREPARED}/{path}" for path in source_manifests(location, dataset, language)]
        if isinstance(location, SavedSource):
            location = saved_files(location.folder, location.split)
        return [str(path) for path in location]

    def translation(self, dataset: str, split: str, pair: str) -> Translation:
        """The translation of one job. Raises UserError if the data set has no such pair of languages."""
        pairs = {f"{t.source}-{t.target}": t for t in self.translations if (t.dataset, t.split) == (dataset, split)}
        if pair not in pairs:
            raise UserError(f"{dataset} has no translation {pair!r}", fix=f"There are: {', '.join(pairs)}")
        return pairs[pair]

    def translate_spec(self, name: str, source: str, target: str) -> dict:
        """The spec of a translation by the translator of a name: its dependencies except the rows."""
        translator = self._study.config["translators"][name]
        spec = {"version": TRANSLATE_VERSION, "translator": translator, "from": source, "to": target}
        if "lexicon" in translator:
            return spec | {"synthetic": self._study.config["synthetic"]}
        return spec | ({"threads": self._study.config["threads"]} if "model" in translator else {})

    def translated_rows(self, dataset: str, split: str, pair: str) -> str:
        """The manifest of the rows to translate."""
        job = self.translation(dataset, split, pair)
        return str(PreparedPath(job.origin, job.split, job.source))

    def translator_model(self, dataset: str, split: str, pair: str) -> list[str]:
        """The manifest of the translator's model, if it is a model of the hub."""
        return self._models.get(self.translation(dataset, split, pair).translator, [])

    @cached_property
    def _models(self) -> dict[str, list[str]]:
        """Manifests of the translators' models, by the translators' names."""
        return {
            name: [f"models/{config['model'].replace('/', '--')}@{config['revision']}/stage.json"]
            for name, config in self._study.config["translators"].items()
            if "model" in config
        }

    @cached_property
    def translations(self) -> list[Translation]:
        """All translations that the study needs."""
        return [
            Translation(dataset, location.dataset, split, origin, language, location.translator)
            for dataset, split, language in sorted(self.needed)
            if isinstance(location := self.source(dataset, split, language), TranslatedSource)
            for origin in location.origins
        ]

    @property
    def predicted_after_training(self) -> list[str]:
        """Checkpoints whose training job will also predict, because all evaluation data will be ready by then.

        Until the study has passed the leakage check once, trainings wait for the check, and the check for all rows.
        """
        trained = [
            path for path, node in self._study.checkpoints.items() if node.evaluate and "average" not in node.spec
        ]
        missing = [path for path in trained if not Path(path, "stage.json").exists()]
        return [path for path in missing if not self.leakage_passed or self._has_rows(path)]

    def _has_rows(self, path: str) -> bool:
        """Whether all rows that a checkpoint is evaluated on are prepared."""
        evaluate = self._study.checkpoints[path].evaluate
        return all(Path(manifest).exists() for name in evaluate for manifest in test_manifests(self._study, path, name))

    @property
    def prepared(self) -> list[str]:
        """Manifests of all prepared splits that the study uses."""
        return sorted(str(PreparedPath(*key)) for key in self.needed)

    @cached_property
    def needed(self) -> set[tuple[str, str, str]]:
        """(data set, split, language) of every prepared split that the study needs."""
        keys = {(d, "test", lang) for d, languages in evaluated_sets(self._study) for lang in languages}
        for node in self._study.checkpoints.values():
            keys |= {tuple(PreparedPath.parse(manifest)) for manifest in (*node.data, *node.held_out)}
        fresh = set(keys)
        while fresh:  # splits that others are derived from
            fresh = {parent for key in fresh for parent in self._parents(*key)} - keys
            keys |= fresh
        return keys

    def _parents(self, dataset: str, split: str, language: str) -> set[tuple[str, str, str]]:
        """The prepared splits that a fold, a part or a translation is derived from."""
        location = self.source(dataset, split, language)
        if isinstance(location, TranslatedSource):
            return {(location.dataset, location.split, origin) for origin in location.origins}
        if isinstance(location, DerivedSource):
            return {
                tuple(PreparedPath.parse(f"{PREPARED}/{path}"))
                for path in source_manifests(location, dataset, language)
            }
        return set()

    def source(self, dataset: str, split: str, language: str) -> DataSource:
        """Where the rows of one language of a split come from."""
        return self._study.registry[dataset].source(language, split, self._study.config["folders"])

    @cached_property
    def downloads(self) -> dict[str, Download]:
        """The downloads of the study's data sets, by manifest."""
        licences: dict[str, set[str]] = {}
        requests = {}
        for dataset, split, language in self.needed:
            location = self.source(dataset, split, language)
            if isinstance(location, HubSource | UrlSource):
                request = download_request(location)
                manifest = f"{RAW}/{manifest_path(request)}"
                requests[manifest] = request
                licences.setdefault(manifest, set()).add(self._study.registry[dataset].licence)
        return {path: Download(requests[path], "; ".join(sorted(licences[path]))) for path in sorted(requests)}

    @property
    def all_downloads(self) -> list[str]:
        """Manifests of all downloads of the study: data sets, models of the hub."""
        models = [f"{node.path}/stage.json" for node in self._study.checkpoints.values() if node.is_fetched]
        translators = sorted({path for t in self.translations for path in self._models.get(t.translator, [])})
        return [*self.downloads, *models, *translators]

    @property
    def unpinned_datasets(self) -> list[str]:
        """Data sets of the study whose record names no version of its download."""
        return sorted({d for d, split, lang in self.needed if not self._study.registry[d].is_pinned(lang, split)})

    @property
    def unpinned_models(self) -> dict[str, tuple[str, str]]:
        """(id, branch or tag) of the study's models of the hub that name no commit, by their config key."""
        return find_unpinned_models(self._study.config, {job.translator for job in self.translations})

    @property
    def unpinned(self) -> list[str]:
        """The names of what `pin` is for: data sets, and models with the branch or tag that they name."""
        return self.unpinned_datasets + [f"{key} ({model[1]})" for key, model in self.unpinned_models.items()]

    def check_pins(self) -> None:
        """UserError if a data set or a model is not pinned to a version."""
        if names := self.unpinned:
            raise UserError(f"not pinned to a version: {', '.join(names)}", "study", f"With a network: {PIN_ALL}")

    def check_files(self) -> None:
        """UserError for the first data file on disk that the study needs and that is missing or out of bounds."""
        _check_distances_file(self._study)
        for dataset, split, language in sorted(self.needed):
            location = self.source(dataset, split, language)
            record = self._study.registry[dataset]
            if isinstance(location, SavedSource):
                location = saved_files(location.folder, location.split)
            for path in location if isinstance(location, list) else ():
                _check_file(path, record, self._study.config["folders"])
            for name in record.file_names(language, split) if isinstance(location, list) else ():
                check_named(name, f"{record.where}.splits.{split}.source.files")

    def check_translators(self) -> None:
        """UserError for a translator that the study does not describe, and for a pair of languages that it lacks."""
        for job in self.translations:
            where = f"{self._study.registry[job.dataset].where}.splits.{job.split}.source.by"
            _check_translator(job, self._study.config["translators"], where)

    def check_downloads(self) -> None:
        """UserError if a download is neither made nor in the hub's cache, and the user forbids the network."""
        if missing := missing_offline(self.missing_downloads, self.downloads):
            message = f"not downloaded yet, and HF_HUB_OFFLINE forbids the network ({len(missing)} downloads)"
            raise UserError(message, missing[0], f"With a network and the same config:\n{FETCH_ALL}")

    @property
    def missing_downloads(self) -> list[str]:
        """Manifests of the downloads still to be made; prepared splits need none."""
        prepared = {
            path for key in self.needed if Path(str(PreparedPath(*key))).exists() for path in self.source_files(*key)
        }
        return [path for path in self.all_downloads if path not in prepared and not Path(path).exists()]

    def pending_notices(self) -> list[str]:
        """Lines for a dry run: the data sets to pin and the downloads to make first."""
        lines = []
        if names := self.unpinned:
            lines.append(f"not pinned to a version yet: {', '.join(names)} ({PIN_ALL})")
        if missing := self.missing_downloads:
            lines.append(f"{len(missing)} downloads are still to be made ({FETCH_ALL})")
        return lines
