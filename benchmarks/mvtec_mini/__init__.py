"""Does the whole path work on coloured, real parts?"""
