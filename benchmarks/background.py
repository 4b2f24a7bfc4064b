"""`python -m benchmarks.background`: interactions at a steady rate, until it is ended.

A process of its own, so that sending does not hold up the client that measures. Users are drawn
from many, none of whom anybody asks about; places are those of the city.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np
from confluent_kafka import Producer

from contracts.events import encode
from contracts.ids import canonical_id
from contracts.kafka import producer_config
from contracts.settings import Settings

#: Events leave in turns of so many seconds.
TURN_S = 0.005
USERS = 20_000
KINDS, KIND_SHARES = ("view", "click", "visit", "rate"), (0.5, 0.25, 0.2, 0.05)
_DRAWN = 10_000


def events(place_ids: Sequence[int], rng: np.random.Generator) -> Iterator[dict[str, object]]:
    """Random interactions for ever, each with the time at which it is taken."""
    number = 0
    while True:
        users, places = rng.integers(USERS, size=_DRAWN), rng.choice(place_ids, size=_DRAWN)
        kinds = rng.choice(KINDS, size=_DRAWN, p=KIND_SHARES)
        for user, place, kind in zip(users.tolist(), places.tolist(), kinds.tolist(), strict=True):
            number += 1
            rating = {"rating": 1 + number % 5} if kind == "rate" else {}
            yield {
                "event_id": f"background-{number}",
                "user_id": f"background-{user}",
                "place_id": place,
                "event_type": kind,
                "timestamp": datetime.now(UTC).isoformat(),
                **rating,
            }


def send_for_ever(settings: Settings, place_ids: Sequence[int], rate_per_s: float) -> None:
    """Send at a steady rate; what a pause of the machine held up is made up for at once."""
    producer, topic = Producer(producer_config(settings)), settings.topics.interactions.name
    source, sent, start_s = events(place_ids, np.random.default_rng(settings.seed)), 0, time.time()
    while True:
        due = int(rate_per_s * (time.time() - start_s))
        for _ in range(due - sent):
            event = next(source)
            producer.produce(topic, key=canonical_id(str(event["user_id"])), value=encode(event))
        sent = max(due, sent)
        producer.poll(0)
        time.sleep(TURN_S)


def main() -> None:
    """Send until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, required=True, help="events a second")
    parser.add_argument("--first-place", type=int, required=True, help="id of the city's first")
    parser.add_argument("--places", type=int, required=True, help="how many follow")
    given = parser.parse_args()
    place_ids = range(given.first_place, given.first_place + given.places)
    send_for_ever(Settings(), place_ids, given.rate)


if __name__ == "__main__":
    main()
