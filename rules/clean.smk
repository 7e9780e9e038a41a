# Starting over. Results are dear: nothing else ever deletes them.


rule clean_results:
    """Delete everything of this study (base model, checkpoints, predictions, tables, report)."""
    log:
        "logs/clean_results.log",
    conda:
        "../envs/crosstune.yaml"
    shell:
        f"rm -rf {study.results} 2> {{log}}"


rule clean_reports:
    """Delete tables, figure, page and submissions of this study; they are made again in seconds."""
    log:
        "logs/clean_reports.log",
    conda:
        "../envs/crosstune.yaml"
    shell:
        f"rm -rf {study.results}/tables {study.results}/figures {study.results}/submission {study.results}/report.html {study.results}/plan.json 2> {{log}}"


rule clean_data:
    """Delete prepared data and the constructed world (not what was downloaded by hand)."""
    log:
        "logs/clean_data.log",
    conda:
        "../envs/crosstune.yaml"
    shell:
        "rm -rf data 2> {log}"
