"""TCP links that a test can cut or stall: a worker reaches Redis or Kafka only through one."""

import asyncio
import ssl
import threading
from types import TracebackType
from typing import Self

from placestream.stack.ports import LOCALHOST, free_port

CHUNK_BYTES = 64 * 1024


class Link:
    """One listening port on loopback whose connections lead to another port there.

    What was read while the link is stalled is passed on later, even if the client has given up by
    then: a write that its sender takes for lost may still arrive.
    """

    def __init__(self, target_port: int, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Lead to `target_port`, in plain text; `tls`: what the link itself asks of its clients."""
        self.port = port or free_port()
        self._tls = tls
        self._target_port = target_port
        self._flows = asyncio.Event()
        self._is_cut = False
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self) -> asyncio.Server:
        """Listen, and let everything through."""
        self._flows = asyncio.Event()  # of this loop
        self._open.clear()
        self.mend()
        return await asyncio.start_server(self._accept, LOCALHOST, self.port, ssl=self._tls)

    def mend(self) -> None:
        """Let everything through."""
        self._is_cut = False
        self._flows.set()

    def stall(self) -> None:
        """Keep connections, but let nothing through, either way."""
        self._flows.clear()

    def cut(self) -> None:
        """Reset all connections, with what is on its way, and refuse new ones."""
        self._is_cut = True
        self.drop()

    def drop(self) -> None:
        """Reset all connections; new ones may come."""
        for writer in self._open:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            onward_reader, onward = await asyncio.open_connection(LOCALHOST, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, onward}
        self._open |= ends
        try:
            await asyncio.gather(self._pump(reader, onward), self._pump(onward_reader, writer))
        finally:
            self._open -= ends

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                await self._flows.wait()
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


class Links:
    """Serves links from a thread of its own; a context manager."""

    def __init__(self, links: list[Link]) -> None:
        self._links = links
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="links", daemon=True)
        self._listening = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10), "the links do not listen"
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        for link in self._links:  # what is open then ends by itself
            self.mend(link)
            self.cut(link)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def mend(self, link: Link) -> None:
        """See `Link.mend`."""
        self._loop.call_soon_threadsafe(link.mend)

    def stall(self, link: Link) -> None:
        """See `Link.stall`."""
        self._loop.call_soon_threadsafe(link.stall)

    def cut(self, link: Link) -> None:
        """See `Link.cut`."""
        self._loop.call_soon_threadsafe(link.cut)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        servers = [self._loop.run_until_complete(link.serve()) for link in self._links]
        self._listening.set()
        self._loop.run_forever()
        for server in servers:
            server.close()
        tasks = asyncio.all_tasks(self._loop)
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()
