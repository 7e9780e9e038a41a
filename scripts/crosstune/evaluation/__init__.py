"""Scores of predictions: metrics, trivial baselines, XTREME-R's files.

Owns the official numbers. It knows no checkpoint and no schedule.
May import: core, data.
"""
