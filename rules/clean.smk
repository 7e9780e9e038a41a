# Starting over. Results are dear: nothing else ever deletes them, but for weights that the study says it does not keep.


rule clean_results:
    """Delete everything of this study (base model, checkpoints, predictions, tables, report)."""
    log:
        "logs/clean_results.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["clean"]),
    shell:
        f"rm -rf {study.results} 2> {{log}}"


rule clean_reports:
    """Delete tables, costs, ledger, figure, page, distances, provenance, submissions and archive of this study."""
    log:
        "logs/clean_reports.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["clean"]),
    shell:
        f"rm -rf {study.results}/tables {study.results}/cost {study.results}/figures {study.results}/submission {study.results}/report.html {study.results}/contrasts.json {study.results}/claims.json {study.results}/distances.json {study.results}/plan.json {study.results}/provenance.json {study.results}/crate.zip 2> {{log}}"


rule clean_data:
    """Delete prepared data and the constructed world, not what was downloaded."""
    log:
        "logs/clean_data.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["clean"]),
    shell:
        "(mkdir -p data; find data -mindepth 1 -maxdepth 1 ! -name raw -exec rm -rf {{}} +; rm -rf data/raw/world) 2> {log}"


rule clean_downloads:
    """Delete what was downloaded from the network; models that were made of it stay."""
    log:
        "logs/clean_downloads.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["clean"]),
    shell:
        "rm -rf data/raw/hub data/raw/url 2> {log}"
