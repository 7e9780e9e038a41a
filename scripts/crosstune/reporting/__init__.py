"""Tables, figures and the page of a study.

Owns how results are shown. It computes no statistics.
May import: core, artifacts, machine, evaluation, analysis.
"""
