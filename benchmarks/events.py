"""Events for benchmarks of the stream: uniform users, half as many places, four weeks."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from contracts.events import Impression, Location, ServedPlace, encode
from contracts.signatures import PARTS
from online_features.request import RANKING_COLUMNS

#: Places of an answer.
SHOWN = 10


def events_of(
    events: int,
    entities: int,
    seed: int,
    hot: float = 0.0,
    bot: float = 0.0,
    *,
    in_order: bool = False,
) -> Iterator[tuple[str, bytes]]:
    """Yield (key, message) pairs.

    Args:
        events: how many.
        entities: users; there are half as many places.
        seed: another seed gives other events.
        hot: share of all events that happen at one place.
        bot: share of all events that one user sends.
        in_order: the newest last, as it happened; otherwise in any order.
    """
    rng = np.random.default_rng(seed)
    users = rng.integers(entities, size=events)
    places = rng.integers(max(entities // 2, 1), size=events)
    places[rng.random(events) < hot] = 0
    users[rng.random(events) < bot] = 0
    kinds = rng.choice(["view", "click", "visit", "rate"], size=events, p=[0.5, 0.25, 0.2, 0.05])
    ages_s = rng.integers(28 * 86_400, size=events)
    if in_order:
        ages_s = np.sort(ages_s)[::-1]
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


def answers_of(answers: int, entities: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield (key, message) pairs of served answers, each of ten places with all that is logged."""
    rng = np.random.default_rng(seed)
    now_s = time.time()
    for i in range(answers):
        features = rng.normal(size=(SHOWN, len(RANKING_COLUMNS))).astype(np.float32)
        features[:, ::3] = features[0, ::3]  # what is the user's is the same for all places
        parts = rng.normal(size=(SHOWN, len(PARTS))).astype(np.float32)
        places = rng.integers(max(entities // 2, 1), size=SHOWN).tolist()
        scores = np.sort(rng.normal(size=SHOWN))[::-1].tolist()
        event = Impression(
            request_id=f"{seed}-{i}",
            user_id=str(rng.integers(entities)),
            timestamp=datetime.fromtimestamp(now_s, UTC),  # they are made as they are sent
            location=Location(40.7, -74.0),
            variant="stable",
            degradation="none",
            models={"candidates": 1, "ranker": 1},
            feature_set="benchmark",
            places=[
                ServedPlace(
                    str(place),
                    k,
                    scores[k],
                    0.1,
                    features=features[k].tobytes(),
                    parts=parts[k].tobytes(),
                )
                for k, place in enumerate(places)
            ],
        )
        yield event.user_id, encode(event)
