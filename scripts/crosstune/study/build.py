"""Building a study from its config: expansion, comparisons, tables and claims."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

from crosstune.core.schema import validate
from crosstune.data.registry import load_languages, load_registry
from crosstune.data.synthetic.write import complete_spec
from crosstune.study.adapters import check_adapters
from crosstune.study.bucket_specs import resolve_buckets
from crosstune.study.checks import (
    check_allowed_leakage,
    check_contrastive,
    check_frozen,
    check_languages,
    check_layers,
    check_lengths,
    check_windows,
    shown_examples,
)
from crosstune.study.claims import resolve_claims
from crosstune.study.comparisons import check_headline, resolve_average, resolve_contrasts, resolve_published
from crosstune.study.display_names import check_names
from crosstune.study.expand import expand
from crosstune.study.figure_specs import resolve_figures
from crosstune.study.graph import Study
from crosstune.study.local_models import identify_models
from crosstune.study.renamed_keys import check_renamed
from crosstune.study.sweeps import check_sweeps
from crosstune.study.table_specs import resolve_tables


def complete_revisions(config: Mapping) -> None:
    """Models of the hub without a revision mean the main branch. A study plans with it, and runs once it is pinned."""
    for model in (*config["models"].values(), *config["translators"].values()):
        if {"hub", "model"} & set(model):
            model["revision"] = model.get("revision") or "main"


def build_study(config: Mapping, root: Path | str = ".") -> Study:
    """The study of a config. Raises UserError for a mistake in the config or the files that it names.

    `root`: the project's folder, with schemas/, registry/, published/ and claims/.
    """
    root = Path(root)
    check_renamed(config)
    config = validate(config, root / "schemas/study.schema.yaml")
    check_sweeps(config, root / "schemas/study.schema.yaml")
    complete_spec(config["synthetic"])
    config = identify_models(config)
    complete_revisions(config)
    registry = load_registry(root / "registry", config["datasets"])
    expansion = expand(config, registry, load_languages(root / "registry", config["languages"]))
    check_languages(expansion)
    check_headline(expansion)
    check_frozen(expansion)
    check_names(expansion)
    shown_examples(expansion)
    check_layers(expansion)
    check_windows(expansion)
    check_lengths(expansion, root)
    check_contrastive(expansion)
    check_adapters(expansion)
    check_allowed_leakage(expansion)
    study = Study(
        **{field.name: getattr(expansion, field.name) for field in fields(expansion)},
        contrasts=tuple(resolve_contrasts(expansion)),
        averages={name: resolve_average(expansion, name) for name in config["averages"]},
        published=tuple(resolve_published(expansion, name, root / "published") for name in config["published"]),
        tables=tuple(resolve_tables(expansion)),
        buckets=tuple(resolve_buckets(expansion)),
    )
    claims = [entry for number in range(len(config["claims"])) for entry in resolve_claims(study, number, root)]
    return replace(study, claims=tuple(claims), figures=tuple(resolve_figures(study)))
