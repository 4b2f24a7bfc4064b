"""Interactions for benchmarks of the stream: uniform users, half as many places, four weeks."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from contracts.events import encode


def events_of(
    events: int, entities: int, seed: int, hot: float = 0.0, bot: float = 0.0
) -> Iterator[tuple[str, bytes]]:
    """Yield (key, message) pairs.

    Args:
        events: how many.
        entities: users; there are half as many places.
        seed: another seed gives other events.
        hot: share of all events that happen at one place.
        bot: share of all events that one user sends.
    """
    rng = np.random.default_rng(seed)
    users = rng.integers(entities, size=events)
    places = rng.integers(max(entities // 2, 1), size=events)
    places[rng.random(events) < hot] = 0
    users[rng.random(events) < bot] = 0
    kinds = rng.choice(["view", "click", "visit", "rate"], size=events, p=[0.5, 0.25, 0.2, 0.05])
    ages_s = rng.integers(28 * 86_400, size=events)
    now_s = time.time()
    for i in range(events):
        event = {
            "user_id": int(users[i]),
            "place_id": int(places[i]),
            "event_type": str(kinds[i]),
            "timestamp": datetime.fromtimestamp(now_s - int(ages_s[i]), UTC).isoformat(),
            "event_id": f"{seed}-{i}",
            "context": {
                "location": {"lat": 40.7 + i % 100 / 1_000, "lng": -74.0},
                "device": "mobile",
                "session_id": f"s{i // 5}",
            },
        }
        if kinds[i] == "rate":
            event["rating"] = 4
        if kinds[i] == "visit":
            event["dwell_s"] = 600 + i % 3_000
        yield str(users[i]), encode(event)
