"""EfficientNet-Lite0 beside ResNet18, and both beside anomalib with the same backbones."""
