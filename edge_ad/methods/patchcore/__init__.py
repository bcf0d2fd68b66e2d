"""PatchCore (Roth et al. 2022): a memory bank of good patches, searched for the nearest."""
