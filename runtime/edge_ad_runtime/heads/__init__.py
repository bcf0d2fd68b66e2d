"""What the runtime does with one network's outputs: a score, a map, and the proof of each stage."""
