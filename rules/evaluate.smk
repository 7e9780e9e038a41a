# Evaluation: predictions of every checkpoint on every language, their scores, and the floor under them.


rule predict:
    """Predict all languages of a data set with one checkpoint."""
    input:
        model="{checkpoint}/stage.json",
        data=test_data,
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
        **asked(lambda w: jobs.predict(w.checkpoint, w.dataset)),
        devices=lambda w: jobs.predict(w.checkpoint, w.dataset).gpus,
        again=lambda w: again(w.checkpoint),
        unless_ahead="compute",
    params:
        spec=lambda w: canonical_json(study.predict_spec(w.checkpoint, w.dataset)),
    message:
        "predict {wildcards.dataset} with {wildcards.checkpoint}"
    shell:
        "python scripts/predict.py --spec {params.spec:q} --stage {wildcards.checkpoint} --data {input.data}"
        " --out {output.files} --log {log} --cache data/encoded --gpus {resources.devices} --again {resources.again:q}"
        " --unless-ahead {resources.unless_ahead}"
        " --asked {wildcards.checkpoint}/benchmarks/predict.{wildcards.dataset}.asked.json"
        " {resources.mem_mb} {resources.runtime}"


# The same where a training that is still to come predicts ahead: no job of a cluster, since there is nothing to compute.
# Input, parameters and command are those of predict, so that it makes no difference later which of the two it was.
use rule predict as adopt with:
    wildcard_constraints:
        checkpoint=any_of(needs.predicted_ahead),
    retries: 0
    threads: 1
    resources:
        **asked(LIGHT["adopt"]),
        devices=0,
        again="[]",
        unless_ahead="refuse",
    message:
        "take over the predictions of {wildcards.dataset} with {wildcards.checkpoint}"


ruleorder: adopt > predict


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
        **asked(LIGHT["score"]),
    params:
        version=SCORE_VERSION,
        task=lambda w: study.registry[w.dataset].task,
        metric=lambda w: study.registry[w.dataset].metric,
        languages=lambda w: checkpoint_at(w.checkpoint).evaluate[w.dataset],
    message:
        "score {wildcards.dataset} of {wildcards.checkpoint}"
    shell:
        "python scripts/score.py --task {params.task} --metric {params.metric} --dataset {wildcards.dataset}"
        " --predictions {wildcards.checkpoint}/predictions/{wildcards.dataset} --languages {params.languages}"
        " --out {output.scores} 2> >(tee {log} >&2)"


rule floor:
    """Score what needs no model: empty answers, whole contexts, the most frequent label."""
    input:
        data=lambda w: [study.prepared(w.dataset, "test", lang) for lang in study.evaluated_languages(w.dataset)],
        train=lambda w: study.majority_sources(w.dataset),
    output:
        "results/{study}/floor/{dataset}.json",
    log:
        "results/{study}/logs/floor.{dataset}.log",
    conda:
        "../envs/light.yaml"
    resources:
        **asked(LIGHT["floor"]),
    params:
        version=SCORE_VERSION,
        task=lambda w: study.registry[w.dataset].task,
        metric=lambda w: study.registry[w.dataset].metric,
        data=lambda w, input: [Path(path).with_suffix(".jsonl") for path in input.data],
        train=lambda w, input: [Path(path).with_suffix(".jsonl") for path in input.train],
    message:
        "score the floor of {wildcards.dataset}"
    shell:
        "python scripts/floor.py --task {params.task} --metric {params.metric} --dataset {wildcards.dataset}"
        " --data {params.data} --train {params.train} --out {output} 2> >(tee {log} >&2)"
