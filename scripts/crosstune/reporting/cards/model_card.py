"""The model card of a checkpoint, with metadata as the hub's library defines them."""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from crosstune.core.files import read_json_or_empty
from crosstune.core.text import count, decimal
from crosstune.reporting.cards.checkpoint_facts import CheckpointFacts
from crosstune.reporting.tables.formats import PILOT_MARK, markdown_text, pipe_table

# The hub's names of tasks, by ours.
HUB_TASKS = {
    "qa": "question-answering",
    "tagging": "token-classification",
    "classification": "text-classification",
    "choice": "multiple-choice",
    "retrieval": "sentence-similarity",
    "bitext": "sentence-similarity",
}

# The classes of transformers that load an architecture with its head, by the end of its name.
AUTO_CLASSES = {
    "ForQuestionAnswering": "AutoModelForQuestionAnswering",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForMultipleChoice": "AutoModelForMultipleChoice",
}

# In place of what the study does not say.
OWNER, BASE = "YOUR-NAME", "BASE-MODEL"

# The longest name of a repository on the hub, without its owner's.
LONGEST_NAME = 96

# Files that Snakemake writes, which are no part of a model.
EXCLUDED = ".snakemake_timestamp"


def repository(facts: CheckpointFacts) -> str:
    """The repository of a checkpoint on the hub: `owner/name`, of characters that the hub takes."""
    name = re.sub(r"[^A-Za-z0-9._]+", "-", facts.name)
    name = re.sub(r"[.]{2,}|-{2,}", "-", name)[:LONGEST_NAME].strip("-.")
    return f"{settings_of(facts).get('owner', OWNER)}/{name}"


def upload_line(facts: CheckpointFacts) -> str:
    """The command that uploads the folder of a checkpoint."""
    return shlex.join(["hf", "upload", repository(facts), str(facts.folder), ".", "--exclude", EXCLUDED])


def settings_of(facts: CheckpointFacts) -> Mapping[str, Any]:
    """The plan's entry for cards."""
    return facts.study.plan["model_cards"]


def model_card(facts: CheckpointFacts) -> ModelCard:
    """The card: metadata and text."""
    sections = [
        heading(facts), how_to_load(facts), training(facts), scores(facts), licences(facts), provenance(facts),
        upload(facts),
    ]  # fmt: skip
    return ModelCard(f"---\n{card_data(facts).to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n")


# --- metadata --------------------------------------------------------------------------------------------------------


def card_data(facts: CheckpointFacts) -> ModelCardData:
    """The metadata. What is not known is left out: a licence that nobody declared, data that are not on the hub."""
    results = list(eval_results(facts))
    base = facts.base.get("hub")
    tags = ["lora"] * facts.is_adapter + ["synthetic-languages"] * has_invented(facts)
    return ModelCardData(
        base_model=base,
        base_model_relation="adapter" if base and facts.is_adapter else None,
        datasets=training_datasets(facts) or None,
        language=hub_languages(facts) or None,
        library_name="peft" if facts.is_adapter else "transformers",
        license=settings_of(facts).get("licence"),
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=repository(facts).rpartition("/")[2],
        eval_results=results or None,
        pipeline_tag=pipeline(facts),
        tags=["crosstune", "cross-lingual-transfer", *tags],
    )


def eval_results(facts: CheckpointFacts) -> Iterator[EvalResult]:
    """A result for every data set, language and metric."""
    for test in facts.tests:
        for language, numbers in test.by_language.items():
            manifest = test.manifests[language]
            origin = hub_origin(manifest)
            for metric in test.panel.metrics:
                if metric in numbers:
                    yield EvalResult(
                        task_type=HUB_TASKS.get(manifest.get("task", ""), "other"),
                        dataset_type=origin.get("hub", test.panel.dataset),
                        dataset_name=f"{test.panel.dataset_title}, {test.panel.language_title(language)}",
                        dataset_config=language,
                        dataset_split="test",
                        dataset_revision=origin.get("revision"),
                        metric_type=metric,
                        metric_name=test.panel.labels[metric],
                        metric_value=round(float(numbers[metric]), 4),
                    )


def hub_origin(manifest: Mapping[str, Any]) -> Mapping[str, str]:
    """The hub's data set that prepared rows come from, and its commit; empty for other rows."""
    return next((source for source in manifest.get("sources", []) if "hub" in source), {})


def training_datasets(facts: CheckpointFacts) -> list[str]:
    """The hub's data sets that it trained on."""
    origins = [hub_origin(manifest_of_source(facts, source)) for source in facts.trained_sources]
    return list(dict.fromkeys(origin["hub"] for origin in origins if origin))


def manifest_of_source(facts: CheckpointFacts, source: str) -> Mapping[str, Any]:
    """The manifest of the prepared training rows of a source."""
    dataset, _, language = source.rpartition(".")
    return read_json_or_empty(facts.data / dataset / f"train.{language}.json")


def trained_languages(facts: CheckpointFacts) -> list[str]:
    """The codes of the languages that it trained on."""
    return list(dict.fromkeys(source.rpartition(".")[2] for source in facts.trained_sources))


