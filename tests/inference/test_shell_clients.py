"""grpcurl and grpc_health_probe: the very lines of docs/clients.md, on a real service."""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from contracts.settings import Settings
from inference.server import RecommendationServer
from placestream.stack.ports import LOCALHOST, free_port
from tests.docs_pages import DOCS
from tests.inference.conftest import START_S, StartService
from tests.inference.installation import Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]
#: Each at the version that this was tried with, and the name that its releases have.
TOOLS = {
    "grpcurl": "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3",
    "grpc_health_probe": "github.com/grpc-ecosystem/grpc-health-probe@v0.4.57",
}
_OUT_OF_REACH = ("dial tcp", "no such host", "403 Forbidden", "i/o timeout")
ADDRESS = "127.0.0.1:8600"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of both, built from their modules; minutes at first, then from Go's cache."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain here")
    folder = tmp_path_factory.mktemp("tools")
    for name, module in TOOLS.items():
        built = subprocess.run(
            [go, "install", module],
            env=os.environ | {"GOBIN": str(folder), "GOFLAGS": "-buildvcs=false"},
            capture_output=True,
            text=True,
            check=False,
        )
        if any(sign in built.stderr for sign in _OUT_OF_REACH):
            pytest.skip(f"the Go module proxy is out of reach: {built.stderr[-200:]}")
        assert built.returncode == 0, built.stderr
        if not (folder / name).exists():  # `go install` names it as its repository
            (folder / name.replace("_", "-")).rename(folder / name)
    return folder


def line_of(tool: str) -> str:
    """The command of the page that begins with a tool, with the line that goes on with it."""
    lines = (DOCS / "clients.md").read_text(encoding="utf-8").splitlines()
    (number,) = (n for n, line in enumerate(lines) if line.startswith(f"    {tool} "))
    whole = lines[number]
    while whole.endswith("\\"):
        number += 1
        whole += f"\n{lines[number]}"
    return whole


async def run(tool: str, tools: Path, port: int) -> subprocess.CompletedProcess[str]:
    """Run the page's command as a shell does, on the service at a port."""
    command = line_of(tool)
    assert ADDRESS in command
    return await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", command.replace(ADDRESS, f"{LOCALHOST}:{port}")],
        env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


async def test_grpcurl_asks_without_our_proto(tools: Path, client: Client, port: int) -> None:
    """It learns the method by reflection, and prints the answer as JSON, by the proto's names: the
    descriptors of Python have no others."""
    done = await run("grpcurl", tools, port)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert sorted(found["place_id"] for found in answer["places"]) == [f"p{i}" for i in range(5)]


async def test_the_health_probe_says_when_it_serves(
    tools: Path, start_service: StartService, installed: Settings
) -> None:
    """Exit code 0 when it serves; another while it does not, or where nobody listens."""
    nobody = await run("grpc_health_probe", tools, free_port())
    assert nobody.returncode not in (0, 127), nobody.stderr
    server: RecommendationServer = await start_service(installed)
    await server.wait_serving(START_S)
    done = await run("grpc_health_probe", tools, server.port)
    assert done.returncode == 0, done.stderr
    assert "SERVING" in done.stderr
