"""The proof that a graph computes what torch computes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ad.networks.run import Run
from edge_ad_runtime.engines import Graph, open_engine
from edge_ad_runtime.errors import ExportError, ParityError

# float32 sums in another order, over some 20 layers: measured 1e-6 to 5e-6 of the largest value
OUTPUT_TOLERANCE = 1e-4


def check_parity(
    run: Run, graph: Graph, images: NDArray[np.uint8], *, tolerance: float = OUTPUT_TOLERANCE
) -> float:
    """Run ONNX Runtime beside torch on ``(k, H, W, 3)`` real images, and compare all outputs.

    Returns:
        The largest difference, relative to the largest value of the output.

    Raises:
        ParityError: the difference is above ``tolerance``.
    """
    engine = open_engine("onnxruntime", graph)
    worst_absolute = worst = 0.0
    worst_name = ""
    for image in images:
        found = engine.run(image[np.newaxis])
        for name, expected in run(image[np.newaxis]).items():
            if found[name].shape != expected.shape:
                raise ExportError(
                    f"ONNX gives {name} of shape {found[name].shape}, torch {expected.shape}"
                )
            absolute = float(np.abs(found[name] - expected).max())
            worst_absolute = max(worst_absolute, absolute)
            largest = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
            if not absolute / largest <= worst:  # nan too
                worst, worst_name = absolute / largest, name
    engine.close()
    if not worst <= tolerance:
        raise ParityError(
            f"{worst_name} differ from torch's by {worst:.2g} of the largest value, "
            f"{tolerance:g} is allowed",
            max_abs_difference=worst_absolute,
            tolerance=tolerance,
        )
    return worst
