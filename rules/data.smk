# Data: from a source to checked rows, one manifest per data set, split and language. These jobs run first: a fault in a
# data file ends the study before it trains anything.


rule synthetic:
    """Generate the synthetic data: languages, facts, and texts in the formats of the real data sets."""
    output:
        manifest="data/raw/world/world.json",
    log:
        "logs/synthetic.log",
    priority: 100
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["synthetic"]),
    params:
        version=SYNTHETIC_VERSION,
        spec=canonical_json(study.config["synthetic"]),
    message:
        "generate the synthetic data"
    shell:
        "python scripts/synthetic.py --spec {params.spec:q} --out data/raw/world 2> >(sh scripts/log.sh {log:q} >&2)"


rule fetch:
    """Fetch the files of a data set from the network. All languages that share them wait for the same job."""
    output:
        "data/raw/{kind}/{origin}/{request}.json",
    log:
        "logs/fetch/{kind}/{origin}/{request}.log",
    priority: 100
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["fetch"]),
        # Printed before a large download. A resource, because a changed text must not fetch again.
        licence=lambda w: download_at(f"data/raw/{w.kind}/{w.origin}/{w.request}.json").licence,
    params:
        request=lambda w, output: canonical_json(download_at(output[0]).request),
    message:
        "fetch {wildcards.origin} {wildcards.request}"
    shell:
        "python scripts/fetch.py --request {params.request:q} --licence {resources.licence:q} --raw data/raw"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule prepare:
    """Read, check and write the rows of one language of one split of a data set."""
    input:
        lambda w: requirements.source_files(w.dataset, w.split, w.lang),
    output:
        rows="data/{dataset}/{split}.{lang}.jsonl",
        manifest="data/{dataset}/{split}.{lang}.json",
    log:
        "logs/prepare/{dataset}.{split}.{lang}.log",
    priority: 100
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["prepare"]),
        # Arguments of the command. They are resources, not params, because a title or a moved folder changes no row.
        folders=lambda w: canonical_json(study.config["folders"]),
        extra=lambda w: canonical_json(requirements.records(w.dataset)),
    params:
        spec=lambda w: canonical_json(requirements.prepare_spec(w.dataset, w.split, w.lang)),
        content_key=lambda w: content_keys.key(w.dataset, w.split, w.lang),
    message:
        "prepare {wildcards.dataset} {wildcards.split} {wildcards.lang}"
    shell:
        "python scripts/prepare.py --dataset {wildcards.dataset:q} --split {wildcards.split:q}"
        " --lang {wildcards.lang:q} --folders {resources.folders:q} --extra {resources.extra:q} --raw data/raw"
        " --content-key {params.content_key:q} --out {output.rows:q} 2> >(sh scripts/log.sh {log:q} >&2)"


rule leakage:
    """Compare training texts with evaluation texts; a leak that the study does not allow is a failure."""
    input:
        requirements.prepared,
    output:
        found="results/{study}/leakage.json",
        # Trainings wait for this file until the study has passed once. Later it is no output: Snakemake does not check a
        # job's params for changes while an input of the job is remade. The check then precedes trainings by priority.
        passed=[] if requirements.leakage_passed else "results/{study}/leakage.passed",
    log:
        "results/{study}/logs/leakage.log",
    priority: 200
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["leakage"]),
    params:
        spec=lambda w: canonical_json(specs.leakage_spec(study)),
    message:
        "look for leakage in {wildcards.study}"
    shell:
        "python scripts/leakage.py --spec {params.spec:q} --data {input:q} --out {output.found:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2);"
        " [ -e results/{wildcards.study:q}/leakage.passed ] || touch results/{wildcards.study:q}/leakage.passed"


rule prepare_all:
    """Prepare and check all data of the study, and train nothing."""
    input:
        requirements.prepared,
        f"{study.results}/leakage.json",


rule downloads:
    """Fetch all data sets and models of the study from the network; everything else then runs offline."""
    input:
        lambda w: requirements.all_downloads,


rule pin:
    """Write the current commits of the study's unpinned data sets into the registry, and print those of its models."""
    log:
        "logs/pin.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["pin"]),
    params:
        datasets=requirements.unpinned_datasets,
        models=canonical_json(requirements.unpinned_models),
        # A function, because Snakemake would take {lang} in a pattern of files for a wildcard.
        extra=lambda w: canonical_json(study.config["datasets"]),
    message:
        "pin the study's data sets and models"
    shell:
        "python scripts/pin.py {params.datasets:q} --models {params.models:q} --extra {params.extra:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"
