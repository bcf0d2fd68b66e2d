"""How the weights of the backbone 'procedural' came about; `training.train` makes them again."""
