"""What does an engine or a precision gain, and what does it lose?"""
