# Starting over. Results are expensive: no other rule deletes them, except weights that the study does not keep.


rule clean_results:
    """Delete everything of this study (base model, checkpoints, predictions, tables, report)."""
    log:
        "logs/clean_results.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["clean"]),
    params:
        results=study.results,
    shell:
        "rm -rf {params.results:q} 2> >(sh scripts/log.sh {log:q} >&2)"


rule clean_reports:
    """Delete tables, costs, claims, figures, page, distances, provenance, submissions, check and archive of this study."""
    log:
        "logs/clean_reports.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["clean"]),
    params:
        results=study.results,
    shell:
        "(cd {params.results:q} && rm -rf tables cost figures paper buckets examples submission report.html contrasts.json claims.json"
        " distances.json plan.json provenance.json encoding.json encoding.md model_cards.json crate.zip) 2> >(sh scripts/log.sh {log:q} >&2)"


rule clean_data:
    """Delete prepared and synthetic data, not downloads."""
    log:
        "logs/clean_data.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["clean"]),
    shell:
        "(mkdir -p data; find data -mindepth 1 -maxdepth 1 ! -name raw -exec rm -rf {{}} +; rm -rf data/raw/world)"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule clean_downloads:
    """Delete downloads, not the hub's cache; models that were made from them stay."""
    log:
        "logs/clean_downloads.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["clean"]),
    shell:
        "rm -rf data/raw/hub data/raw/url 2> >(sh scripts/log.sh {log:q} >&2)"
