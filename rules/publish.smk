# What a study publishes besides its tables and figures. `snakemake examples` and `snakemake model_cards` make it; cards
# are a target of a study that has the key `model_cards`.


rule examples:
    """Write some examples of every test set with the answers of all schedules side by side."""
    input:
        plan=f"{study.results}/plan.json",
        leakage=f"{study.results}/leakage.json",
        predictions=targets.final_predictions(study, shown_examples(study)["seed"]),
        scores=targets.final_example_scores(study, shown_examples(study)["seed"]),
        data=targets.evaluated_rows(study),
    output:
        directory(f"{study.results}/examples"),
    log:
        f"{study.results}/logs/examples.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["examples"]),
    params:
        results=lambda w, input: Path(input.plan).parent,
        number=shown_examples(study)["number"],
        seed=shown_examples(study)["seed"],
    message:
        "write examples of the test sets"
    shell:
        "python scripts/examples.py --plan {input.plan:q} --results {params.results:q} --data data"
        " --number {params.number:q} --seed {params.seed:q} --out {output:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


# A card lies in the folder of the weights, which is an output of the training. So the list of cards is the output here.
rule model_cards:
    """Write a model card next to the weights of every checkpoint that the study keeps."""
    input:
        plan=f"{study.results}/plan.json",
        leakage=f"{study.results}/leakage.json",
        manifests=[f"{path}/stage.json" for path in retention.with_cards],
        scores=targets.score_files(study),
    output:
        f"{study.results}/model_cards.json",
    log:
        f"{study.results}/logs/model_cards.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["model_cards"]),
    params:
        results=lambda w, input: Path(input.plan).parent,
        final="--final" if study.config["keep_weights"] == "final" else "",
    message:
        "write the model cards"
    shell:
        "python scripts/model_cards.py --plan {input.plan:q} --results {params.results:q} --data data --out {output:q}"
        " {params.final:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"
