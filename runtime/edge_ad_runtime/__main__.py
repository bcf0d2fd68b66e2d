"""``python -m edge_ad_runtime`` is ``edge-ad``."""

from edge_ad_runtime.cli import main

main(prog_name="edge-ad")
