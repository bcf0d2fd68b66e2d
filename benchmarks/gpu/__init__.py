"""How close does an engine on a GPU come to what its operations take?"""
