# The study's predictions in XTREME-R's format. They are no target of a study: `snakemake submission` makes them.


rule submission:
    """Write predictions and gold labels in XTREME-R's folders and files."""
    input:
        plan=f"{study.results}/plan.json",
        leakage=f"{study.results}/leakage.json",
        predictions=targets.submission_predictions(study),
        data=targets.submission_data(study),
    output:
        directory(f"{study.results}/submission"),
    log:
        f"{study.results}/logs/submission.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["submission"]),
    params:
        results=lambda w, input: Path(input.plan).parent,
    message:
        "write the submissions to XTREME-R"
    shell:
        "python scripts/submission.py --plan {input.plan:q} --results {params.results:q} --data data --out {output:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"
