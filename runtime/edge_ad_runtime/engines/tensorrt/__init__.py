"""TensorRT and TensorRT-RTX: plans, how they are built, and the engine that runs them."""
