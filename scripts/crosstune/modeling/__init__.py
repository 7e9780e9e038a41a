"""The encoder with its heads: tokenization, features, batches, packed attention, task types.

Owns what is computed for a batch of rows. It knows no training loop and no study.
May import: core, artifacts, evaluation.
"""
