"""The gRPC server: the Open Inference Protocol over HTTP/2, in front of the same model."""
