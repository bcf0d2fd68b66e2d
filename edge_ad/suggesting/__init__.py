"""Which settings for these parts: a few are tried on some images and ranked."""
