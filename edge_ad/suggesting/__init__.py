"""Which settings for these parts: a few are tried on some of the images, ranked, and one is named."""
