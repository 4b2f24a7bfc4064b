"""The windowed counts that the stream's peers make: of visits, or of all events, of each user.

After each event that counts, Redis holds for each window how many the user had in it, both its
ends included, up to that event. Needs the standard library alone: it also runs beside the peers.
"""

import json
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

VISITS, EVERYTHING = "visits", "every event"
#: Name of a window to its width, milliseconds: three of placestream's.
WINDOWS_MS = {"1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000}
LONGEST_MS = max(WINDOWS_MS.values())


@dataclass(frozen=True)
class Task:
    """What a peer is given, as JSON in its only argument.

    Attributes:
        bootstrap: of Kafka.
        topic: interactions, as `benchmarks.events` makes them.
        redis_host, redis_port: where the counts go.
        events: messages of the topic.
        what: counts, `VISITS` or `EVERYTHING`.
        counted: how many messages count.
        folder: for whatever it keeps on disk.
    """

    bootstrap: str
    topic: str
    redis_host: str
    redis_port: int
    events: int
    what: str
    counted: int
    folder: str

    @classmethod
    def given(cls) -> Self:
        """The task of this process."""
        return cls(**json.loads(sys.argv[1]))

    def as_argument(self) -> str:
        """What `given` reads."""
        return json.dumps(asdict(self))


def counts(event: Mapping[str, Any], what: str) -> bool:
    """Whether an event counts."""
    return what == EVERYTHING or bool(event["event_type"] == "visit")


def time_ms(event: Mapping[str, Any]) -> int:
    """When it happened, Unix milliseconds."""
    return round(1_000 * datetime.fromisoformat(event["timestamp"]).timestamp())


def redis_key(user: str, window: str) -> str:
    """Where a count lies in Redis."""
    return f"count:{window}:{user}"


def counts_after(times_ms: list[int], now_ms: int) -> dict[str, int]:
    """Events in each window that ends at a moment.

    Args:
        times_ms: of all that count, sorted.
        now_ms: the moment.
    """
    end = bisect_right(times_ms, now_ms)
    return {
        name: end - bisect_left(times_ms, now_ms - width_ms)
        for name, width_ms in WINDOWS_MS.items()
    }


def expected(messages: Iterable[tuple[str, bytes]], what: str) -> dict[str, int]:
    """What Redis holds after these (key, message) pairs: key to count."""
    times: dict[str, list[int]] = {}
    for user, message in messages:
        event = json.loads(message)
        if counts(event, what):
            times.setdefault(user, []).append(time_ms(event))
    return {
        redis_key(user, window): count
        for user, its_times in times.items()
        for window, count in counts_after(sorted(its_times), max(its_times)).items()
    }
