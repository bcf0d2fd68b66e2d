"""The machine: what it is, what state it is in, and what `edge-ad tune` has found best on it."""

from edge_ad_runtime.device.machine import machine

__all__ = ["machine"]
