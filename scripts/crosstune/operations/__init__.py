"""Care of a study: status, stale results, provenance, archive, submission to XTREME-R.

Owns what a user asks about a study beside its results.
May import: core, artifacts, machine, data, evaluation, study, analysis.
"""
