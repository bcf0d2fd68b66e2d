"""What an artifact carries so that a device can prove its scores."""
