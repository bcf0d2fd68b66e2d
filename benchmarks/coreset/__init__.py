"""How fast is the greedy coreset, and is it the plain one's choice?"""
