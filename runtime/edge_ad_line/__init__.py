"""On the line: cameras in, verdicts out, for months. Installed by ``edge-ad-runtime[serve]``.

It imports ``edge_ad_runtime``, never the reverse. `edge_ad_line.line.Line` is all of it that the
web pages and the command need.
"""
