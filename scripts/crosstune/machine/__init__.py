"""The machine that a job runs on: hardware, GPU locks, energy, SLURM, containers.

Owns the knowledge of the machine and of its use. It knows no task, model or study.
May import: core.
"""
