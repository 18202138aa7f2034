"""The gRPC door: the Open Inference Protocol over HTTP/2, in front of the same model."""
