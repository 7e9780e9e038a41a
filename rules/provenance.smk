# Care of a study: provenance, outdated results, status, archive.


rule provenance:
    """Write the code, data, hardware and time behind the results."""
    input:
        manifests=[f"{path}/stage.json" for path in study.checkpoints],
        predictions=targets.prediction_files(study),
        data=requirements.prepared,
    output:
        "results/{study}/provenance.json",
    log:
        "results/{study}/logs/provenance.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["provenance"]),
    params:
        # A function, because Snakemake would take {lang} in a pattern of files for a wildcard.
        config=lambda w: canonical_json(specs.config_affecting_results(study.config)),
    message:
        "write the provenance of {wildcards.study}"
    shell:
        "python scripts/provenance.py --config {params.config:q} --data {input.data:q} --out {output:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule crate:
    """Pack tables, predictions, manifests, workflow and config as an RO-Crate, without weights: manifests hash them."""
    input:
        report=f"{study.results}/report.html",
        provenance=f"{study.results}/provenance.json",
        tables=f"{study.results}/tables",
        figures=f"{study.results}/figures",
        scores=targets.score_files(study),
        record=correction_record(),
    output:
        f"{study.results}/crate.zip",
    log:
        f"{study.results}/logs/crate.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["crate"]),
    params:
        results=lambda w, input: os.path.dirname(input.report),
        kept=lambda w: targets.kept_folder(study),
    message:
        "pack the study as an RO-Crate"
    shell:
        "python scripts/crate.py --results {params.results:q} --kept {params.kept:q} --out {output:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule list_stale:
    """List results of other code or settings, and folders of no run of the study."""
    log:
        "logs/list_stale.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["list_stale"]),
    params:
        config=lambda w: canonical_json(study.config),
    shell:
        "python scripts/stale.py --config {params.config:q} 2> >(sh scripts/log.sh {log:q} >&2)"


rule status:
    """Print which jobs are done, running, failed or waiting, and the time left. It works while the study runs."""
    log:
        "logs/status.log",
    conda:
        "../envs/gpu.yaml"
    resources:
        **resources_for(LIGHT["status"]),
    params:
        config=lambda w: canonical_json(study.config),
    shell:
        "python scripts/status.py --config {params.config:q} 2> >(sh scripts/log.sh {log:q} >&2)"


rule export_results:
    """Pack all finished results of the study, without weights, into one archive."""
    output:
        f"{study.results}/results.zip",
    log:
        f"{study.results}/logs/export_results.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["crate"]),
    params:
        config=lambda w: canonical_json(study.config),
    message:
        "pack the finished results of {study.name}"
    shell:
        "python scripts/results_archive.py --config {params.config:q} --export {output:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule import_results:
    """Put the results of an archive into place: tables, figures and page are then made from them without a training."""
    log:
        f"{study.results}/logs/import_results.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["crate"]),
    params:
        config=lambda w: canonical_json(study.config),
        archive=study.config.get("archive") or f"{study.results}/results.zip",
    message:
        "put the results of {params.archive} into place"
    shell:
        "python scripts/results_archive.py --config {params.config:q} --import {params.archive:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"


rule corrections:
    """Compare the study with its kept results, and write the entry of a correction for a person to complete."""
    log:
        f"{study.results}/logs/corrections.log",
    conda:
        "../envs/light.yaml"
    resources:
        **resources_for(LIGHT["corrections"]),
    params:
        kept=lambda w: targets.kept_folder(study),
        results=study.results,
        study=study.name,
    message:
        "compare {params.results} with the kept results in {params.kept}"
    shell:
        "python scripts/corrections.py --study {params.study:q} --results {params.results:q} --kept {params.kept:q}"
        " 2> >(sh scripts/log.sh {log:q} >&2)"
