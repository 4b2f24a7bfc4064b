"""How gRPC's core reads in our processes: without handing each read on between its own threads."""

import os
import subprocess
import sys

import pytest

CALLS = 1_000
#: Makes so many calls of itself, and prints the voluntary context switches of gRPC's pool.
PROGRAM = f"""
from pathlib import Path
import inference
import grpc
from concurrent.futures import ThreadPoolExecutor

echo = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
server = grpc.server(ThreadPoolExecutor(1))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("t.Test", {{"Echo": echo}})])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with grpc.insecure_channel(f"127.0.0.1:{{port}}") as channel:
    for _ in range({CALLS}):
        assert channel.unary_unary("/t.Test/Echo")(b"x") == b"x"
    switches = 0
    for thread in Path("/proc/self/task").iterdir():
        if (thread / "comm").read_text().strip() == "event_engine":
            status = dict(line.split(":", 1) for line in (thread / "status").open())
            switches += int(status["voluntary_ctxt_switches"])
print(switches)
server.stop(None).wait()
"""


def switches(environment: dict[str, str]) -> int:
    """Of the pool's threads, in a process of its own."""
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Unknown experiment" not in told.stderr
    return int(told.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="counts switches in /proc")
def test_calls_do_not_pass_through_the_pool_of_grpc() -> None:
    """Beside those of who sets the engine that does it, and so has it: the pool also wakes by time,
    which on a busy machine is longer."""
    bare = {name: text for name, text in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    own = {**os.environ, "GRPC_EXPERIMENTS": "event_engine_client"}

    through_the_pool = switches(own)
    assert through_the_pool > CALLS
    assert switches(bare) < through_the_pool / 3
