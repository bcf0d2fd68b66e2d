"""Colour histograms: the smallest method there can be."""
