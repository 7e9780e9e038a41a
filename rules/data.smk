# Data: from a source to checked rows, one manifest per data set, split and language. Jobs of this file come first, so
# that a fault in a data file is told before anything is trained.


rule world:
    """Generate the constructed world: languages, facts, and texts in the formats of the real data sets."""
    output:
        manifest="data/raw/world/world.json",
    log:
        "logs/world.log",
    priority: 100
    conda:
        "../envs/crosstune.yaml"
    params:
        spec=canonical_json(study.config["world"]),
    message:
        "generate the constructed world"
    shell:
        "python scripts/world.py --spec {params.spec:q} --out data/raw/world 2> >(tee {log} >&2)"


rule prepare:
    """Read, check and write the rows of one language of one split of a data set."""
    input:
        lambda w: study.raw_inputs(w.dataset, w.split, w.lang),
    output:
        rows="data/{dataset}/{split}.{lang}.jsonl",
        manifest="data/{dataset}/{split}.{lang}.json",
    log:
        "logs/prepare/{dataset}.{split}.{lang}.log",
    priority: 100
    conda:
        "../envs/crosstune.yaml"
    params:
        spec=lambda w: canonical_json(study.prepare_spec(w.dataset, w.split, w.lang)),
        folders=lambda w: canonical_json(study.config["folders"]),
        extra=lambda w: canonical_json(study.config["datasets"]),
    message:
        "prepare {wildcards.dataset} {wildcards.split} {wildcards.lang}"
    shell:
        "python scripts/prepare.py --dataset {wildcards.dataset} --split {wildcards.split} --lang {wildcards.lang}"
        " --folders {params.folders:q} --extra {params.extra:q} --world data/raw/world"
        " --out {output.rows} 2> >(tee {log} >&2)"


rule check:
    """Prepare and check all data of the study, and stop there."""
    input:
        study.all_prepared(),
