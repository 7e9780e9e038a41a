"""A study: its config expanded into checkpoints and runs, with specs, targets, resources and cost.

Owns the meaning of a config and all paths under results/ and data/. It trains, scores and draws nothing.
May import: core, artifacts, machine, data, evaluation.
"""
