"""What a chaos test sends: busy users, late and out of order, doubled, and with bad events."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Producer

from contracts.kafka import producer_config
from contracts.settings import Settings

USERS, PLACES = 40, 30
BURST, PAUSE_S = 25, 0.04
Message = tuple[str, bytes]


class MessyEvents:
    """An endless stream, the same for the same seed and time; remembers its bad events.

    A user has some events in each batch, so that the memory for duplicates (16 counted events)
    turns over within a batch: a state that is folded twice, or from the wrong offset, then shows.
    A sixth of all events is sent again: most while the memory still holds them, some later,
    so that they count again.
    """

    def __init__(self, seed: int, now_s: float) -> None:
        self._rng = np.random.default_rng(seed)
        self._now_s = now_s
        self._number = 0
        self.bad: list[bytes] = []

    def __iter__(self) -> Iterator[Message]:
        past: dict[str, list[bytes]] = {}
        while True:
            self._number += 1
            user = min(int(self._rng.zipf(1.3)), USERS) if self._rng.random() < 0.5 else None
            user_id = str(int(self._rng.integers(USERS)) if user is None else user)
            chance = self._rng.random()
            mine = past.setdefault(user_id, [])
            if chance < 0.01:
                self.bad.append(self._bad(user_id))
                yield user_id, self.bad[-1]
            elif chance < 0.17 and mine:
                depth = int(self._rng.integers(1, 24))
                yield user_id, mine[-min(depth, len(mine))]
            else:
                mine.append(msgspec.json.encode(self._good(user_id)))
                del mine[:-24]
                yield user_id, mine[-1]

    def _good(self, user_id: str) -> dict[str, Any]:
        rng = self._rng
        kind = str(rng.choice(["view", "click", "visit", "rate"]))
        # Half of them of this hour, the rest up to forty days late.
        age_s = float(rng.integers(3_600 if rng.random() < 0.5 else 40 * 86_400))
        event: dict[str, Any] = {
            "user_id": int(user_id) if int(user_id) % 2 else user_id,
            "place_id": int(rng.zipf(1.5)) % PLACES,
            "event_type": kind,
            "timestamp": datetime.fromtimestamp(self._now_s - age_s, UTC).isoformat(),
            "context": {"location": {"lat": 40.7, "lng": -74.0}},
            "event_id": f"e{self._number}",
            "user_age_group": str(rng.choice(["18-24", "25-34", "35-44"])),
        }
        return event | ({"rating": int(rng.integers(1, 6))} if kind == "rate" else {})

    def _bad(self, user_id: str) -> bytes:
        good = self._good(user_id)
        wrong: list[bytes] = [
            b'{"event_id": "e%d", "user_id": 1, ' % self._number,
            msgspec.json.encode(good | {"event_type": "teleport"}),
            msgspec.json.encode(good | {"place_id": ""}),
            msgspec.json.encode(good | {"timestamp": "yesterday"}),
        ]
        return wrong[int(self._rng.integers(len(wrong)))]


class Sender:
    """Sends a stream from a thread of its own, steadily, until it is told to end."""

    def __init__(self, settings: Settings, events: MessyEvents) -> None:
        self._topic = settings.topics.interactions.name
        self._producer = Producer(producer_config(settings) | {"log_level": 0})
        self._events = iter(events)
        self._ending = threading.Event()
        self._failed: list[str] = []
        self._sent = 0
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> int:
        """Send no more; return how many were sent, all of which the broker has acknowledged."""
        self._ending.set()
        self._thread.join()
        left = self._producer.flush(60)
        assert not left, f"the broker has not acknowledged {left} messages"
        assert not self._failed, self._failed[:3]
        return self._sent

    def _run(self) -> None:
        while not self._ending.wait(PAUSE_S):
            for _ in range(BURST):
                key, value = next(self._events)
                self._send(key, value)

    def _send(self, key: str, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._topic, key=key, value=value, on_delivery=self._told)
                self._sent += 1
                self._producer.poll(0)
                return
            except BufferError:
                time.sleep(PAUSE_S)

    def _told(self, error: object, _message: object) -> None:
        if error is not None:
            self._failed.append(str(error))
