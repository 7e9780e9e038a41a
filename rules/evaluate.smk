# Evaluation: predictions of every checkpoint on every language, their scores, and trivial baselines.


rule predict:
    """Predict all languages of a data set with one checkpoint."""
    input:
        model=lambda w: prediction_inputs(w, [f"{w.checkpoint}/stage.json"]),
        data=lambda w: prediction_inputs(w, test_data(w)),
    output:
        manifest="{checkpoint}/predictions/{dataset}.json",
        files=directory("{checkpoint}/predictions/{dataset}"),
    log:
        "{checkpoint}/logs/predict.{dataset}.log",
    benchmark:
        "{checkpoint}/benchmarks/predict.{dataset}.tsv"
    priority: 10
    conda:
        "../envs/gpu.yaml"
    threads: study.config["threads"]
    resources:
        **resources_for(lambda w: job_resources.predict(w.checkpoint, w.dataset)),
        gpus=lambda w: job_resources.predict(w.checkpoint, w.dataset).gpus,
        retrain=lambda w: jobs_to_retrain(w.checkpoint),
        install_only="",
    params:
        spec=lambda w: canonical_json(specs.predict_spec(study, w.checkpoint, w.dataset)),
        data=test_data,
    message:
        "predict {wildcards.dataset} with {wildcards.checkpoint}"
    shell:
        "python scripts/predict.py --spec {params.spec:q} --stage {wildcards.checkpoint:q} --data {params.data:q}"
        " --out {output.files:q} --log {log:q} --cache data/encoded --gpus {resources.gpus:q}"
        " --retrain {resources.retrain:q} {resources.install_only:q}"
        " --requested {wildcards.checkpoint:q}/benchmarks/predict.{wildcards.dataset:q}.requested.json"
        " {resources.mem_mb:q} {resources.runtime:q}"


# A pending training will stage these predictions, and this rule moves them into place: on a cluster it is no job.
# Input, params and command equal those of predict, so that neither rule makes the other's output stale.
use rule predict as install_predictions with:
    wildcard_constraints:
        checkpoint=paths_regex(requirements.predicted_after_training),
    retries: 0
    threads: 1
    resources:
        **resources_for(LIGHT["install_predictions"]),
        gpus=0,
        retrain="[]",
        install_only="--install-only",
    message:
        "install the predictions of {wildcards.dataset} with {wildcards.checkpoint}"


ruleorder: install_predictions > predict


rule score:
    """Score the predictions of one checkpoint on one data set, by language."""
    input:
        "{checkpoint}/predictions/{dataset}.json",
    output:
        scores="{checkpoint}/scores/{dataset}.json",
        examples="{checkpoint}/scores/{dataset}.examples.jsonl",
    log:
        "{checkpoint}/logs/score.{dataset}.log",
    priority: 10
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["score"]),
    params:
        version=SCORE_VERSION,
        task=lambda w: study.registry[w.dataset].task,
        metric=lambda w: study.registry[w.dataset].metric,
        languages=lambda w: checkpoint_at(w.checkpoint).evaluate[w.dataset],
    message:
        "score {wildcards.dataset} of {wildcards.checkpoint}"
    shell:
        "python scripts/score.py --task {params.task:q} --metric {params.metric:q} --dataset {wildcards.dataset:q}"
        " --predictions {wildcards.checkpoint:q}/predictions/{wildcards.dataset:q} --languages {params.languages:q}"
        " --out {output.scores:q} 2> >(sh scripts/log.sh {log:q} >&2)"


rule baselines:
    """Score trivial baselines: empty answers, whole contexts, the most frequent label."""
    input:
        data=lambda w: [f"data/{w.dataset}/test.{lang}.json" for lang in targets.evaluated_languages(study, w.dataset)],
        train=lambda w: targets.majority_sources(study, w.dataset),
    output:
        "results/{study}/baselines/{dataset}.json",
    log:
        "results/{study}/logs/baselines.{dataset}.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["baselines"]),
    params:
        version=SCORE_VERSION,
        task=lambda w: study.registry[w.dataset].task,
        metric=lambda w: study.registry[w.dataset].metric,
        data=lambda w, input: [Path(path).with_suffix(".jsonl") for path in input.data],
        train=lambda w, input: [Path(path).with_suffix(".jsonl") for path in input.train],
    message:
        "score trivial baselines of {wildcards.dataset}"
    shell:
        "python scripts/baselines.py --task {params.task:q} --metric {params.metric:q} --dataset {wildcards.dataset:q}"
        " --data {params.data:q} --train {params.train:q} --out {output:q} 2> >(sh scripts/log.sh {log:q} >&2)"
