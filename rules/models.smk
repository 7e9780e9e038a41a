# Base models: an ordinary Hugging Face folder, fetched at a pinned revision or pretrained from registry text.


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
        # A resource, because another length must not fetch again.
        longest=lambda w: longest_sequence_of(f"models/{w.name}@{w.revision}"),
    message:
        "fetch {wildcards.name} at {wildcards.revision}"
    shell:
        "python scripts/fetch_model.py --id $(echo {wildcards.name:q} | sed 's|--|/|') --revision {wildcards.revision}"
        " --longest {resources.longest}"
        " --out models/{wildcards.name}@{wildcards.revision} 2> >(tee {log} >&2)"


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
        "exec python scripts/train.py --spec {params.spec:q} --data {input.data} --out {params.out} --log {log}"
        " --gpus {resources.gpus} --parallelism {resources.model_parallelism} --cache data/encoded"
        " --requested {params.out}/benchmarks/pretrain.requested.json {resources.mem_mb} {resources.runtime}"


rule check:
    """Tell what the models can read of the rows: best possible scores, unknown tokens, rows that a limit cuts."""
    input:
        requirements.prepared,
        models=[f"{path}/stage.json" for path, node in study.checkpoints.items() if not node.parents],
    output:
        f"{study.results}/encoding.json",
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
        "python scripts/check.py --config {params.config:q} --out {output} 2>&1 | tee {log} >&2"
