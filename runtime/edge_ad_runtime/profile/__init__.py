"""What `edge-ad profile` measures, with one question per file. `report` keeps the answers."""
