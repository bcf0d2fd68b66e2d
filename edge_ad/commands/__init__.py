"""The workshop's commands. They hold what click needs, and the work is done elsewhere."""
