"""How does edge_ad compare with other implementations of PatchCore?"""
