"""What the line promises, tried: kills, lost brokers and cameras, swaps, a full disk, a soak."""
