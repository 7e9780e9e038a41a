# Examples of the test sets with the answers of the schedules. They are no target of a study: `snakemake examples` makes
# them.


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
