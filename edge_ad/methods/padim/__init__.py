"""PaDiM (Defard et al. 2021): a Gaussian of the embeddings of good images at each position."""
