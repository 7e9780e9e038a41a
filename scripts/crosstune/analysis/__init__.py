"""Statistics of results: seeds, contrasts, intervals, transfer.

Owns the numbers that tables, figures and the page show. It writes no table and draws no figure.
May import: core, artifacts, data, evaluation.
"""
