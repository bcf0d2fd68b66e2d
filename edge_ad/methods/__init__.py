"""Ways to learn what good parts look like; a folder each."""
