"""Long attacks on what a factory relies on: artifacts, images, writes, and a watch that lasts.

Each part makes its trials from a seed and a number, so that any of them can be run again alone:
``python -m benchmarks.robustness.measure --only artifacts --start 4711 --mutations 1``.
"""
