"""Generate the contract's Python code: messages, stubs for grpcio and grpclib, and their types.

``python proto/generate.py`` writes beside the ``.proto`` files; ``--check`` writes nothing and exits with 1 when what is
committed differs. Nothing else calls protoc.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
SOURCES = sorted(ROOT.glob("calque/v1/*.proto"))
GENERATED = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi", "_grpc.py")


def generate(target: Path) -> None:
    """Write all generated files under ``target``. Raises: RuntimeError when protoc fails."""
    bin_folder = Path(sys.executable).parent
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={ROOT}",
            f"--plugin=protoc-gen-grpclib_python={bin_folder / 'protoc-gen-grpclib_python'}",
            f"--plugin=protoc-gen-mypy_grpc={bin_folder / 'protoc-gen-mypy_grpc'}",
            f"--python_out={target}",
            f"--pyi_out={target}",
            f"--grpc_python_out={target}",
            f"--grpclib_python_out={target}",
            f"--mypy_grpc_out={target}",
            *(str(source) for source in SOURCES),
        ]
    )
    if status != 0:
        raise RuntimeError(f"protoc failed with status {status}")
    # A .proto without a service gets an empty grpclib module and an empty grpcio one: they say nothing.
    for source in SOURCES:
        if "\nservice " not in source.read_text():
            for ending in ("_pb2_grpc.py", "_pb2_grpc.pyi", "_grpc.py"):
                (target / source.relative_to(ROOT).with_name(source.stem + ending)).unlink(missing_ok=True)


def differences() -> list[str]:
    """Names of generated files that are missing, stale or left over."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        made = {str(p.relative_to(fresh)): p.read_bytes() for p in fresh.rglob("*.py*")}
        kept = {str(p.relative_to(ROOT)): p.read_bytes() for e in GENERATED for p in ROOT.glob(f"calque/v1/*{e}")}
    return sorted(name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name))


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        stale = differences()
        print("\n".join(f"differs from its .proto: {name}" for name in stale) or "The generated code is up to date.")
        sys.exit(1 if stale else 0)
    generate(ROOT)
    print(f"Generated the code of {len(SOURCES)} .proto files.")