def hub_languages(facts: CheckpointFacts) -> list[str]:
    """These languages as the hub names them, ISO 639 codes of two or three letters. Invented languages have none."""
    known = facts.study.plan["languages"]
    codes = [re.split("[-_]", code)[0].lower() for code in trained_languages(facts) if not is_invented(known, code)]
    return list(dict.fromkeys(code for code in codes if re.fullmatch("[a-z]{2,3}", code)))


def is_invented(languages: Mapping[str, Any], code: str) -> bool:
    return bool(languages.get(code, {}).get("synthetic"))


def has_invented(facts: CheckpointFacts) -> bool:
    """Whether it trained on languages that somebody invented."""
    return any(is_invented(facts.study.plan["languages"], code) for code in trained_languages(facts))


def auto_class(facts: CheckpointFacts) -> str:
    """The class of transformers that loads the checkpoint with its head; empty if none does."""
    architecture = next(iter(facts.config.get("architectures") or []), "")
    return next((name for end, name in AUTO_CLASSES.items() if architecture.endswith(end)), "")


def pipeline(facts: CheckpointFacts) -> str | None:
    """The hub's pipeline of the head that transformers loads."""
    tasks = {
        "AutoModelForQuestionAnswering": "question-answering",
        "AutoModelForTokenClassification": "token-classification",
        "AutoModelForSequenceClassification": "text-classification",
        "AutoModelForMultipleChoice": "multiple-choice",
    }
    return tasks.get(auto_class(facts))


# --- text ------------------------------------------------------------------------------------------------------------


def heading(facts: CheckpointFacts) -> str:
    """The title and one paragraph on what the model is."""
    study, run, names = facts.study, facts.run, facts.study.names
    base = facts.base
    link = f"[{base['hub']}](https://huggingface.co/{base['hub']}) at `{base['revision']}`" if "hub" in base else ""
    origin = link or "a base model that is not on the hub"
    stages = " → ".join(" + ".join(names.source(source)[1] for source in sources) for sources in facts.mixtures)
    what = "an average of the final weights of schedules" if not facts.mixtures else f"fine-tuned on {stages}"
    after = "" if facts.is_final else f", after stage {facts.stage + 1} of {len(run['stages'])}"
    others = [
        f"{names.schedule(own['schedule'])} (stage {stage + 1} of {len(own['stages'])})"
        for own, stage in facts.uses
        if own is not run
    ]
    sentences = [
        f"Checkpoint of the study `{study.plan['study']}`: {markdown_text(names.model(run['model']))}, {origin}, "
        f"{markdown_text(what)}. Schedule {markdown_text(names.schedule(run['schedule']))}{after}, track "
        f"`{run['track']}`, seed {run['seed']}.",
        f"It is part of other schedules too: {markdown_text(', '.join(others))}." if others else "",
        "It is a LoRA adapter with its heads, and needs this base model." if facts.is_adapter else "",
        "Its training languages are invented: it is of no use for real text." if has_invented(facts) else "",
        f"**{PILOT_MARK}** It had a tenth of its training." if study.pilot else "",
        "It was made to compare ways of training, one seed of several. The study's report says what they show.",
    ]
    return f"# {repository(facts).rpartition('/')[2]}\n\n" + " ".join(filter(None, sentences))


def how_to_load(facts: CheckpointFacts) -> str:
    """The code that loads it in plain transformers, or with peft, or what loads only in part."""
    name = auto_class(facts)
    code = adapter_code(facts) if facts.is_adapter else whole_model_code(facts)
    heads = [head for head in facts.config.get("crosstune_heads", {}) if head != "mlm"]
    notes = [] if name else ["This loads the encoder. transformers has no class for the head of this model."]
    if heads:
        notes.append(f"The weights hold the heads {', '.join(f'`{head}`' for head in heads)}; config.json lists them.")
    if facts.is_adapter and "hub" not in facts.base:
        notes.append("The base model is not on the hub: put its folder in place of BASE-MODEL.")
    if "mlm" in facts.config.get("crosstune_heads", {}) and not facts.is_adapter:
        notes.append("A head of masked language modelling is there too, which transformers reports as unexpected.")
    return "\n".join(["## How to load it", "", "```python", *code, "```", "", *notes]).rstrip()


def whole_model_code(facts: CheckpointFacts) -> list[str]:
    """Lines of Python that load a whole model."""
    name = auto_class(facts) or "AutoModel"
    return [
        f"from transformers import {name}, AutoTokenizer",
        "",
        f'model = {name}.from_pretrained("{repository(facts)}")',
        f'tokenizer = AutoTokenizer.from_pretrained("{repository(facts)}")',
    ]


