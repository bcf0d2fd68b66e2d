"""What does a verdict over HTTP cost beside the detector, and what do hostile bodies do?"""
