"""Guarded servers for the tests beside."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from inference.access.clients import ClientList, write
from tests.inference.access.guarded import CLIENTS, Clock, Guarded, Serve


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Starts guarded servers with `CLIENTS`, or others."""
    started: list[Guarded] = []

    async def serve(clients: ClientList = CLIENTS, **settings: Any) -> Guarded:
        path = tmp_path / "clients.json"
        write(path, clients)
        server = Guarded(path, Clock())
        await server.start(**settings)
        started.append(server)
        return server

    yield serve
    for server in started:
        await server.stop()
