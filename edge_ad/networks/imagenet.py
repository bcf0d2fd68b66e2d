"""How images are scaled for networks of ImageNet: per colour, in 0 to 1, red first."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
