"""Does `edge-ad suggest` find settings that are as good as the best of a grid?"""
