"""One energy of each space, barely trained, and what they were exported to."""

import pytest

from edge_ad import EnergyConfig, fit
from edge_ad_export import ExportConfig, export

SHORT = {"size": (64, 80), "epochs": 1, "batch_size": 2, "holdout_fraction": 0.34}


@pytest.fixture(scope="package")
def features() -> EnergyConfig:
    return EnergyConfig(backbone="resnet18", weights="untrained", **SHORT)


@pytest.fixture(scope="package")
def pixels() -> EnergyConfig:
    return EnergyConfig(space="pixels", width=8, score="energy", **SHORT)


@pytest.fixture(scope="package")
def fitted(parts, features):
    """With the score gradient-max."""
    return fit(parts / "train/good", features)


@pytest.fixture(scope="package")
def fitted_pixels(parts, pixels):
    """With the score energy."""
    return fit(parts / "train/good", pixels)


@pytest.fixture(scope="package")
def artifact(fitted, tmp_path_factory):
    out = tmp_path_factory.mktemp("energy") / "a.edgead"
    export(fitted, out, ExportConfig(reference_images=1))
    return out


@pytest.fixture(scope="package")
def pixels_artifact(fitted_pixels, tmp_path_factory):
    out = tmp_path_factory.mktemp("energy") / "pixels.edgead"
    export(fitted_pixels, out, ExportConfig(reference_images=1))
    return out
