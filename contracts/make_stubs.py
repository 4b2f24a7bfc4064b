"""Makes the Python stubs of the public protocol: `make stubs`, or `python -m contracts.make_stubs`.

Needs the development extras (grpcio-tools, mypy-protobuf).
"""

import subprocess
import sys
from pathlib import Path

from google.rpc import status_pb2

ROOT = Path(__file__).parents[1]
PROTO = "contracts/placestream/v1/recommendation.proto"
STUBS = tuple(
    PROTO.replace(".proto", ending)
    for ending in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
)
#: protoc's name of a plugin to the program that comes with mypy-protobuf.
_PLUGINS = {"mypy": "protoc-gen-mypy", "mypy_grpc": "protoc-gen-mypy_grpc"}


def protoc() -> list[str]:
    """The compiler, and where it finds our proto and those of google.rpc."""
    google = Path(status_pb2.__file__).parents[2]
    return [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}", f"-I{google}"]


def make_stubs(directory: Path) -> None:
    """Write the stubs under `directory`, at the paths of `STUBS`.

    Raises:
        subprocess.CalledProcessError: protoc refuses; it has said why on standard error.
    """
    programs = Path(sys.executable).parent
    plugins = [
        f"--plugin=protoc-gen-{name}={programs / program}" for name, program in _PLUGINS.items()
    ]
    outputs = [f"--{name}_out={directory}" for name in ("python", "grpc_python", *_PLUGINS)]
    command = [*protoc(), *plugins, *outputs, PROTO]
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    make_stubs(ROOT)
