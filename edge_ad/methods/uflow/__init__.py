"""U-Flow (Tailanian et al. 2022): a normalizing flow whose latents tell where a defect begins."""
