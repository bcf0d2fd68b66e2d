"""The machine: what it is, how it is doing, and what `edge-ad tune` has found best on it."""

from edge_ad_runtime.device.machine import machine

__all__ = ["machine"]
