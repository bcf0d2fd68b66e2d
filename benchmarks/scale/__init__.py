"""How much memory does the bank of a large data set take?"""
