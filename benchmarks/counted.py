"""What a process that counts events says of it, and the rate that follows.

Needs the standard library alone: peers say it from environments of their own.
"""

import time
from collections.abc import Iterable

SAY_EVERY_S = 0.05


class Counted:
    """Says how many events are done, with the time, whenever that moved; not too often."""

    def __init__(self, total: int) -> None:
        """Say that nothing is done yet of so many events; the last of them is said at once."""
        self._total = total
        self._said_s = 0.0
        self(0)
        self._said_s = 0.0  # the first that are done are said at once, too

    def __call__(self, count: int, now_s: float | None = None) -> None:
        """Say it; `now_s` is of `time.monotonic`, which is one clock for all processes here."""
        now_s = time.monotonic() if now_s is None else now_s
        if now_s - self._said_s > SAY_EVERY_S or count >= self._total:
            self._said_s = now_s
            print(f"\ncounted {count} {now_s}", flush=True)


def rate_told(lines: Iterable[bytes], events: int, warm_share: float) -> float:
    """Events a second between the warm share and the last event, from what was said.

    Where nothing was said between the two, for there are few events and a fast process, from what
    was said before.

    Args:
        lines: output of the process, as it comes.
        events: how many there are.
        warm_share: of them, before which nothing counts.

    Raises:
        RuntimeError: the output ended before the last event.
    """
    since: tuple[int, float] | None = None
    for line in lines:
        if not line.startswith(b"counted "):
            continue
        count, now_s = int(line.split()[1]), float(line.split()[2])
        if since is not None and count >= events:
            return (count - since[0]) / (now_s - since[1])
        if since is None or since[0] < warm_share * events:
            since = (count, now_s)
    raise RuntimeError("it ended before the last event")
