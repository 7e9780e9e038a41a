"""Training and inference: the trainer, checkpoint jobs, several GPUs, model selection, resuming.

Owns how one job makes a checkpoint or its predictions. It knows no config and no Snakemake.
May import: core, artifacts, machine, evaluation, modeling.
"""
