"""How well an artifact does on labelled images."""
