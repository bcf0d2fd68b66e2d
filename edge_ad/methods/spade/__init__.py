"""SPADE (Cohen & Hoshen 2020): the most similar good images, compared position by position."""
