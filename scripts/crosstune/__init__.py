"""crosstune: schedules of multilingual fine-tuning, from config to tables. This package never imports Snakemake.

One package a room; each docstring says what the room owns and which rooms it may import. A test holds them to it.
"""
