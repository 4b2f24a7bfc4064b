"""Guests of a simulated city who ask a running service, and answer its answers through Kafka."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from confluent_kafka import Producer

from contracts.events import encode
from contracts.ids import canonical_id
from contracts.kafka import producer_config
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from placestream.client import CallFailed, Client
from placestream.simulation.city import City
from placestream.simulation.guests import Guests, Shown

ASKED_AT_ONCE = 8
TURN_S = 0.25
LIST = 10
#: So many go out and ask nobody, for each who asks: not all that people do comes of an answer.
ROAM = 0.5
#: A guest waits longer than a caller would: while this machine trains, answers come late, and what
#: is told here is what they are worth.
PATIENCE_S = 2.0


@dataclass(frozen=True)
class Visit:
    """What became of one request.

    Attributes:
        at_s: when it was asked, Unix seconds.
        variant: of the answer; empty where there was none.
        version: of the ranker that answered; 0 none.
        viewed, opened, went: places that were looked at, opened, gone to.
    """

    at_s: float
    variant: str
    version: int
    viewed: int
    opened: int
    went: int


@dataclass
class Stream:
    """Guests in an endless stream, in a thread of its own.

    Attributes:
        rate: guests a second who ask.
        visits: what became of each so far.
    """

    settings: Settings
    rate: float
    seed: int
    visits: list[Visit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._client = Client(f"127.0.0.1:{self.settings.serve_port}", timeout_s=PATIENCE_S)
        self._producer = Producer({**producer_config(self.settings)})
        self._due: list[tuple[float, int, dict[str, Any]]] = []
        self._number = itertools.count()
        self._rng = np.random.default_rng(self.seed)
        self._guests: Guests | None = None
        self._city: City | None = None
        self._thread = threading.Thread(target=self._run, name="guests", daemon=True)

    def welcome(self, city: City, pace: float) -> None:
        """From now on the people of this city come."""
        self._city, self._guests = city, Guests(city, self.seed + next(self._number), pace=pace)
        if not self._thread.is_alive():
            self._thread.start()

    def close(self) -> None:
        """Let nobody come any more, and send what is still to be told."""
        self._stop.set()
        self._thread.join(timeout=30)
        self._tell(until_s=float("inf"))
        self._producer.flush(10)
        self._client.close()

    def _run(self) -> None:
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            while not self._stop.wait(TURN_S):
                came = int(self._rng.poisson(self.rate * TURN_S))
                if came:
                    self._turn(came, pool.map)
                    self._roam(int(self._rng.poisson(ROAM * came)))
                self._tell(time.time())
                self._producer.poll(0)

    def _turn(self, came: int, each: Callable[..., Any]) -> None:
        if self._guests is None or self._city is None:
            raise RuntimeError("welcome() comes first")
        guests, city, now_s = self._guests, self._city, time.time()
        starts = guests.come(came, now_s)
        who = [city.ids.user(row) for row in starts.user.tolist()]
        answers = list(each(self._ask, who, starts.lat.tolist(), starts.lng.tolist()))
        shown = [
            None
            if a is None
            else Shown(a.request_id, tuple(city.ids.place_row(p.place_id) for p in a.places))
            for a in answers
        ]
        events = guests.play(starts, shown)
        self._plan(events)
        self._note(now_s, [a for a in answers if a is not None], events)

    def _roam(self, came: int) -> None:
        if came and self._guests is not None:
            self._plan(self._guests.roam(self._guests.come(came, time.time())))

    def _plan(self, events: list[dict[str, Any]]) -> None:
        """Events are told when they happen, not before."""
        for event in events:
            due_s = datetime.fromisoformat(event["timestamp"]).timestamp()
            heapq.heappush(self._due, (due_s, next(self._number), event))

    def _note(
        self, now_s: float, answers: list[pb.RecommendResponse], events: list[dict[str, Any]]
    ) -> None:
        did: dict[str, dict[str, int]] = {}
        for event in events:
            kinds = did.setdefault(event["request_id"], {})
            kinds[event["event_type"]] = kinds.get(event["event_type"], 0) + 1
        for a in answers:
            kinds = did.get(a.request_id, {})
            self.visits.append(
                Visit(
                    now_s,
                    a.variant,
                    a.model_versions.get("ranker", 0),
                    kinds.get("view", 0),
                    kinds.get("click", 0),
                    kinds.get("visit", 0),
                )
            )

    def _ask(self, user: int | str, lat: float, lng: float) -> pb.RecommendResponse | None:
        request = pb.RecommendRequest(
            user_id=canonical_id(user), location=pb.LatLng(lat=lat, lng=lng), limit=LIST
        )
        try:
            return self._client.recommend(request)
        except CallFailed:
            return None

    def _tell(self, until_s: float) -> None:
        topic = self.settings.topics.interactions.name
        while self._due and self._due[0][0] <= until_s:
            _, _, event = heapq.heappop(self._due)
            key = canonical_id(event["user_id"]).encode()
            self._producer.produce(topic, key=key, value=encode(event))
