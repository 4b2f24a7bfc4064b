"""The tables of a backfill have one writer at a time: a backfill, or an erasure.

A backfill goes by the list of the erased as it was when it began, and writes for hours: an erasure
that went on beside it would be undone.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".writer.lock"


class BeingWritten(RuntimeError):
    """Another process writes the tables."""


@contextmanager
def writer(backfill_dir: Path) -> Iterator[None]:
    """Write inside; a process that ends, however it does, is no writer any more.

    Args:
        backfill_dir: root of the tables; made if there is none.

    Raises:
        BeingWritten: somebody else does.
    """
    backfill_dir.mkdir(parents=True, exist_ok=True)
    with (backfill_dir / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BeingWritten(
                f"another `placestream backfill` or `erase-user` writes {backfill_dir}: "
                "run this again when it has ended"
            ) from None
        yield
