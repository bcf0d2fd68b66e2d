"""Make tiny.edgead, the artifact that tests/runtime runs on: python tests/runtime/make_tiny.py.

A real one, small: ResNet18's stem and first stage with seeded random weights, on drawn parts.
"""

import tempfile
from pathlib import Path

from edge_ad import PatchCoreConfig, fit
from edge_ad.synthetic.parts import write_parts
from edge_ad_export import ExportConfig, export

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        write_parts(Path(folder), good=16, test_good=0, per_defect=0)
        config = PatchCoreConfig(
            weights="untrained", layers=(1,), size=(64, 80), coreset_fraction=0.2, seed=1
        )
        fitted = fit(Path(folder) / "train/good", config)
    out = Path(__file__).with_name("tiny.edgead")
    settings = ExportConfig(search="hnsw", reference_images=1)
    print(export(fitted, out, settings, overwrite=True))  # noqa: T201
