"""The Open Inference Protocol, version 2, over HTTP, with the binary tensor extension.

So clients of Triton, KServe, Seldon and OpenVINO Model Server can ask for a score. A model is a
part, and its version begins the SHA-256 of the artifact that is live. The protocol has no word for
an image that cannot be judged: that is an HTTP error, and never an output.
"""

from edge_ad_line.web.inference.endpoints import Inference

__all__ = ["Inference"]
