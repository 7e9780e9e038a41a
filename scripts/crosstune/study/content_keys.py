"""Content keys: one hash per prepared split of everything that decides its rows. Equal keys mean equal rows.

A key depends on what the split's reader reads, and on nothing else: not on the place of files, on titles or licences.
So a study knows before any job runs whether rows that are missing or made anew will be those that it was trained on.
"""

from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from crosstune.core.errors import UserError
from crosstune.core.files import read_json_or_empty, sha256_file, sha256_json
from crosstune.data.prepare import source_manifests
from crosstune.data.sources import FoldSource, PartSource, SavedSource, SyntheticSource, TranslatedSource, identity
from crosstune.data.synthetic.write import SYNTHETIC_VERSION
from crosstune.data.tables import saved_files
from crosstune.study.data_requirements import PREPARED, DataRequirements
from crosstune.study.paths import PreparedPath

# Parts of the spec of a preparation that only check its rows, or say where its files are.
NOT_CONTENT = ("source", "rows", "sha256")


class ContentKeys:
    """The content keys of a study's prepared splits."""

    def __init__(self, requirements: DataRequirements):
        self._requirements = requirements
        # Every checkpoint and prediction asks for the keys of its rows.
        self.key = cache(self._key)
        self._hash = cache(_hash)
        self._manifest = cache(read_json_or_empty)

    def is_same(self, manifest: str, sha256: str | None, key: str | None) -> bool:
        """Whether the rows of a manifest are, or once prepared will be, those with a hash and a content key."""
        now, prepared = self.key(*PreparedPath.parse(manifest)), self._manifest(manifest)
        if prepared.get("content_key") == now:
            return prepared["sha256"] == sha256
        return key == now

    def _key(self, dataset: str, split: str, language: str) -> str:
        """The content key of one split and language. Raises UserError if a data file of the user's is missing."""
        place = PreparedPath(dataset, split, language)
        spec = self._requirements.prepare_spec(*place)
        content = {name: value for name, value in spec.items() if name not in NOT_CONTENT}
        return sha256_json(content | {"source": self._source(place)})

    def _source(self, place: PreparedPath) -> Any:
        """The identity of the content that a split is read from."""
        source = self._requirements.source(*place)
        if isinstance(source, TranslatedSource):
            origins = [self.key(source.dataset, source.split, origin) for origin in source.origins]
            specs = [self._requirements.translate_spec(source.translator, o, place.language) for o in source.origins]
            return {"translated": origins, "by": specs}
        if isinstance(source, FoldSource | PartSource):
            manifests = [f"{PREPARED}/{path}" for path in source_manifests(source, place.dataset, place.language)]
            origins = [self.key(*PreparedPath.parse(path)) for path in manifests]
            if isinstance(source, FoldSource):
                return {"fold": source.fold, "of": origins}
            part = {"part": asdict(source.part), "whole": source.whole, "parallel": source.parallel}
            return {**part, "split": place.split, "of": origins}
        if isinstance(source, SyntheticSource):
            spec = self._requirements.prepare_spec(*place)["synthetic"]
            return {"synthetic": spec, "version": SYNTHETIC_VERSION, "paths": list(map(str, source.paths))}
        if isinstance(source, list):
            return [[path.name, self._hash(path)] for path in source]
        if isinstance(source, SavedSource):
            files = [[path.name, self._hash(path)] for path in saved_files(source.folder, source.split)]
            return {"saved": files, "id_prefix": source.id_prefix}
        return identity(source)


def _hash(path: Path) -> str:
    if not path.exists():
        raise UserError("no such data file", str(path))
    return sha256_file(path)
