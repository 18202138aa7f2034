"""What the gRPC services of this server are called."""

INFERENCE_SERVICE = "inference.GRPCInferenceService"
HEALTH_SERVICE = "grpc.health.v1.Health"
MODEL_INFER = f"/{INFERENCE_SERVICE}/ModelInfer"
