"""Starts processes, notices when one dies, and ends them all."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Self

import structlog

from placestream.stack.child import Child
from placestream.stack.signals import ending_counted

log = structlog.get_logger(__name__)

WATCH_EVERY_S = 0.25
STOP_GRACE_S = 10.0


class ChildDied(RuntimeError):
    """A process ended that nobody asked to; the message names it and holds its log's end."""


def placestream_command(role: str) -> list[str]:
    """Return the command line of a role, with the Python that runs this."""
    return [sys.executable, "-m", "placestream", role]


class Supervisor:
    """The role processes of one run, each with a log of its own under `run_dir`.

    A thread watches them: the death of one is logged at once with the end of its log, and
    raised by the next `check()`. Leaving the `with` block ends them in reverse order.
    """

    def __init__(
        self,
        run_dir: Path,
        env: Mapping[str, str],
        command: Callable[[str], list[str]] = placestream_command,
    ) -> None:
        self._command = command
        self._run_dir = run_dir
        self._env = {**os.environ, **env}
        self._roles: dict[str, Child] = {}
        self._watched: list[Child] = []
        self._dead: list[Child] = []
        self._ending = threading.Event()
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self,
        role: str,
        *,
        ready: Callable[[], bool] | None = None,
        timeout_s: float = 120,
        arguments: Iterable[str] = (),
    ) -> Child:
        """Start `placestream ROLE` and wait until it is ready.

        Args:
            role: the command's name, and the name of its log.
            ready: asked again and again; None waits for nothing.
            timeout_s: how long it may take.
            arguments: more words for its command line.

        Raises:
            StartError: it ended first, or was too slow; holds the end of its log.
            ValueError: it runs already.
        """
        if former := self._roles.get(role):
            if former.alive:
                raise ValueError(f"{role} runs already")
            self.unwatch(former)
        command = [*self._command(role), *arguments]
        child = Child.spawn(role, command, self._run_dir / f"{role}.log", env=self._env)
        self._roles[role] = child
        began = time.monotonic()
        if ready is not None:
            child.wait_ready(ready, timeout_s)
        self.watch(child)
        log.info("started", role=role, pid=child.pid, after_s=round(time.monotonic() - began, 1))
        return child

    def watch(self, child: Child) -> None:
        """Notice the death of this process too (a server that somebody else stops)."""
        self._watched.append(child)
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
            self._watcher.start()

    def unwatch(self, child: Child) -> None:
        """Take the end of this process as meant from now on."""
        if child in self._watched:
            self._watched.remove(child)

    def child(self, role: str) -> Child:
        """Return the newest process of a role.

        Raises:
            KeyError: it was never started.
        """
        return self._roles[role]

    def stop_role(self, role: str, grace_s: float = STOP_GRACE_S) -> int:
        """End one role cleanly, or after the grace by force; return its exit code."""
        self.unwatch(self._roles[role])
        return self._roles[role].stop(grace_s)

    def kill_role(self, role: str) -> None:
        """Kill one role with SIGKILL, as a crash would."""
        self.unwatch(self._roles[role])
        self._roles[role].kill()

    def check(self) -> None:
        """Return if all is well.

        Raises:
            ChildDied: a process ended that nobody asked to.
        """
        dead = [child for child in self._watched if not child.alive]
        if dead:
            raise ChildDied("\n".join(child.describe_end() for child in dead))

    def wait(self) -> None:
        """Wait until a signal comes or a process dies.

        Raises:
            ChildDied: the latter.
        """
        while True:
            self.check()
            time.sleep(WATCH_EVERY_S)

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """End all roles, the newest first; a second signal meanwhile cuts the grace short."""
        self._ending.set()
        with ending_counted() as signals:
            for role, child in reversed(self._roles.items()):
                if child.alive:
                    log.info("stopping", role=role)
                child.stop(grace_s, hurry=lambda: signals() > 0)
        if self._watcher is not None:
            self._watcher.join()

    def _watch(self) -> None:
        while not self._ending.wait(WATCH_EVERY_S):
            for child in list(self._watched):
                if not child.alive and child not in self._dead and not self._ending.is_set():
                    self._dead.append(child)
                    log.error("died", role=child.name, how=child.describe_end())
