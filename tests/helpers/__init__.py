"""Example studies and rows for tests: their configs, files, results and planted scores."""
