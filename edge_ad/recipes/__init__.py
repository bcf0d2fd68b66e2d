"""How the weights of the backbone `procedural` came about: `recipes.train` makes them again."""
