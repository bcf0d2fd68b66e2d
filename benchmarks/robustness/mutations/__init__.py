"""Ways to change an artifact, each a function of random numbers alone.

*Damaged*: bytes change and the manifest is not told. *Resealed*: the manifest says something
hostile, under a correct seal. *Replaced*: a file holds something hostile, and the manifest has its
size and hash. *Beside*: files that no manifest covers.
"""
