"""Networks that turn images into feature maps, and their weights."""
