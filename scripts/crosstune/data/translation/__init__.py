"""Translated training rows: translators, and the projection of answers into translated contexts."""
