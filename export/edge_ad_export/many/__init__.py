"""Many parts with many settings: each pair is a cell, fitted, exported and measured."""
