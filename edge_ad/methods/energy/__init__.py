"""Energy-based detection (Genc et al. 2021): a density of good parts whose gradient is the map."""
