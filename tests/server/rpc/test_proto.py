"""The generated code is the .proto's, and the .proto is the published one's on the wire."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from tritonclient.grpc import model_config_pb2, service_pb2

from tidegate_server.rpc import open_inference_pb2

SOURCE = Path(open_inference_pb2.__file__).parents[2]
PROTO = "tidegate_server/rpc/open_inference.proto"
NOT_IN_TRITONS = {"ModelMetadataResponse.properties", "ModelMetadataResponse.PropertiesEntry"}


def test_generating_anew_changes_nothing(tmp_path: Path) -> None:
    """What `make proto` does."""
    target = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={SOURCE}", *target, PROTO], check=True, timeout=60
    )
    fresh = {path.name: path.read_text() for path in (tmp_path / PROTO).parent.iterdir()}
    code = fresh["open_inference_pb2.py"]
    fresh["open_inference_pb2.py"] = re.sub(r"_descriptor_pool\.Default\(\)", "_descriptor_pool.DescriptorPool()", code)

    assert fresh == {name: (SOURCE / PROTO).with_name(name).read_text() for name in fresh}


def messages(of: Mapping[str, Descriptor]) -> dict[str, Descriptor]:
    """With those inside of others, by dotted name."""
    found = {}
    for name, message in of.items():
        found[name] = message
        found |= {f"{name}.{inner}": one for inner, one in messages(message.nested_types_by_name).items()}
    return found


OURS = messages(open_inference_pb2.DESCRIPTOR.message_types_by_name)
TRITONS = {
    **messages(service_pb2.DESCRIPTOR.message_types_by_name),
    **messages(model_config_pb2.DESCRIPTOR.message_types_by_name),
}
ONLY_WHAT_HAS_A_MEANING_HERE = {"ModelConfig", "ModelInput", "ModelOutput"}


def on_the_wire(field: FieldDescriptor) -> tuple[int, int, bool, str]:
    return field.number, field.type, field.is_repeated, field.message_type.full_name if field.message_type else ""


@pytest.mark.parametrize("name", sorted(set(OURS) - NOT_IN_TRITONS))
def test_a_message_is_the_same_on_the_wire_as_in_the_wellknown_client(name: str) -> None:
    ours = {
        field.name: on_the_wire(field) for field in OURS[name].fields if f"{name}.{field.name}" not in NOT_IN_TRITONS
    }

    theirs = {field.name: on_the_wire(field) for field in TRITONS[name].fields}
    if name in ONLY_WHAT_HAS_A_MEANING_HERE:
        theirs = {field: theirs[field] for field in ours}
    assert ours == theirs


def test_datatypes_have_the_same_numbers_as_in_the_wellknown_client() -> None:
    def numbers(of: FileDescriptor) -> dict[str, int]:
        return {one.name: one.number for one in of.enum_types_by_name["DataType"].values}

    assert numbers(open_inference_pb2.DESCRIPTOR) == numbers(model_config_pb2.DESCRIPTOR)


def test_a_method_takes_and_gives_the_same_messages_as_in_the_wellknown_client() -> None:
    def methods(of: FileDescriptor) -> dict[str, tuple[str, str]]:
        service = of.services_by_name["GRPCInferenceService"]
        return {one.name: (one.input_type.full_name, one.output_type.full_name) for one in service.methods}

    ours, tritons = methods(open_inference_pb2.DESCRIPTOR), methods(service_pb2.DESCRIPTOR)

    assert ours == {name: tritons[name] for name in ours}
