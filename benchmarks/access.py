"""What it costs a request to be let through.

    python -m benchmarks.access

"alone": the guard called in a loop as gRPC calls it, so with warm caches. "in place": the same
call timed inside a real server, between gRPC's own work for each request, beside an interceptor
that does nothing. Both depend much on who else uses the machine's caches.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import grpc.aio

from contracts.settings import Settings
from inference.access.clients import ClientEntry, ClientList, NewToken, TokenEntry, write
from inference.access.guard import interceptors
from inference.metrics import Metrics
from inference.service import SERVICE

METHOD = f"/{SERVICE}/Recommend"
#: As many clients as the file holds; one of them calls.
CLIENTS = 1_000
CALLS, CALLS_IN_PLACE, ROUNDS = 20_000, 3_000, 5


class _Details:
    """What gRPC tells an interceptor of a call."""

    def __init__(self, token: str) -> None:
        self.method = METHOD
        self.invocation_metadata = (
            ("user-agent", "grpc-python-asyncio/1.85.1"),
            ("authorization", f"Bearer {token}"),
        )


class _Timed(grpc.aio.ServerInterceptor):
    """Times another interceptor; `None`: one that does nothing."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.times_ns: list[int] = []

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Let the other one decide."""
        started_ns = time.perf_counter_ns()
        if self._inner is None:
            handler = await continuation(handler_call_details)
        else:
            handler = await self._inner.intercept_service(continuation, handler_call_details)
        self.times_ns.append(time.perf_counter_ns() - started_ns)
        return handler


def _guard(folder: Path, token: NewToken) -> grpc.aio.ServerInterceptor:
    """A guard whose clients all have a rate, which is never reached."""
    tokens = [*(NewToken.made() for _ in range(CLIENTS - 1)), token]
    entries = [
        ClientEntry(f"c{i}", ["recommend"], [TokenEntry(t.sha256)], [], 1e6)
        for i, t in enumerate(tokens)
    ]
    path = folder / "clients.json"
    write(path, ClientList(entries))
    settings = Settings(_env_file=None, serve_clients_file=path)
    return interceptors(settings, Metrics(), clock=time.time, monotonic=time.monotonic)[0]


async def _alone_us(guard: Any, token: str) -> float:
    """Microseconds of a call, of one round."""

    async def behind(_details: object) -> object:
        return None

    details = _Details(token)
    started_s = time.perf_counter()
    for _ in range(CALLS):
        await guard.intercept_service(behind, details)
    return 1e6 * (time.perf_counter() - started_s) / CALLS


async def _in_place_us(guard: Any, token: str) -> float:
    """Median microseconds of a call inside a real server."""

    async def answer(request: bytes, _context: object) -> bytes:
        return request

    handler: Any = answer
    timed = _Timed(guard)
    server = grpc.aio.server(interceptors=[timed])
    methods: dict[str, Any] = {"Recommend": grpc.unary_unary_rpc_method_handler(handler)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_unary(METHOD)
        for _ in range(CALLS_IN_PLACE):
            await call(b"", metadata=(("authorization", f"Bearer {token}"),))
    await server.stop(None)
    return median(timed.times_ns) / 1e3


async def _run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        token = NewToken.made()
        guard = _guard(Path(folder), token)
        rounds = [
            (
                await _alone_us(guard, token.token),
                await _in_place_us(guard, token.token),
                await _in_place_us(None, token.token),
            )
            for _ in range(ROUNDS)
        ]
    names = ("alone", "in place", "nothing, in place")
    for name, times in zip(names, zip(*rounds, strict=True), strict=True):
        print(f"{name}: {median(times):.1f} us ({min(times):.1f} to {max(times):.1f})")


if __name__ == "__main__":
    asyncio.run(_run())
