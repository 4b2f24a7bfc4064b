"""What docs/clients.md shows can be typed as it stands."""

import ast
import asyncio
import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from placestream.cli import app
from placestream.client import Client
from tests.inference.running import running_service

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "clients.md").read_text(encoding="utf-8")
(SERVICE,) = pb.DESCRIPTOR.services_by_name.values()


def block(after: str) -> str:
    """The indented block that follows a heading."""
    text = PAGE[PAGE.index(after) + len(after) :]
    lines = text.strip("\n").splitlines()
    kept = []
    for line in lines:
        if line and not line.startswith("    "):
            break
        kept.append(line)
    return textwrap.dedent("\n".join(kept))


def test_the_python_example_uses_what_there_is() -> None:
    """It parses, and every call on the client and every name of the protocol exists."""
    tree = ast.parse(block("## Python\n"))
    attributes = [
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    ]
    assert {"recommend", "pages", "batch", "feedback"} <= {
        a for n, a in attributes if n == "client"
    }
    for owner, name in attributes:
        if owner in ("client", "pb"):
            assert hasattr({"client": Client, "pb": pb}[owner], name)


async def test_the_python_example_runs() -> None:
    """As it is printed, against the real RPCs and stages: pages, a batch, feedback."""
    async with running_service() as service:
        example = block("## Python\n")
        address = f"127.0.0.1:{service.port}"
        assert example.count("placestream:8600") == 1
        # A name that resolves here, and time enough beside other tests; the rest stays.
        example = example.replace("placestream:8600", address).replace("0.2", "20.0")
        names: dict[str, Any] = {"token": "", "tls": None}
        await asyncio.to_thread(exec, compile(example, "clients.md", "exec"), names)
        assert names["answer"].request_id
        assert len(names["answers"]) == 2
        assert names["request"].written == [names["receipt"].position]
        assert [event.user_id for event in service.told.events] == ["42"]


def test_the_command_line_example_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the call itself: nobody listens there, which is what is told."""
    monkeypatch.setenv("PLACESTREAM_SERVE_PORT", "1")
    command = block("## From a shell\n").splitlines()[0]
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    assert "UNAVAILABLE" in result.output
    assert result.exit_code == 1


def test_settings_and_methods_that_are_named_exist() -> None:
    """In the page, and in the examples in other languages."""
    for name in re.findall(r"PLACESTREAM_([A-Z_]+)", PAGE):
        assert name.lower() in Settings.model_fields
    methods = {method.name.lower() for method in SERVICE.methods}
    kotlin = (DOCS / "examples/Recommendations.kt").read_text(encoding="utf-8")
    swift = (DOCS / "examples/Recommendations.swift").read_text(encoding="utf-8")
    called = re.findall(r"within\(\d[\d_]*\)\.(\w+)\(", kotlin)
    called += re.findall(r"await service\.(\w+)\(", swift)
    assert len(called) >= 6
    assert {name.lower() for name in called} <= methods
    for name in re.findall(r"Placestream_V1_(\w+)", swift):
        assert name in pb.DESCRIPTOR.message_types_by_name or name == SERVICE.name
    for name in re.findall(r"import placestream\.v1\.Recommendation\.(\w+)", kotlin):
        types = {*pb.DESCRIPTOR.message_types_by_name, *pb.DESCRIPTOR.enum_types_by_name}
        assert name in types
