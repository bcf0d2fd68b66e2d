"""``python -m edge_ad_runtime`` is ``edge-ad``."""

from edge_ad_runtime.commands.main import main

main(prog_name="edge-ad")
