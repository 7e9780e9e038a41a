"""crosstune: schedules of multilingual fine-tuning, from config to tables. This package never imports Snakemake."""
