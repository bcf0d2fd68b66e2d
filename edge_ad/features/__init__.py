"""Patch features of a pretrained network, and what can be learned from many of them."""