def adapter_code(facts: CheckpointFacts) -> list[str]:
    """Lines of Python that load the base model, with the config of the heads, and add the adapters in their order."""
    name, own = auto_class(facts) or "AutoModel", f'"{repository(facts)}"'
    revision = f'"{facts.base["revision"]}"' if "hub" in facts.base else None
    merged = [
        f'model = PeftModel.from_pretrained(model, {own}, subfolder="merged/{number}").merge_and_unload()'
        for number in range(1, facts.merged_adapters + 1)
    ]
    return [
        "from peft import PeftModel",
        f"from transformers import AutoConfig, {name}, AutoTokenizer",
        "",
        f'base, revision = "{facts.base.get("hub", BASE)}", {revision}',
        f"config = AutoConfig.from_pretrained({own})",
        f"model = {name}.from_pretrained(base, revision=revision, config=config)",
        *merged,
        f"model = PeftModel.from_pretrained(model, {own}).eval()",
        "tokenizer = AutoTokenizer.from_pretrained(base, revision=revision)",
    ]


def training(facts: CheckpointFacts) -> str:
    """A table of stages with their recipe, and one of sources with examples and tokens."""
    head = ["stage", "trained on", "updates", "tokens per update", "peak learning rate", "arithmetic"]
    rows = []
    for number, (sources, manifest) in enumerate(zip(facts.mixtures, facts.manifests, strict=False), start=1):
        spec = manifest.get("spec", {})
        shown = [f"{spec.get('recipe', {}).get('lr', ''):g}" if spec.get("recipe", {}).get("lr") else ""]
        rows.append([str(number), " + ".join(sources), str(manifest.get("updates", "")), str(spec.get("tokens", "")),
                     *shown, manifest.get("precision", "")])  # fmt: skip
    parts = ["## Training"]
    if rows:
        parts.append(pipe_table(head, rows, 2))
    else:
        parts.append("It is the mean of other checkpoints' weights; their sources:")
    sources = [[source, f"{examples:,}", f"{tokens:,}"] for source, (examples, tokens) in facts.trained_sources.items()]
    parts.append(pipe_table(["source", "examples", "tokens"], sources, 1))
    parts.append("AdamW; every setting is under `spec` in the checkpoint's `stage.json`.")
    return "\n\n".join(parts)


def scores(facts: CheckpointFacts) -> str:
    """A table of scores per data set, by language."""
    parts = ["## Scores"]
    for test in facts.tests:
        trained = set(trained_languages(facts))
        labels = test.panel.labels
        metrics = [metric for metric in test.panel.metrics if any(metric in own for own in test.by_language.values())]
        rows = [
            [
                test.panel.language_title(language),
                "yes" if language in trained else "no",
                *(decimal(numbers.get(metric), 1) or "n/a" for metric in metrics),
                str(numbers.get("n", "")),
            ]
            for language, numbers in test.by_language.items()
        ]
        parts.append(markdown_text(f"{test.panel.title}, test split, 0 to 100, of this one seed:"))
        head = ["language", "trained on", *(labels[metric] for metric in metrics), "examples"]
        parts.append(pipe_table(head, rows, 1))
    return "\n\n".join(parts if len(parts) > 1 else [*parts, "It is not scored."])


def licences(facts: CheckpointFacts) -> str:
    """The licence of the model if the study declares one, and the licences of all data."""
    chosen = settings_of(facts).get("licence")
    names = {re.split("[~]|-fold", source.rpartition(".")[0])[0] for source in facts.trained_sources}
    cited = {entry["name"]: entry for entry in facts.study.plan["cited"] if entry["what"] == "data set"}
    rows = [[name, cited[name]["title"], cited[name]["licence"]] for name in sorted(names) if name in cited]
    base = facts.base.get("licence")
    lines = [
        "## Licences",
        *([f"Its base model has the licence `{base}`."] if base else []),
        f"The study's authors publish it under `{chosen}`."
        if chosen
        else "No licence is declared. Before you publish it, choose one that the base model and the training data "
        "permit, and add it as `license` to the metadata.",
    ]
    return "\n\n".join([*lines, *([pipe_table(["training data", "title", "licence"], rows, 3)] if rows else [])])


def provenance(facts: CheckpointFacts) -> str:
    """Hashes, code and hardware."""
    code, cost = facts.cost.get("code", {}), facts.cost
    changed = ", with uncommitted changes" if code.get("changed") else ""
    packages = cost.get("environment", {}).get("packages", {})
    device = cost.get("device", "")
    found = {
        "weights (SHA-256)": f"`{facts.manifest.get('weights', 'unknown')}`",
        "code": f"crosstune at `{code['commit']}`{changed}" if code.get("commit") else "crosstune, unknown commit",
        "packages": ", ".join(f"{name} {packages[name]}" for name in ("torch", "transformers") if name in packages),
        "hardware": f"{count(cost['devices'], 'GPU')}, {device}" if cost.get("devices") else device,
        "trained": cost.get("ended", "")[:10],
    }
    lines = [f"- {name}: {text}" for name, text in found.items() if text]
    return "\n".join(["## Provenance", "", *lines])


def upload(facts: CheckpointFacts) -> str:
    """The line that uploads it."""
    return f"## Upload\n\n```sh\n{upload_line(facts)}\n```"
