"""Which settings for these parts: a few are tried on small banks, ranked, and one is named."""
