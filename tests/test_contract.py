"""The contract: its generated code is fresh, everything in it is explained, and its names agree with the code's."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from calque.v1 import common_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

from services.core.errors import Reason
from services.core.geometry import Plane

PROTO = Path(__file__).resolve().parents[1] / "proto"
# Field numbers of FileDescriptorProto and its parts, as a location's path has them.
MESSAGE, ENUM, SERVICE = 4, 5, 6
FIELD, NESTED, NESTED_ENUM, ONEOF, VALUE, RPC = 2, 3, 4, 8, 2, 2


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("contract_generator", PROTO / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(root: Path, *sources: Path) -> list[FileDescriptorProto]:
    """Descriptors of .proto files with their comments."""
    target = root / "contract.binpb"
    includes = {
        f"--proto_path={PROTO}",
        *(f"--proto_path={source.parent}" for source in sources if PROTO not in source.parents),
    }
    command = ["protoc", *sorted(includes), "--include_source_info", f"--descriptor_set_out={target}"]
    assert protoc.main([*command, *map(str, sources)]) == 0
    return list(FileDescriptorSet.FromString(target.read_bytes()).file)


def named_parts(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Every service, rpc, message, field, oneof, enum and enum value of a file: its name, and its comment or ''."""
    comments = {tuple(place.path): place.leading_comments.strip() for place in file.source_code_info.location}

    def messages(path: tuple[int, ...], prefix: str, found) -> Iterator[tuple[str, str]]:  # type: ignore[no-untyped-def]
        for number, message in enumerate(found):
            if message.options.map_entry:
                continue
            here, name = (*path, number), f"{prefix}{message.name}"
            yield name, comments.get(here, "")
            for k, part in enumerate(message.field):
                yield f"{name}.{part.name}", comments.get((*here, FIELD, k), "")
            for k, part in enumerate(message.oneof_decl):
                if not part.name.startswith("_"):  # what protoc makes of an optional field
                    yield f"{name}.{part.name}", comments.get((*here, ONEOF, k), "")
            yield from messages((*here, NESTED), f"{name}.", message.nested_type)
            yield from enums((*here, NESTED_ENUM), f"{name}.", message.enum_type)

    def enums(path: tuple[int, ...], prefix: str, found) -> Iterator[tuple[str, str]]:  # type: ignore[no-untyped-def]
        for number, enum in enumerate(found):
            here, name = (*path, number), f"{prefix}{enum.name}"
            yield name, comments.get(here, "")
            for k, value in enumerate(enum.value):
                yield f"{name}.{value.name}", comments.get((*here, VALUE, k), "")

    yield from messages((MESSAGE,), "", file.message_type)
    yield from enums((ENUM,), "", file.enum_type)
    for number, service in enumerate(file.service):
        yield service.name, comments.get((SERVICE, number), "")
        for k, rpc in enumerate(service.method):
            yield f"{service.name}.{rpc.name}", comments.get((SERVICE, number, RPC, k), "")


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    return read(tmp_path_factory.mktemp("contract"), *sorted(PROTO.glob("calque/v1/*.proto")))


def test_the_generated_code_is_fresh() -> None:
    assert _generator().differences() == []


def test_everything_has_a_comment(contract: list[FileDescriptorProto]) -> None:
    parts = [part for file in contract for part in named_parts(file)]
    assert len(parts) > 200
    assert [name for name, comment in parts if not comment] == []


def test_every_rpc_lists_its_errors(contract: list[FileDescriptorProto]) -> None:
    rpcs = {f"{service.name}.{rpc.name}" for file in contract for service in file.service for rpc in service.method}
    comments = {name: comment for file in contract for name, comment in named_parts(file) if name in rpcs}
    assert len(rpcs) > 10
    assert [name for name in sorted(rpcs) if "Errors:" not in comments[name]] == []


def test_what_has_no_comment_is_found(tmp_path: Path) -> None:
    bare = tmp_path / "bare.proto"
    bare.write_text(
        'syntax = "proto3";\n// Explained.\nmessage A {\n  int32 bare_field = 1;\n  // Explained.\n  oneof kind {\n    '
        "int32 bare_choice = 2;\n  }\n  enum BareEnum {\n    // Explained.\n    NONE = 0;\n    BARE_VALUE = 1;\n  }\n}\n"
        "// Explained.\nservice S {\n  rpc BareCall(A) returns (A);\n}\n"
    )
    (file,) = read(tmp_path, bare)
    bare_names = {name for name, comment in named_parts(file) if not comment}
    assert bare_names == {"A.bare_field", "A.bare_choice", "A.BareEnum", "A.BareEnum.BARE_VALUE", "S.BareCall"}


def test_reasons_have_the_names_of_the_contract() -> None:
    assert [reason.name for reason in Reason] == common_pb2.Reason.keys()[1:]
    assert common_pb2.Reason.keys()[0] == "REASON_UNSPECIFIED"
    assert all(reason.name == reason.value for reason in Reason)


def test_planes_have_the_numbers_of_the_contract() -> None:
    named = {f"PLANE_{plane.name}": int(plane) for plane in Plane}
    assert {"PLANE_UNSPECIFIED": 0, **named} == dict(common_pb2.Plane.items())
