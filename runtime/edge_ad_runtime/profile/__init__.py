"""What `edge-ad profile` measures, one question per file; `command` asks, `report` keeps."""
