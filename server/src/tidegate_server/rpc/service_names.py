"""What the gRPC services of this server are called."""

INFERENCE_SERVICE = "inference.GRPCInferenceService"
HEALTH_SERVICE = "grpc.health.v1.Health"
REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
"""Two names for the same messages: tools ask for the first and then for the second."""
MODEL_INFER = f"/{INFERENCE_SERVICE}/ModelInfer"
