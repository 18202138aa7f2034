"""Describes the services to tools such as grpcurl, in the words of gRPC's reflection protocol. Pure."""

from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import ReflectionServicer
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from tidegate_server.rpc import open_inference_pb2
from tidegate_server.rpc.service_names import HEALTH_SERVICE, INFERENCE_SERVICE, REFLECTION_SERVICES


def _pool() -> DescriptorPool:
    """Our messages are in none that others share, so they are put together here with the libraries' own."""
    pool = DescriptorPool()
    for module in (open_inference_pb2, health_pb2, reflection_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    return pool


_SERVICER = ReflectionServicer((INFERENCE_SERVICE, HEALTH_SERVICE, *REFLECTION_SERVICES), _pool())


def described(request: ServerReflectionRequest) -> ServerReflectionResponse:
    """Names of the services, or the files that describe one; what isn't known is an error inside of the response."""
    context: Any = None  # it asks for none
    response: ServerReflectionResponse = next(iter(_SERVICER.ServerReflectionInfo(iter([request]), context)))
    return response
