"""Makes the reference of the public protocol, docs/api.md: `make stubs`, or
`python -m contracts.make_api_docs`.

All words are the proto's own comments. Needs the development extras (grpcio-tools).
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2

from contracts.make_stubs import PROTO, ROOT, protoc

DOCS = Path("docs/api.md")
# Where things lie in a FileDescriptorProto and its parts (field numbers of descriptor.proto).
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
_FIELDS, _VALUES, _METHODS = 2, 2, 2
_Path = tuple[int, ...]
_Field = descriptor_pb2.FieldDescriptorProto

_HEAD = f"""# API reference

Made from the comments of `{PROTO}` by `make stubs`; do not edit by hand. How to call it
from Python, Kotlin and Swift: [clients.md](clients.md).
"""


class _File:
    """A proto file and the comments in it."""

    def __init__(self, file: descriptor_pb2.FileDescriptorProto) -> None:
        self.file = file
        self._said = {
            tuple(location.path): _plain(location.leading_comments or location.trailing_comments)
            for location in file.source_code_info.location
        }

    def said(self, path: _Path) -> str:
        """The comment of what lies at a path, as one line."""
        return self._said.get(path, "")

    def page(self) -> str:
        """The whole reference."""
        file = self.file
        parts = [_HEAD.rstrip()]
        for i, service in enumerate(file.service):
            parts += self._service(service, (_SERVICES, i))
        parts.append("## Messages")
        for i, message in enumerate(file.message_type):
            parts += self._message(message, (_MESSAGES, i))
        parts.append("## Enums")
        for i, enum in enumerate(file.enum_type):
            parts += self._enum(enum, (_ENUMS, i))
        return "\n\n".join(part for part in parts if part) + "\n"

    def _service(
        self, service: descriptor_pb2.ServiceDescriptorProto, path: _Path
    ) -> Iterator[str]:
        yield f"## {self.file.package}.{service.name}"
        yield self.said(path)
        rows = [
            (
                f"`{method.name}`",
                f"{_link(method.input_type)} → {_link(method.output_type)}",
                self.said((*path, _METHODS, i)),
            )
            for i, method in enumerate(service.method)
        ]
        yield _table(("method", "request → response", "what it does"), rows)

    def _message(self, message: descriptor_pb2.DescriptorProto, path: _Path) -> Iterator[str]:
        yield f"### {message.name}"
        yield self.said(path)
        rows = [
            (f"`{field.name}`", _type(field, message), self.said((*path, _FIELDS, i)))
            for i, field in enumerate(message.field)
        ]
        yield _table(("field", "type", "meaning"), rows)

    def _enum(self, enum: descriptor_pb2.EnumDescriptorProto, path: _Path) -> Iterator[str]:
        yield f"### {enum.name}"
        yield self.said(path)
        rows = [
            (f"`{value.name}`", str(value.number), self.said((*path, _VALUES, i)))
            for i, value in enumerate(enum.value)
        ]
        yield _table(("value", "number", "meaning"), rows)


def api_docs() -> str:
    """The reference as the proto is now.

    Raises:
        subprocess.CalledProcessError: protoc refuses; it has said why on standard error.
    """
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "described"
        command = [*protoc(), "--include_source_info", f"--descriptor_set_out={out}", PROTO]
        subprocess.run(command, cwd=ROOT, check=True)
        described = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    return _File(described.file[0]).page()


def _plain(comment: str) -> str:
    return " ".join(comment.split())


def _type(field: _Field, message: descriptor_pb2.DescriptorProto) -> str:
    if field.type in (_Field.TYPE_MESSAGE, _Field.TYPE_ENUM):
        for nested in message.nested_type:
            if nested.options.map_entry and field.type_name.endswith(f".{nested.name}"):
                key, value = nested.field
                return f"map of {_type(key, nested)} to {_type(value, nested)}"
        name = _link(field.type_name)
    else:
        name = _Field.Type.Name(field.type).removeprefix("TYPE_").lower()
    if field.label == _Field.LABEL_REPEATED:
        return f"repeated {name}"
    if field.proto3_optional:
        return f"optional {name}"
    return (
        f"{name} (one of `{message.oneof_decl[field.oneof_index].name}`)"
        if (field.HasField("oneof_index"))
        else name
    )


def _link(type_name: str) -> str:
    name = type_name.removeprefix(".")
    if name.startswith("google."):
        return f"`{name}`"
    short = name.rpartition(".")[2]
    return f"[{short}](#{short.lower()})"


def _table(head: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> str:
    if not rows:
        return ""
    lines = [head, ("---", "---", "---"), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


if __name__ == "__main__":
    (ROOT / DOCS).write_text(api_docs(), encoding="utf-8")
    sys.stdout.write(f"{DOCS} is as {PROTO} says\n")
