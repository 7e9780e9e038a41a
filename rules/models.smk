# Base models: an ordinary Hugging Face folder, fetched at a pinned revision, copied from a folder of the user's or
# pretrained from registry text.


rule fetch_model:
    """Fetch a model from the hub. Only this rule, fetch and pin use the network."""
    output:
        manifest="models/{name}@{revision}/stage.json",
        model=directory("models/{name}@{revision}/model"),
    log:
        "logs/fetch/{name}@{revision}.log",
    conda:
        "../envs/gpu.yaml"
    resources:
        **resources_for(LIGHT["fetch_model"]),
        # Resources, because another length must not fetch again.
        longest=lambda w: longest_sequence_of(f"models/{w.name}@{w.revision}"),
        # No part of an id has two dashes (the schema's pattern), so the first two stand for its slash.
        id=lambda w: w.name.replace("--", "/", 1),
    message:
        "fetch {wildcards.name} at {wildcards.revision}"
    shell:
        "python scripts/fetch_model.py --id {resources.id:q} --revision {wildcards.revision:q}"
        " --longest {resources.longest:q} --out models/{wildcards.name:q}@{wildcards.revision:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule copy_model:
    """Copy a model from a folder of the user's. The files are no inputs: their hash, not their age, says what is new."""
    output:
        manifest="models/{name}@{sha256}/stage.json",
        model=directory("models/{name}@{sha256}/model"),
    log:
        "logs/copy/{name}@{sha256}.log",
    conda:
        "../envs/gpu.yaml"
    resources:
        **resources_for(LIGHT["copy_model"]),
        # Resources, because another length or a moved folder must not copy again.
        longest=lambda w: longest_sequence_of(f"models/{w.name}@{w.sha256}"),
        folder=lambda w: local_model(w.name, w.sha256)["folder"],
    params:
        sha256=lambda w: local_model(w.name, w.sha256)["sha256"],
    message:
        "copy the model {wildcards.name}"
    shell:
        "python scripts/copy_model.py --folder {resources.folder:q} --sha256 {params.sha256:q}"
        " --longest {resources.longest:q} --out models/{wildcards.name:q}@{wildcards.sha256:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule pretrain:
    """Train a sentencepiece tokenizer and a small masked language model."""
    input:
        data=lambda w: checkpoint_inputs(base_of(w), checkpoint_at(base_of(w)).data),
        # A study with leakage pretrains nothing either.
        leakage_passed=ancient("results/{study}/leakage.passed"),
    output:
        manifest="results/{study}/{model}/base/stage.json",
        model=directory("results/{study}/{model}/base/model"),
        curve="results/{study}/{model}/base/train.jsonl",
    log:
        "results/{study}/{model}/base/logs/pretrain.log",
    benchmark:
        "results/{study}/{model}/base/benchmarks/pretrain.tsv"
    priority: 50
    conda:
        "../envs/gpu.yaml"
    threads: lambda w: checkpoint_at(base_of(w)).threads
    resources:
        **resources_for(lambda w: job_resources.train(base_of(w))),
        gpus=lambda w: job_resources.train(base_of(w)).gpus,
        model_parallelism=lambda w: specs.model_parallelism(study.config, base_of(w)),
    params:
        spec=lambda w: canonical_json(checkpoint_at(base_of(w)).spec),
        out="results/{study}/{model}/base",
    message:
        "pretrain {wildcards.model}"
    shell:
        "exec python scripts/train.py --spec {params.spec:q} --data {input.data:q} --out {params.out:q} --log {log:q}"
        " --gpus {resources.gpus:q} --parallelism {resources.model_parallelism:q} --cache data/encoded"
        " --requested {params.out:q}/benchmarks/pretrain.requested.json {resources.mem_mb:q} {resources.runtime:q}"


rule check:
    """Tell what the models can read of the rows: best possible scores, unknown tokens, rows that a limit cuts."""
    input:
        requirements.prepared,
        models=[f"{path}/stage.json" for path, node in study.checkpoints.items() if not node.parents],
    output:
        found=f"{study.results}/encoding.json",
        table=f"{study.results}/encoding.md",
    log:
        f"{study.results}/logs/check.log",
    conda:
        "../envs/gpu.yaml"
    resources:
        **resources_for(LIGHT["check"]),
    params:
        config=lambda w: canonical_json(study.config),
    message:
        "check what the models of {study.name} can read"
    shell:
        "python scripts/check.py --config {params.config:q} --out {output.found:q} 2>&1 | sh scripts/log.sh {log:q} >&2"
