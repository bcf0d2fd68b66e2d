"""Do the PatchCore paper's tables and figures come out again?"""
