"""The workshop's commands: click only; what they do is elsewhere."""
