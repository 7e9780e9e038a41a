# What people read: tables, the figure, the page. All wait for the look for leakage, and not only through the trainings,
# for which its file is ancient: Snakemake asks for no more of what stands on an ancient file in the run that renews it.


rule plan:
    """Write the expanded study, from which tables, figures and the report are made."""
    output:
        plan="results/{study}/plan.json",
        provenance="results/{study}/provenance.json",
    log:
        "results/{study}/logs/plan.log",
    conda:
        "../envs/crosstune.yaml"
    params:
        # Functions, because Snakemake would take {lang} in a pattern of files for a wildcard of its own.
        config=lambda w: canonical_json(study.config),
        digest=sha256_json(plan_of(study)),
    message:
        "write the plan of {wildcards.study}"
    shell:
        "python scripts/plan.py --config {params.config:q} --out {output.plan} --provenance {output.provenance}"
        " 2> >(tee {log} >&2)"


rule tables:
    """Tables of schedule x language, the transfer matrix after every stage, and the ledger of the study's claims."""
    input:
        plan="results/{study}/plan.json",
        leakage="results/{study}/leakage.json",
        scores=study.scores,
        floors=study.floors,
    output:
        tables=directory("results/{study}/tables"),
        claims="results/{study}/claims.json",
    log:
        "results/{study}/logs/tables.log",
    conda:
        "../envs/crosstune.yaml"
    message:
        "write the tables of {wildcards.study}"
    shell:
        "python scripts/tables.py --plan {input.plan} --results results/{wildcards.study} --out {output.tables}"
        " --claims {output.claims}"
        " 2> >(tee {log} >&2)"


rule figures:
    """The figure of every track and data set, as SVG and PDF."""
    input:
        plan="results/{study}/plan.json",
        leakage="results/{study}/leakage.json",
        scores=study.scores,
        floors=study.floors,
    output:
        directory("results/{study}/figures"),
    log:
        "results/{study}/logs/figures.log",
    conda:
        "../envs/crosstune.yaml"
    message:
        "draw the figures of {wildcards.study}"
    shell:
        "python scripts/figures.py --plan {input.plan} --results results/{wildcards.study} --out {output}"
        " 2> >(tee {log} >&2)"


rule report:
    """One self-contained page that opens with the answer."""
    input:
        plan="results/{study}/plan.json",
        provenance="results/{study}/provenance.json",
        leakage="results/{study}/leakage.json",
        scores=study.scores,
        floors=study.floors,
    output:
        "results/{study}/report.html",
    log:
        "results/{study}/logs/report.log",
    conda:
        "../envs/crosstune.yaml"
    message:
        "write the report of {wildcards.study}"
    shell:
        "python scripts/report.py --plan {input.plan} --results results/{wildcards.study} --out {output}"
        " 2> >(tee {log} >&2)"
