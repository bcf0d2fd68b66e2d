"""The a-contrario test on noise alone: is its promise kept, and what does it find?"""
