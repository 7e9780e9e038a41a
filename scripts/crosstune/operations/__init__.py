"""Care of a study: status, stale results, provenance, archive, submission to XTREME-R.

Owns the tools for a study besides its results.
May import: core, artifacts, machine, data, evaluation, study, analysis.
"""
