# Base models: an ordinary Hugging Face folder, fetched at a pinned revision or pretrained from registry text.


rule fetch_model:
    """Fetch a model from the hub. The rules with network are this one, fetch and pin."""
    output:
        manifest="models/{name}@{revision}/stage.json",
        model=directory("models/{name}@{revision}/model"),
    log:
        "logs/fetch/{name}@{revision}.log",
    conda:
        "../envs/gpu.yaml"
    resources:
        **asked(LIGHT["fetch_model"]),
    message:
        "fetch {wildcards.name} at {wildcards.revision}"
    shell:
        "python scripts/fetch_model.py --id $(echo {wildcards.name:q} | sed 's|--|/|') --revision {wildcards.revision}"
        " --raw data/raw"
        " --out models/{wildcards.name}@{wildcards.revision} 2> >(tee {log} >&2)"


rule pretrain:
    """Train a sentencepiece tokenizer and a small masked language model."""
    input:
        data=lambda w: checkpoint_at(f"results/{w.study}/{w.model}/base").data,
        # A study that is going to be stopped pretrains nothing either.
        unleaked=ancient("results/{study}/unleaked"),
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
    threads: lambda w: checkpoint_at(f"results/{w.study}/{w.model}/base").threads
    resources:
        **asked(lambda w: jobs.train(f"results/{w.study}/{w.model}/base")),
        devices=lambda w: jobs.train(f"results/{w.study}/{w.model}/base").gpus,
        held=lambda w: study.held(f"results/{w.study}/{w.model}/base"),
        # What to make while the network is loaded. A resource, because a change of it must not train again.
        ahead=lambda w: canonical_json(study.ahead(f"results/{w.study}/{w.model}/base")),
    params:
        spec=lambda w: canonical_json(checkpoint_at(f"results/{w.study}/{w.model}/base").spec),
        out="results/{study}/{model}/base",
    message:
        "pretrain {wildcards.model}"
    shell:
        "exec python scripts/train.py --spec {params.spec:q} --data {input.data} --out {params.out} --log {log}"
        " --gpus {resources.devices} --held {resources.held} --cache data/encoded --ahead {resources.ahead:q}"
        " --asked {params.out}/benchmarks/pretrain.asked.json {resources.mem_mb} {resources.runtime}"
