"""How good are the package's own backbones?"""
