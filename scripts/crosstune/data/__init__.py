"""Data sets: records, downloads, readers, preparation, leakage, translation, synthetic languages.

Owns the way from a published file to checked rows. It knows no model and no schedule.
May import: core, artifacts.
"""
