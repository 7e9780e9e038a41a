# Augmentation: rows in one language made into rows in another, by a translator, one file for each pair of languages.


rule fetch_translator:
    """Fetch a model that translates from the hub. The rules with network are this one, fetch, fetch_model and pin."""
    output:
        manifest="models/{name}@{revision}/translator.json",
        model=directory("models/{name}@{revision}/translator"),
    log:
        "logs/fetch/{name}@{revision}.translator.log",
    conda:
        "../envs/crosstune.yaml"
    message:
        "fetch the translator {wildcards.name} at {wildcards.revision}"
    shell:
        "python scripts/fetch_model.py --translator --id $(echo {wildcards.name:q} | sed 's|--|/|')"
        " --revision {wildcards.revision} --raw data/raw --out models/{wildcards.name}@{wildcards.revision}"
        " 2> >(tee {log} >&2)"


rule translate:
    """Translate prepared rows from one language into another; answers are found again in the translated contexts."""
    input:
        rows=lambda w: needs.translated_rows(w.dataset, w.split, w.pair),
        model=lambda w: needs.translator_model(w.dataset, w.split, w.pair),
    output:
        rows="data/translated/{dataset}/{split}.{pair}.jsonl",
        manifest="data/translated/{dataset}/{split}.{pair}.json",
    log:
        "logs/translate/{dataset}.{split}.{pair}.log",
    priority: 100
    conda:
        "../envs/crosstune.yaml"
    threads: study.config["threads"]
    params:
        spec=lambda w: canonical_json(needs.translate_spec(w.dataset, w.split, w.pair)),
        model=lambda w, input: f"--model {Path(input.model[0]).with_suffix('')}" if input.model else "",
        world=lambda w: canonical_json(study.config["world"]),
    message:
        "translate {wildcards.dataset} {wildcards.split} {wildcards.pair}"
    shell:
        "python scripts/translate.py --spec {params.spec:q} --rows {input.rows} {params.model} --world {params.world:q}"
        " --out {output.rows} 2> >(tee {log} >&2)"
