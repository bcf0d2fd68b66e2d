from pathlib import Path

import pytest


@pytest.fixture
def tiny() -> Path:
    """The committed artifact."""
    return Path(__file__).parents[2] / "runtime/tiny.edgead"
