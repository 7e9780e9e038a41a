# Training: every stage of every schedule is a folder inside its parent's.


# On what a stage is trained, what its process makes besides, and what it is to make again. Resources, because a change of
# them must not train again.
how_trained = dict(
    devices=lambda w: jobs.train(w.stage).gpus,
    held=lambda w: study.held(w.stage),
    ahead=lambda w: canonical_json(study.ahead(w.stage)),
    again=lambda w: again(*checkpoint_at(w.stage).parents),
)


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
    # A lineage is finished before another is begun, so that few weights are needed at once.
    priority: lambda w: 9 * kept.rank[w.stage]
    conda:
        "../envs/gpu.yaml"
    threads: lambda w: checkpoint_at(w.stage).threads
    resources:
        **asked(lambda w: jobs.train(w.stage)),
        **how_trained,
        unless_ahead="train",
    params:
        spec=stage_spec,
        parents=lambda w, input: as_folders(input.parent),
        keep=lambda w: "--keep-optimizer" if checkpoint_at(w.stage).keep_optimizer else "",
    message:
        "train {wildcards.stage}"
    shell:
        # exec: the signal that ends a job reaches the training, and no shell between dies of it.
        "exec python scripts/train.py --spec {params.spec:q} --parents {params.parents} --data {input.data}"
        " --held-out {input.held_out} --out {wildcards.stage} --log {log} {params.keep} --cache data/encoded"
        " --gpus {resources.devices} --held {resources.held} --ahead {resources.ahead:q} --again {resources.again:q}"
        " --unless-ahead {resources.unless_ahead}"
        " --asked {wildcards.stage}/benchmarks/train.asked.json {resources.mem_mb} {resources.runtime}"


# The same where the process of what it stands on makes it: no job of a cluster, which would wait in the queue to put files
# into place. Input, parameters and command are those of train, so that it makes no difference later which it was.
use rule train as take_over with:
    wildcard_constraints:
        stage=any_of(needs.trained_ahead),
    retries: 0
    resources:
        # Where Snakemake runs on a cluster nothing is trained.
        **asked(lambda w: jobs.train(w.stage) if workflow.local_exec else LIGHT["take_over"]),
        **how_trained,
        unless_ahead=lambda w: "train" if workflow.local_exec else "refuse",
    message:
        "take over {wildcards.stage}"


ruleorder: take_over > train


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
    benchmark:
        "{average}/benchmarks/average.tsv"
    priority: lambda w: 9 * kept.rank[w.average]
    conda:
        "../envs/gpu.yaml"
    resources:
        **asked(lambda w: jobs.average(w.average)),
        again=lambda w: again(*checkpoint_at(w.average).parents),
    params:
        spec=stage_spec,
        parents=lambda w, input: as_folders(input),
    message:
        "average {wildcards.average}"
    shell:
        "python scripts/train.py --spec {params.spec:q} --parents {params.parents} --out {wildcards.average}"
        " --cache data/encoded --again {resources.again:q}"
        " --asked {wildcards.average}/benchmarks/average.asked.json {resources.mem_mb} {resources.runtime}"
        " 2> >(tee {log} >&2)"


rule tidy:
    """Remove weights that the study does not keep, when everything is made of them."""
    input:
        manifest="{checkpoint}/stage.json",
        users=lambda w: kept.users(w.checkpoint),
    output:
        "{checkpoint}/tidied",
    log:
        "{checkpoint}/logs/tidy.log",
    priority: 300
    conda:
        "../envs/light.yaml"
    resources:
        **asked(LIGHT["tidy"]),
        tidied=lambda w: canonical_json(kept.tidied(w.checkpoint)),
    message:
        "remove the weights of {wildcards.checkpoint}"
    shell:
        "python scripts/tidy.py --checkpoints {resources.tidied:q} --out {output} 2> >(tee {log} >&2)"
