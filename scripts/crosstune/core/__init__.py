"""Tools of every room: errors, files, locks, progress, random streams, schemas, texts.

Owns nothing of machine learning or of studies.
May import: nothing.
"""
