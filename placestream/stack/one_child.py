"""What the servers that are one process have in common: start, clean stop, crash, restart."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from placestream.stack.child import Child, never


class OneChild(ABC):
    """A server that is one child process, and a context manager that starts and stops it.

    Attributes:
        stop_grace_s: how long a clean stop may take before it is ended by force.
    """

    stop_grace_s: float
    _child: Child | None = None

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it answers."""

    def _begin(self, child: Child, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until its process is ready; one that is not does not stay."""
        self._child = child
        try:
            child.wait_ready(ready, timeout_s)
        except BaseException:
            child.kill()
            raise

    @property
    def children(self) -> list[Child]:
        """Its process, if it was started."""
        return [self._child] if self._child is not None else []

    def stop(self, hurry: Callable[[], bool] = never) -> None:
        """Stop it cleanly, or after a grace (or in a hurry) by force. Its data stays."""
        if self._child is not None:
            self._child.stop(self.stop_grace_s, hurry)

    def kill(self) -> None:
        """Kill it with SIGKILL, as a crash would."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """Start it again on the same data and port, stopped cleanly first if it runs."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
