"""Files that somebody renews while a process runs: certificates, lists of clients."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

T = TypeVar("T")
log = structlog.get_logger(__name__)
#: A look costs some microseconds for each file.
LOOK_EVERY_S = 1.0


class FollowedFile(Generic[T]):
    """What files hold, read again when they change.

    To `current`, what cannot be read leaves the last that could in force: a typing error in a list
    of clients must neither end the service nor open it. It is logged once for each change, but read
    at every look until it can be: a disk that failed once would keep a revoked token in force.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        load: Callable[[], T],
        clock: Callable[[], float],
        *,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        """Read for the first time.

        Args:
            paths: the files that `load` reads.
            load: returns what they hold; raises OSError or ValueError.
            clock: seconds that only grow.
            every_s: they are looked at no more often.

        Raises:
            OSError, ValueError: what `load` raises; at a start nothing stands in for it.
        """
        self._paths = tuple(paths)
        self._load = load
        self._clock = clock
        self._every_s = every_s
        self._seen = self._signature()
        self._told: tuple[tuple[int, ...], ...] | None = None
        self._held = load()
        self._looked_s = clock()

    def current(self) -> T:
        """What the files hold, as of a moment that lies at most `every_s` back."""
        now_s = self._clock()
        if now_s - self._looked_s >= self._every_s:
            self._looked_s = now_s
            self._look()
        return self._held

    def newest(self) -> T:
        """What the files hold now, at the cost of a look at them; nothing stands in for it.

        Raises:
            OSError, ValueError: what `load` raises.
        """
        seen = self._signature()
        if seen != self._seen:
            self._held = self._load()
            self._seen = seen  # not before: what failed is tried again
        return self._held

    def _look(self) -> None:
        before, names = self._seen, [str(path) for path in self._paths]
        try:
            self.newest()
        except (OSError, ValueError) as error:
            failed = self._signature()
            if failed != self._told:
                log.error(
                    "file_not_read", files=names, cause=str(error), in_force="what was before"
                )
            self._told = failed
        else:
            self._told = None
            if self._seen != before:
                log.info("file_read_again", files=names)

    def _signature(self) -> tuple[tuple[int, ...], ...]:
        return tuple(map(_signature, self._paths))


def _signature(path: Path) -> tuple[int, ...]:
    """What differs once a file was changed, replaced, or made readable."""
    try:
        found = os.stat(path)  # noqa: PTH116  (Path.stat costs twice as much)
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
