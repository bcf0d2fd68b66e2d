"""Drawn parts and damage: for the demo, for tests, and for what `verify` replays."""
