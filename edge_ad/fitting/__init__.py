"""Fitting: the split, the threshold, the record and the folder, for every method alike."""
