"""A study as an RO-Crate: one archive of its results, its workflow and a description of its run.

The metadata follow RO-Crate 1.1 and the profile Workflow Run Crate 0.5 (https://w3id.org/ro/wfrun/workflow/0.5): the
Snakefile is the main workflow, one CreateAction is the run. Weights are not included; the manifests have their hashes.
The bytes of the archive depend on its content alone.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from crosstune.artifacts.correction_record import RECORD, CorrectionRecord, kept_files
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, sha256_file
from crosstune.machine.environment import tracked_files
from crosstune.operations.zip_files import regular_files, write_zip
from crosstune.study.graph import Study
from crosstune.study.paths import PreparedPath
from crosstune.study.targets import kept_folder

METADATA, CONFIG, README = "ro-crate-metadata.json", "study.json", "README.md"

CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}

SNAKEMAKE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"

APACHE = "https://spdx.org/licenses/Apache-2.0"

PARAMETER = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"

# With these files the study can run again in the unpacked archive.
WORKFLOW = (
    "Snakefile",
    "rules",
    "scripts",
    "envs",
    "schemas",
    "registry",
    "claims",
    "published",
    "profiles",
    "LICENSE",
)

# The results of a checkpoint and of a study, without weights, training states, logs and temporary files.
CHECKPOINT = ("stage.json", "cost.json", "choice.json", "train.jsonl", "predictions", "scores")

RESULTS = (
    "plan.json", "provenance.json", "leakage.json", "contrasts.json", "claims.json", "distances.json", "report.html",
    "tables", "figures", "paper", "buckets", "baselines", "cost", "submission",
)  # fmt: skip

FORMATS = {
    ".json": "application/json", ".jsonl": "application/jsonl", ".csv": "text/csv", ".md": "text/markdown",
    ".tex": "application/x-tex", ".html": "text/html", ".svg": "image/svg+xml", ".pdf": "application/pdf",
    ".py": "text/x-python", ".yaml": "application/yaml",
}  # fmt: skip


def write_crate(study: Study, root: Path, out: Path, record: CorrectionRecord | None = None) -> list[str]:
    """Pack the study below `root`, the project's folder, into the archive `out`; return the names of its files.

    `record`: that of the study's kept results, which are packed too. The same results give the same bytes.
    Raises UserError if the study is not finished.
    """
    provenance = read_json(_existing(root / study.results / "provenance.json"))
    files = {path: root / path for path in packed_files(study, [f"{path}.json" for path in provenance["data"]], root)}
    files |= recorded_files(study, record)
    texts = {CONFIG: _json_text(provenance["config"]), README: readme(study, provenance)}
    texts[METADATA] = _json_text(crate_metadata(study, provenance, files, texts))
    write_zip(out, files, texts)
    return sorted({*files, *texts})


def packed_files(study: Study, data: Sequence[str], root: Path) -> list[str]:
    """The files of the archive, relative to the project, sorted; `data`: the manifests of prepared splits."""
    included = [*WORKFLOW, *(f"{study.results}/{name}" for name in RESULTS), *data]
    for path in study.checkpoints:
        included += [f"{path}/{name}" for name in CHECKPOINT]
    files = {str(file.relative_to(root)) for name in included for file in regular_files(root / name, root)}
    # Of the workflow only what the project publishes anyway: drafts and secrets next to it are nobody's business.
    published = tracked_files(root)
    own = {name for name in files if not name.startswith(("results/", "data/"))}
    return sorted(files - own | (own if published is None else own & published))


def recorded_files(study: Study, record: CorrectionRecord | None) -> dict[str, Path]:
    """The correction record and the files that it is about, by their names in the archive.

    There they lie where a study without the option `corrections` looks for them.
    """
    if record is None:
        return {}
    paths = [record.folder / RECORD, *kept_files(record.folder).values()]
    return {f"{kept_folder(study)}/{path.name}": path for path in paths}


def crate_metadata(study: Study, provenance: Mapping, files: Mapping[str, Path], texts: Mapping[str, str]) -> dict:
    """The metadata: a JSON-LD graph of the files, the workflow, its parameters and its run.

    `files`: files on disk by their names in the archive; `texts`: the contents of the files written for it.
    """
    entities = {name: _file(name, file.stat().st_size, sha256_file(file)) for name, file in files.items()}
    for name, text in texts.items():
        content = text.encode()
        entities[name] = _file(name, len(content), hashlib.sha256(content).hexdigest())
    entities[CONFIG] |= {"name": "the study's config, with all defaults", "exampleOfWork": _ref("#config")}
    entities[README] |= {"name": "the content of this archive", "about": _ref("./")}
    data, results = ([name for name in files if name.startswith(folder)] for folder in ("data/", "results/"))
    for parameter, names in (("#data", data), ("#results", results)):
        for name in names:
            entities[name]["exampleOfWork"] = _ref(parameter)
    entities["Snakefile"] |= _workflow(provenance)
    if (recorded := f"{kept_folder(study)}/{RECORD}") in entities:
        entities[recorded]["description"] = "the correction record of the results next to it"
    given = sorted((name, model) for name, model in provenance["models"].items() if "pretrained_on" not in model)
    models = [_model(name, model) for name, model in given]
    graph = [
        _descriptor(),
        _root(study, provenance, entities),
        *(_entity(url, "CreativeWork", name, version=version) for url, (name, version) in PROFILES.items()),
        _language(provenance),
        *_parameters(),
        _run(study, provenance, [CONFIG, *data], models, results),
        {"@id": "#agent", "@type": "Person", "name": provenance["agent"]},
        *_licences(provenance),
        *models,
        *(entities[name] for name in sorted(entities)),
    ]
    return {"@context": CONTEXT, "@graph": graph}


def readme(study: Study, provenance: Mapping) -> str:
    """The README of the archive."""
    commit = provenance["code"].get("commit", "unknown")
    return (
        f"# {study.name}\n\n"
        f"A study of crosstune, packed as an RO-Crate (https://www.researchobject.org/ro-crate): {METADATA}\n"
        f"describes every file. Its page is {study.results}/report.html; around it are manifests and scores.\n"
        "Weights are not included; each stage.json has their SHA-256.\n\n"
        f"The workflow is that of commit {commit}. To rerun the whole study in this folder:\n\n"
        "```sh\n"
        "rm -r results data\n"
        "bash envs/install.sh python envs/requirements.lock\n"
        f"snakemake --cores 2 --configfile {CONFIG}\n"
        "```\n"
    )


# --- entities --------------------------------------------------------------------------------------------------------


def _descriptor() -> dict:
    profiles = [_ref("https://w3id.org/ro/crate/1.1"), _ref("https://w3id.org/workflowhub/workflow-ro-crate/1.0")]
    return {"@id": METADATA, "@type": "CreativeWork", "conformsTo": profiles, "about": _ref("./")}


def _root(study: Study, provenance: Mapping, files: Iterable[str]) -> dict:
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"The study {study.name!r} of crosstune",
        "description": "Fine-tuning on several languages, one after the other or at once: results of "
        f"{len(study.runs)} runs, and their workflow.",
        "datePublished": provenance["ended"],
        "license": _ref("#licences"),
        "conformsTo": [_ref(url) for url in PROFILES],
        "mainEntity": _ref("Snakefile"),
        "mentions": _ref("#run"),
        "hasPart": [_ref(_id(path)) for path in sorted(files)],
    }


def _workflow(provenance: Mapping) -> dict:
    """The properties of the Snakefile as the main workflow."""
    return {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": "crosstune",
        "description": "Trains a multilingual model on task data of several languages and compares schedules.",
        "programmingLanguage": _ref(SNAKEMAKE),
        "license": _ref(APACHE),
        **({"url": provenance["repository"]} if provenance["repository"] else {}),
        "version": provenance["code"].get("commit", "unknown"),
        "input": [_ref("#config"), _ref("#data")],
        "output": _ref("#results"),
    }


def _language(provenance: Mapping) -> dict:
    return {
        "@id": SNAKEMAKE,
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "alternateName": "Snakemake workflow",
        "identifier": _ref("https://doi.org/10.1093/bioinformatics/bts480"),
        "url": _ref("https://snakemake.readthedocs.io"),
        "version": provenance["environment"]["packages"].get("snakemake", "unknown"),
    }


def _parameters() -> list[dict]:
    """The inputs and outputs of the workflow."""
    return [
        {
            "@id": f"#{name}",
            "@type": "FormalParameter",
            "additionalType": "File",
            "conformsTo": _ref(PARAMETER),
            "name": name,
            "description": text,
            "valueRequired": "True",
        }
        for name, text in {
            "config": "the config of a study",
            "data": "manifests of the prepared rows of each data set, split and language",
            "results": "manifests, predictions, scores, tables, figures and the page",
        }.items()
    ]


def _run(
    study: Study, provenance: Mapping, inputs: Sequence[str], models: Sequence[Mapping], results: Sequence[str]
) -> dict:
    cost = provenance["cost"]
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"the study {study.name!r}",
        "description": f"{cost['trainings']['number']} trainings and {cost['predictions']['number']} predictions.",
        **({"startTime": provenance["began"]} if provenance["began"] else {}),
        "endTime": provenance["ended"],
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "agent": _ref("#agent"),
        "instrument": _ref("Snakefile"),
        "object": [_ref(_id(path)) for path in inputs] + [_ref(model["@id"]) for model in models],
        "result": [_ref(_id(path)) for path in results],
    }


def _licences(provenance: Mapping) -> list[dict]:
    licences: dict[str, str] = {}
    for path, split in provenance["data"].items():
        licences[PreparedPath.parse(f"{path}.json").dataset] = split["licence"]
    listing = "; ".join(f"{name}: {licence}" for name, licence in sorted(licences.items()))
    text = f"The workflow is under Apache-2.0. Data derived from a data set are under its own licence: {listing}."
    return [
        _entity("#licences", "CreativeWork", "Apache-2.0, and the licences of the data sets", description=text),
        _entity(APACHE, "CreativeWork", "Apache License 2.0", description="of the workflow"),
    ]


def _model(name: str, model: Mapping) -> dict:
    if "folder_sha256" in model:
        text = f"the model {name}, from a folder whose files have the SHA-256 {model['folder_sha256']}"
        return _entity(f"#model-{name}", "CreativeWork", name, version=model["folder_sha256"], description=text)
    url = f"https://huggingface.co/{model['hub']}/tree/{model['revision']}"
    return _entity(url, "CreativeWork", model["hub"], version=model["revision"], description=f"the model {name}")


def _file(path: str, size: int, sha256: str) -> dict:
    kind = FORMATS.get(Path(path).suffix, "text/plain")
    properties = {"name": Path(path).name, "contentSize": str(size), "sha256": sha256, "encodingFormat": kind}
    return {"@id": _id(path), "@type": "File", **properties}


def _entity(url: str, kind: str, name: str, **more: str) -> dict:
    return {"@id": url, "@type": kind, "name": name, **more}


def _ref(url: str) -> dict:
    return {"@id": url}


def _id(path: str) -> str:
    """A path as an identifier in the metadata, with the escapes of a URL."""
    return quote(path, safe="/@+~=,;!$&'()*:")


def _existing(path: Path) -> Path:
    if not path.exists():
        raise UserError("the study is not finished", str(path), "Run it first: snakemake --cores 2 crate")
    return path


def _json_text(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
