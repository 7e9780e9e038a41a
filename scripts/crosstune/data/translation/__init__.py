"""Translated training rows: translators, and where the answers lie in translated contexts."""
