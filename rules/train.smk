# Training: every stage of every schedule is a folder inside its parent's.


rule train:
    """Fine-tune one stage, starting from its parent's checkpoint."""
    input:
        parent=parent_manifests,
        data=stage_data,
        held_out=lambda w: checkpoint_at(w.stage).held_out,
        unleaked=ancient(f"{study.results}/unleaked"),
    output:
        manifest="{stage}/stage.json",
        model=directory("{stage}/model"),
        curve="{stage}/train.jsonl",
    log:
        "{stage}/logs/train.log",
    benchmark:
        "{stage}/benchmarks/train.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: lambda w: checkpoint_at(w.stage).threads
    resources:
        # What to make while the network is loaded. A resource, because a change of it must not train again.
        ahead=lambda w: canonical_json(study.ahead(w.stage)),
    params:
        spec=stage_spec,
        parents=lambda w, input: as_folders(input.parent),
        keep=lambda w: "--keep-optimizer" if checkpoint_at(w.stage).keep_optimizer else "",
    message:
        "train {wildcards.stage}"
    shell:
        "python scripts/train.py --spec {params.spec:q} --parents {params.parents} --data {input.data}"
        " --held-out {input.held_out} --out {wildcards.stage} --log {log} {params.keep} --cache data/encoded --ahead {resources.ahead:q}"


rule average:
    """Average the final weights of several schedules."""
    input:
        parent_manifests,
    output:
        manifest="{average}/stage.json",
        model=directory("{average}/model"),
        curve="{average}/train.jsonl",
    log:
        "{average}/logs/average.log",
    conda:
        "../envs/gpu.yaml"
    params:
        spec=stage_spec,
        parents=lambda w, input: as_folders(input),
    message:
        "average {wildcards.average}"
    shell:
        "python scripts/train.py --spec {params.spec:q} --parents {params.parents} --out {wildcards.average}"
        " 2> >(tee {log} >&2)"
