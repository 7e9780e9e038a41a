# Results for readers: tables, figures, the page. Each waits for the leakage check directly. The check's file is ancient()
# for trainings, and Snakemake does not rerun dependents of an ancient() input in the run that updates it.


report: "report/study.rst"


rule estimate_cost:
    """Print the expected cost of the study: jobs, hours, energy, disk. common.smk prints it when it reads the study."""
    message:
        "the expected cost of {study.name} is printed above; nothing else runs"


rule plan_file:
    """Write the expanded study, which tables, figures and the page read."""
    input:
        ["config.yaml"] if outdated_plan else [],
    output:
        plan="results/{study}/plan.json",
    log:
        "results/{study}/logs/plan_file.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["plan_file"]),
    params:
        # A function, because Snakemake would take {lang} in a pattern of files for a wildcard.
        config=lambda w: specs.plan_config(study.config),
        digest=plan_digest,
    message:
        "write the plan of {wildcards.study}"
    shell:
        "python scripts/plan_file.py --config {params.config:q} --out {output.plan:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule contrasts:
    """Compute the declared contrasts from the scores of examples: intervals, tests, verdicts."""
    input:
        plan="results/{study}/plan.json",
        leakage="results/{study}/leakage.json",
        examples=targets.contrast_example_files(study),
        floors=targets.baseline_files(study),
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
        "compute the contrasts of {wildcards.study}"
    shell:
        "python scripts/contrasts.py --plan {input.plan:q} --results results/{wildcards.study:q} --out {output:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule buckets:
    """Compare two schedules by bucket of examples, from the scores of examples and the prepared rows."""
    input:
        plan="results/{study}/plan.json",
        leakage="results/{study}/leakage.json",
        files=targets.bucket_files(study),
    output:
        report(
            directory("results/{study}/buckets"),
            patterns=["{table}.csv"],
            caption="report/tables.rst",
            category="Buckets",
            labels={"table": "{table}"},
        ),
    log:
        "results/{study}/logs/buckets.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["buckets"]),
    message:
        "compare schedules of {wildcards.study} by bucket of examples"
    shell:
        "python scripts/buckets.py --plan {input.plan:q} --results results/{wildcards.study:q} --out {output:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule distances:
    """Typological distances between the languages of the study, from a file of their features."""
    input:
        lambda w: distances_file(study),
    output:
        "results/{study}/distances.json",
    log:
        "results/{study}/logs/distances.log",
    # First of all: a mistake in the file ends the study before it trains anything.
    priority: 100
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["distances"]),
    params:
        spec=lambda w: canonical_json(distances_spec(study)),
    message:
        "measure the distances between the languages of {wildcards.study}"
    shell:
        "python scripts/distances.py --spec {params.spec:q} --file {input:q} --out {output:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule tables:
    """Tables of schedule x language, the transfer matrix after every stage, the results of claims, the cost."""
    input:
        plan="results/{study}/plan.json",
        provenance="results/{study}/provenance.json",
        leakage="results/{study}/leakage.json",
        distances=distances_of_study,
        scores=targets.score_files(study),
        floors=targets.baseline_files(study),
        choices=list(study.sweeps),
        contrasts=contrast_results(),
    output:
        tables=report(
            directory("results/{study}/tables"),
            patterns=["{table}.csv"],
            caption="report/tables.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        claims="results/{study}/claims.json",
        # Apart from the tables: two equal runs give the same bytes of tables, but never the same times.
        cost=report(
            directory("results/{study}/cost"),
            patterns=["{table}.csv"],
            caption="report/cost.rst",
            category="Cost",
            labels={"table": "{table}"},
        ),
    log:
        "results/{study}/logs/tables.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["tables"]),
    message:
        "write the tables of {wildcards.study}"
    shell:
        "python scripts/tables.py --plan {input.plan:q} --results results/{wildcards.study:q} --out {output.tables:q}"
        " --claims {output.claims:q} --cost {output.cost:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule figures:
    """The forest plot of the contrasts, and the figures of every track and data set, as SVG and PDF."""
    input:
        plan="results/{study}/plan.json",
        leakage="results/{study}/leakage.json",
        scores=targets.score_files(study),
        floors=targets.baseline_files(study),
        distances=distances_of_study,
        contrasts=contrast_results(),
    output:
        report(
            directory("results/{study}/figures"),
            patterns=["{panel}.{kind}.svg"],
            caption="report/figures.rst",
            category="Figures",
            subcategory="{panel}",
            labels={"figure": "{kind}"},
        ),
    log:
        "results/{study}/logs/figures.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["figures"]),
    message:
        "draw the figures of {wildcards.study}"
    shell:
        "python scripts/figures.py --plan {input.plan:q} --results results/{wildcards.study:q} --out {output:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule figure:
    """A figure that the study specifies, as SVG and PDF."""
    input:
        plan="results/{study}/plan.json",
        leakage="results/{study}/leakage.json",
        scores=targets.score_files(study),
        floors=targets.baseline_files(study),
        distances=distances_of_study,
        contrasts=contrast_results(),
    output:
        svg=report(
            "results/{study}/paper/{figure}.svg",
            caption="report/figures.rst",
            category="Figures of the study",
            labels={"figure": "{figure}"},
        ),
        pdf="results/{study}/paper/{figure}.pdf",
    log:
        "results/{study}/logs/figure.{figure}.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["figure"]),
    params:
        name=lambda w: figure_named(w.figure),
    message:
        "draw the figure {wildcards.figure} of {wildcards.study}"
    shell:
        "python scripts/figure.py --plan {input.plan:q} --results results/{wildcards.study:q} --name {params.name:q}"
        " --out {output.svg:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule report:
    """One self-contained page that opens with the answer."""
    input:
        plan="results/{study}/plan.json",
        provenance="results/{study}/provenance.json",
        leakage="results/{study}/leakage.json",
        encoding=encodings_checked(),
        distances=distances_of_study,
        scores=targets.score_files(study),
        floors=targets.baseline_files(study),
        choices=list(study.sweeps),
        contrasts=contrast_results(),
        buckets=bucket_results(),
        record=correction_record(),
    output:
        report("results/{study}/report.html", caption="report/page.rst", category="Page", labels={"page": "{study}"}),
    log:
        "results/{study}/logs/report.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["report"]),
    params:
        kept=lambda w: targets.kept_folder(study),
    message:
        "write the report of {wildcards.study}"
    shell:
        "python scripts/report.py --plan {input.plan:q} --results results/{wildcards.study:q} --kept {params.kept:q}"
        " --out {output:q} 2> >(sh scripts/log.sh {log:q} >&2)"
