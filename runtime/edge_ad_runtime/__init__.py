"""edge_ad's device side: load an artifact, score images, prove it, time it. No torch.

>>> from edge_ad_runtime import Detector                          # doctest: +SKIP
>>> Detector.load("line3.edgead").predict("part.png").verdict     # doctest: +SKIP
'good'
"""

from edge_ad_runtime.detector import Detector
from edge_ad_runtime.prediction import Prediction

__version__ = "0.1.0"
__all__ = ["Detector", "Prediction", "__version__"]
