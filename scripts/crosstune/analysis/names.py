"""The names that readers see, from the plan's key `names`: of schedules, languages, data sets, models and metrics."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crosstune.data.part_names import source_label, whole_name


@dataclass(frozen=True)
class DisplayNames:
    """Display names by kind and key. A key without one is its own name."""

    by_kind: Mapping[str, Mapping[str, str]]

    def is_named(self, kind: str, key: str) -> bool:
        """Whether the study gives a key of `kind` (schedules, languages, datasets, models, metrics) another name."""
        return key in self.by_kind.get(kind, {})

    def schedule(self, key: str) -> str:
        return self._name("schedules", key)

    def language(self, code: str) -> str:
        return self._name("languages", code)

    def languages(self, codes: Iterable[str]) -> str:
        """`English, Swahili`: the names of some languages."""
        return ", ".join(map(self.language, codes))

    def dataset(self, key: str) -> str:
        return self._name("datasets", key)

    def whole_dataset(self, part: str) -> str:
        """The name of the data set that a part, such as rows held out for validation, derives from."""
        return self.dataset(whole_name(part))

    def model(self, key: str) -> str:
        return self._name("models", key)

    def metric(self, key: str, label: str) -> str:
        """The name of a metric; `label` is the metric's own one."""
        return self.by_kind.get("metrics", {}).get(key, label)

    def difference(self, a: str, b: str) -> str:
        """`Joint − English`, of two schedules."""
        return f"{self.schedule(a)} − {self.schedule(b)}"

    def source(self, source: str) -> tuple[str, str]:
        """The names of a source's data set and of its language, which keeps the size of a sample: `Swahili~100`."""
        dataset, _, language = source_label(source).rpartition(".")
        code, tilde, size = language.partition("~")
        return self.dataset(dataset), self.language(code) + tilde + size

    def _name(self, kind: str, key: str) -> str:
        return self.by_kind.get(kind, {}).get(key, key)
