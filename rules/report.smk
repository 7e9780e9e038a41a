# What people read: tables, the figure, the page. All wait for the look for leakage, and not only through the trainings,
# for which its file is ancient: Snakemake asks for no more of what stands on an ancient file in the run that renews it.


rule estimate_cost:
    """Print what the study is expected to cost: jobs, hours, energy, disk. It is printed where the study is read."""
    message:
        "what {study.name} is expected to cost is printed above; nothing else is run"


rule plan_file:
    """Write the expanded study, from which tables, figures and the report are made."""
    output:
        plan="results/{study}/plan.json",
    log:
        "results/{study}/logs/plan_file.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["plan_file"]),
    params:
        # Functions, because Snakemake would take {lang} in a pattern of files for a wildcard of its own.
        config=lambda w: canonical_json(specs.config_affecting_results(study.config)),
        digest=sha256_json(plan_of(study)),
    message:
        "write the plan of {wildcards.study}"
    shell:
        "python scripts/plan_file.py --config {params.config:q} --out {output.plan} 2> >(tee {log} >&2)"


rule contrasts:
    """Work out the declared contrasts from the scores of examples: intervals, tests, verdicts."""
    input:
        plan="results/{study}/plan.json",
        leakage="results/{study}/leakage.json",
        examples=targets.contrast_example_files(study),
    output:
        "results/{study}/contrasts.json",
    log:
        "results/{study}/logs/contrasts.log",
    benchmark:
        "results/{study}/benchmarks/contrasts.tsv"
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["contrasts"]),
    params:
        version=CONTRASTS_VERSION,
    message:
        "work out the contrasts of {wildcards.study}"
    shell:
        "python scripts/contrasts.py --plan {input.plan} --results results/{wildcards.study} --out {output}"
        " 2> >(tee {log} >&2)"


rule distances:
    """Typological distances between the languages of the study, from a file of their features."""
    input:
        lambda w: requirements.distances_file,
    output:
        "results/{study}/distances.json",
    log:
        "results/{study}/logs/distances.log",
    # First of all: what is wrong with the file is told before anything is trained.
    priority: 100
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["distances"]),
    params:
        spec=lambda w: canonical_json(requirements.distances_spec),
    message:
        "measure the distances between the languages of {wildcards.study}"
    shell:
        "python scripts/distances.py --spec {params.spec:q} --file {input:q} --out {output} 2> >(tee {log} >&2)"


rule tables:
    """Tables of schedule x language, the transfer matrix after every stage, the ledger of claims, what it all took."""
    input:
        plan="results/{study}/plan.json",
        provenance="results/{study}/provenance.json",
        leakage="results/{study}/leakage.json",
        distances=distances_of_study,
        scores=targets.score_files(study),
        floors=targets.baseline_files(study),
        contrasts=contrast_results(),
    output:
        tables=directory("results/{study}/tables"),
        claims="results/{study}/claims.json",
        # Apart from the tables: those of two equal runs are the same bytes, and times never are.
        cost=directory("results/{study}/cost"),
    log:
        "results/{study}/logs/tables.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["tables"]),
    message:
        "write the tables of {wildcards.study}"
    shell:
        "python scripts/tables.py --plan {input.plan} --results results/{wildcards.study} --out {output.tables}"
        " --claims {output.claims} --cost {output.cost}"
        " 2> >(tee {log} >&2)"


rule figures:
    """The figure of every track and data set, as SVG and PDF."""
    input:
        plan="results/{study}/plan.json",
        leakage="results/{study}/leakage.json",
        scores=targets.score_files(study),
        floors=targets.baseline_files(study),
    output:
        directory("results/{study}/figures"),
    log:
        "results/{study}/logs/figures.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["figures"]),
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
        distances=distances_of_study,
        scores=targets.score_files(study),
        floors=targets.baseline_files(study),
        contrasts=contrast_results(),
    output:
        "results/{study}/report.html",
    log:
        "results/{study}/logs/report.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["report"]),
    message:
        "write the report of {wildcards.study}"
    shell:
        "python scripts/report.py --plan {input.plan} --results results/{wildcards.study} --out {output}"
        " 2> >(tee {log} >&2)"
