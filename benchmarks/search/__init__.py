"""What does a nearest neighbour cost, and how wrong is it?"""
