# Augmentation: a translator turns rows of one language into rows of another, one file per pair of languages.


rule translate:
    """Translate prepared rows into another language, and locate the answers in the translated contexts."""
    input:
        rows=rows_to_translate,
        model=lambda w: requirements.translator_model(w.dataset, w.split, w.pair),
    output:
        rows="data/translated/{dataset}/{split}.{pair}.jsonl",
        manifest="data/translated/{dataset}/{split}.{pair}.json",
    log:
        "logs/translate/{dataset}.{split}.{pair}.log",
    priority: 100
    conda:
        "../envs/gpu.yaml"
    threads: study.config["threads"]
    resources:
        **resources_for(lambda w: resources_of_translation(w.dataset, w.split, w.pair)),
        gpus=lambda w: resources_of_translation(w.dataset, w.split, w.pair).gpus,
    params:
        spec=lambda w: canonical_json(spec_of_translation(w.dataset, w.split, w.pair)),
        model=lambda w, input: ["--model", str(Path(input.model[0]).parent / "model")] if input.model else [],
    message:
        "translate {wildcards.dataset} {wildcards.split} {wildcards.pair}"
    shell:
        "python scripts/translate.py --spec {params.spec:q} --rows {input.rows:q} {params.model:q}"
        " --gpus {resources.gpus:q} --out {output.rows:q} 2> >(sh scripts/log.sh {log:q} >&2)"
