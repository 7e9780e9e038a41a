"""The encoder with its heads: tokenization, features, batches, packed attention, task types.

Owns the computation on a batch of rows. It knows no training loop and no study.
May import: core, artifacts, evaluation.
"""
