"""The Open Inference Protocol and /predict: bytes to arrays and back, against a model's signature. Pure."""
