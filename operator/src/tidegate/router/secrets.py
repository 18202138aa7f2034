"""The router's certificate as Envoy takes it. Pure."""

from tidegate.router import xds_pb2 as pb
from tidegate.router.resource_names import CERTIFICATE_NAME
from tidegate.router.subscription import Resource
from tidegate.router.xds import resource


def certificate_resource(chain: bytes, key: bytes) -> Resource:
    """Both PEM. Its version is a digest, and tells nothing of the key."""
    served = pb.TlsCertificate(certificate_chain=pb.Bytes(inline_bytes=chain), private_key=pb.Bytes(inline_bytes=key))
    return resource(CERTIFICATE_NAME, pb.Secret(name=CERTIFICATE_NAME, tls_certificate=served).SerializeToString())
