"""Do two detectors in one process get in one another's way?"""
