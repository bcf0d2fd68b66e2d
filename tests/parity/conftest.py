import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real images, weights and golden values; tests that need it skip without."""
    if "EDGE_AD_DATA" not in os.environ:
        pytest.skip("EDGE_AD_DATA is not set: no real images and weights to test on")
    return Path(os.environ["EDGE_AD_DATA"]).resolve()


@pytest.fixture(scope="session")
def weights(data: Path) -> str:
    return str(data / "weights/resnet18_imagenet_layers1-3.safetensors")
