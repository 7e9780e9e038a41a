# Training: every stage of every schedule is a folder inside its parent's folder. {stage}, {average} and {checkpoint}
# are whole paths of such folders.


rule train:
    """Fine-tune one stage from its parent's checkpoint, and predict its evaluation sets."""
    input:
        parent=lambda w: checkpoint_inputs(w.stage, parent_manifests(w)),
        data=lambda w: checkpoint_inputs(w.stage, checkpoint_at(w.stage).data),
        held_out=lambda w: checkpoint_inputs(w.stage, checkpoint_at(w.stage).held_out),
        choice=lambda w: checkpoint_inputs(w.stage, filter(None, [checkpoint_at(w.stage).choice])),
        # ancient: a renewed check never retrains.
        leakage_passed=ancient(f"{study.results}/leakage.passed"),
    output:
        manifest="{stage}/stage.json",
        model=directory("{stage}/model"),
        curve="{stage}/train.jsonl",
    log:
        "{stage}/logs/train.log",
    benchmark:
        "{stage}/benchmarks/train.tsv"
    # Snakemake finishes a lineage before it begins another, so that few weights are needed at once. Trainings come after
    # predictions, whose priority is 10.
    priority: lambda w: 9 * retention.training_priority[w.stage]
    conda:
        "../envs/gpu.yaml"
    threads: lambda w: checkpoint_at(w.stage).threads
    resources:
        **resources_for(lambda w: job_resources.train(w.stage)),
        # Arguments of the command. They are resources, not params, because a change of them must not retrain.
        gpus=lambda w: job_resources.train(w.stage).gpus,
        model_parallelism=lambda w: specs.model_parallelism(study.config, w.stage),
        predict_after=lambda w: predictions_after(w.stage),
        retrain=lambda w: jobs_to_retrain(*checkpoint_at(w.stage).parents),
    params:
        spec=stage_spec,
        parents=lambda w, input: as_folders(input.parent),
        # Also those of a sweep's stage. Another name would be another command, which would retrain every stage.
        optimizer_flag=lambda w: train_flags(w.stage),
    message:
        "train {wildcards.stage}"
    shell:
        # exec: the signal that ends a job reaches the training instead of a shell.
        "exec python scripts/train.py --spec {params.spec:q} --parents {params.parents:q} --data {input.data:q}"
        " --held-out {input.held_out:q} --out {wildcards.stage:q} --log {log:q} {params.optimizer_flag:q}"
        " --cache data/encoded --gpus {resources.gpus:q} --parallelism {resources.model_parallelism:q}"
        " --predict-after {resources.predict_after:q} --retrain {resources.retrain:q}"
        " --requested {wildcards.stage:q}/benchmarks/train.requested.json {resources.mem_mb:q} {resources.runtime:q}"


rule choose:
    """Choose the values of a sweep for one schedule, by its candidates' scores on validation rows."""
    input:
        lambda w: [f"{path}/stage.json" for paths in sweep_at(w.stage).candidates for path in paths],
    output:
        "{stage}/choice.json",
    log:
        "{stage}/logs/choose.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["choose"]),
    params:
        spec=lambda w: canonical_json({"grid": sweep_at(w.stage).grid, "seeds": sweep_at(w.stage).seeds}),
    message:
        "choose the values of the sweep for {wildcards.stage}"
    shell:
        "python scripts/choose.py --spec {params.spec:q} --candidates {input:q} --out {output:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule average:
    """Average the final weights of several schedules."""
    input:
        lambda w: checkpoint_inputs(w.average, parent_manifests(w)),
    output:
        manifest="{average}/stage.json",
        model=directory("{average}/model"),
        curve="{average}/train.jsonl",
    log:
        "{average}/logs/average.log",
    benchmark:
        "{average}/benchmarks/average.tsv"
    priority: lambda w: 9 * retention.training_priority[w.average]
    conda:
        "../envs/gpu.yaml"
    resources:
        **resources_for(lambda w: job_resources.average(w.average)),
        retrain=lambda w: jobs_to_retrain(*checkpoint_at(w.average).parents),
    params:
        spec=stage_spec,
        parents=lambda w, input: as_folders(input),
    message:
        "average {wildcards.average}"
    shell:
        "python scripts/train.py --spec {params.spec:q} --parents {params.parents:q} --out {wildcards.average:q}"
        " --cache data/encoded --retrain {resources.retrain:q}"
        " --requested {wildcards.average:q}/benchmarks/average.requested.json"
        " {resources.mem_mb:q} {resources.runtime:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule remove_weights:
    """Remove weights that the study does not keep, after all jobs that read them."""
    input:
        manifest="{checkpoint}/stage.json",
        consumers=lambda w: retention.consumers(w.checkpoint),
    output:
        "{checkpoint}/weights.removed",
    log:
        "{checkpoint}/logs/remove_weights.log",
    priority: 300
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["remove_weights"]),
    message:
        "remove the weights of {wildcards.checkpoint}"
    shell:
        "python scripts/remove_weights.py --checkpoint {wildcards.checkpoint:q} --out {output:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"
