"""Statistics of results: cells (runs of one number), contrasts, bootstrap, intervals, regression, transfer.

Owns the numbers that tables, figures and the report show. It writes no table and draws no figure.
May import: core, artifacts, data, evaluation.
"""
