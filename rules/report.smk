# What people read: tables, the figure, the page. All wait for the look for leakage, and not only through the trainings,
# for which its file is ancient: Snakemake asks for no more of what stands on an ancient file in the run that renews it.


rule plan:
    """Print what the study is expected to cost: jobs, hours, energy, disk. It is printed where the study is read."""
    message:
        "what {study.name} is expected to cost is printed above; nothing else is run"


rule expand:
    """Write the expanded study, from which tables, figures and the report are made."""
    output:
        plan="results/{study}/plan.json",
    log:
        "results/{study}/logs/expand.log",
    conda:
        "../envs/light.yaml"
    resources:
        **asked(LIGHT["expand"]),
    params:
        # Functions, because Snakemake would take {lang} in a pattern of files for a wildcard of its own.
        config=lambda w: canonical_json(study.told),
        digest=sha256_json(plan_of(study)),
    message:
        "write the plan of {wildcards.study}"
    shell:
        "python scripts/expand.py --config {params.config:q} --out {output.plan} 2> >(tee {log} >&2)"


rule contrasts:
    """Work out the declared contrasts from the scores of examples: intervals, tests, verdicts."""
    input:
        plan="results/{study}/plan.json",
        leakage="results/{study}/leakage.json",
        examples=study.contrasted,
    output:
        "results/{study}/contrasts.json",
    log:
        "results/{study}/logs/contrasts.log",
    benchmark:
        "results/{study}/benchmarks/contrasts.tsv"
    conda:
        "../envs/light.yaml"
    resources:
        **asked(LIGHT["contrasts"]),
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
        lambda w: needs.distances_file,
    output:
        "results/{study}/distances.json",
    log:
        "results/{study}/logs/distances.log",
    # First of all: what is wrong with the file is told before anything is trained.
    priority: 100
    conda:
        "../envs/light.yaml"
    resources:
        **asked(LIGHT["distances"]),
    params:
        spec=lambda w: canonical_json(needs.distances_spec),
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
        scores=study.scores,
        floors=study.floors,
        contrasts=worked_contrasts(),
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
        **asked(LIGHT["tables"]),
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
        scores=study.scores,
        floors=study.floors,
    output:
        directory("results/{study}/figures"),
    log:
        "results/{study}/logs/figures.log",
    conda:
        "../envs/light.yaml"
    resources:
        **asked(LIGHT["figures"]),
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
        scores=study.scores,
        floors=study.floors,
        contrasts=worked_contrasts(),
    output:
        "results/{study}/report.html",
    log:
        "results/{study}/logs/report.log",
    conda:
        "../envs/light.yaml"
    resources:
        **asked(LIGHT["report"]),
    message:
        "write the report of {wildcards.study}"
    shell:
        "python scripts/report.py --plan {input.plan} --results results/{wildcards.study} --out {output}"
        " 2> >(tee {log} >&2)"
