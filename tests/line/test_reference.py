"""LINE.md names every setting, every key of a result and every reason, and its example is read."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from edge_ad_line import config
from edge_ad_line.result import REASONS, Result
from edge_ad_runtime.artifact import strict

TEXT = (Path(__file__).parents[2] / "runtime/LINE.md").read_text(encoding="utf-8")
TABLES = [
    config.DeviceConfig, config.PartConfig, config.FolderCamera, config.HttpCamera,
    config.StreamCamera, config.AravisCamera, config.MqttSink, config.WebhookSink,
    config.JsonLinesSink, config.Keep, config.KeepConfig, config.WebConfig,
]  # fmt: skip


@pytest.mark.parametrize("record", [*TABLES, config.StoreConfig, Result], ids=lambda r: r.__name__)
def test_every_key_is_named(record):
    for field in dataclasses.fields(record):
        assert f"`{field.name}`" in TEXT or f"[store.{field.name}." in TEXT, field.name


def test_every_reason_is_named():
    for reason in REASONS:
        assert f"`{reason}`" in TEXT


def test_the_example_is_a_line():
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert strict.parse(config.LineConfig, tomllib.loads(example)).camera_named("top")
