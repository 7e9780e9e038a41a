"""What jobs leave on disk: checkpoints, prepared splits, records of cost.

Owns the files of an artifact, their lock, and when an artifact is complete and current.
May import: core.
"""
