"""What does a cluster cost, and is the bank the one of a single machine?"""
