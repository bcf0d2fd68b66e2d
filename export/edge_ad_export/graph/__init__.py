"""A trained network as an ONNX graph, and the proof that both compute the same."""
