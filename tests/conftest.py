"""Fixtures of the workshop's tests; tests/runtime has its own and runs without these."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from edge_ad import FittedDetector, PatchCoreConfig, fit
from edge_ad.compute import Cluster, connect
from edge_ad.synthetic.parts import write_parts
from edge_ad_runtime.device.machine import saturates_int8

# An example may take any time on a busy machine, and a run that fails must fail again.
settings.register_profile(
    "any machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

SMALL = PatchCoreConfig(
    weights="untrained",
    layers=(1, 2),
    size=(64, 80),
    coreset_fraction=0.05,
    calibration="split",  # so that the fit has images that it does not know
)


@pytest.fixture(scope="session")
def parts(tmp_path_factory) -> Path:
    """Drawn parts in MVTec AD's layout; read them, never write them."""
    folder = tmp_path_factory.mktemp("parts")
    write_parts(folder, good=12, test_good=4, per_defect=2)
    return folder


@pytest.fixture(scope="session")
def small() -> PatchCoreConfig:
    return SMALL


@pytest.fixture(scope="session")
def fitted(parts: Path) -> FittedDetector:
    return fit(parts / "train/good", SMALL)


@pytest.fixture(scope="session")
def two_on_ray() -> Iterator[Cluster]:
    """A Ray cluster of this machine's own, on the loopback, with two workers at least."""
    pytest.importorskip("ray", reason="Ray is not installed")
    with connect("local") as cluster:
        if cluster.slots < 2:
            pytest.skip("this machine has one core")
        yield cluster


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """One browser for all. Only the loopback has a name in it."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
        "--disable-dev-shm-usage", f"--user-data-dir={profile}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):  # fmt: skip
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium") or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def processor_has_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 here."""
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.fixture(scope="session")
def processor_saturates_int8() -> bool:
    """Whether this processor cuts off sums of 8-bit products."""
    saturates = saturates_int8()
    if saturates is None:
        pytest.skip("this processor does not say what it has")
    return saturates


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real images, weights and golden values; tests that need it skip without."""
    if "EDGE_AD_DATA" not in os.environ:
        pytest.skip("EDGE_AD_DATA is not set: no real images and weights to test on")
    return Path(os.environ["EDGE_AD_DATA"]).resolve()


@pytest.fixture(scope="session")
def weights(data: Path) -> str:
    return str(data / "weights/resnet18_imagenet_layers1-3.safetensors")
