# Starting over. Results are dear: nothing else ever deletes them.


rule clean_results:
    """Delete everything of this study (base model, checkpoints, predictions, tables, report)."""
    shell:
        f"rm -rf {study.results}"


rule clean_reports:
    """Delete tables, figure and page of this study; they are made again in seconds."""
    shell:
        f"rm -rf {study.results}/tables {study.results}/figures {study.results}/report.html {study.results}/plan.json"


rule clean_data:
    """Delete prepared data and the constructed world (not what was downloaded by hand)."""
    shell:
        "rm -rf data"
