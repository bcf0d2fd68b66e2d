"""Measurements: raw records in ``results/``, figures derived from them, ratios from one run."""
