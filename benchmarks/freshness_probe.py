"""One probe of freshness: send one event of a user, and ask until the answer reflects it.

An answer reflects an event when the newest event that it knows of its user, `answered_at` less
`feature_age`, is that one. Probes at the same time are of different users, and nobody else sends
events of theirs.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import grpc.aio
import numpy as np
from confluent_kafka import KafkaError, Message, Producer
from redis.asyncio import Redis

from contracts.events import encode
from contracts.kafka import producer_config
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.placestream.v1 import recommendation_pb2_grpc as pb_grpc
from contracts.settings import Settings
from online_features.keys import Keys

Kind = Literal["polled", "written", "floor"]
#: Probes take turns: most ask again and again, the others ask once.
TURNS: tuple[Kind, ...] = ("polled", "written", "polled", "floor", "polled")
#: Between an answer that does not reflect the event and the next question.
ASK_AGAIN_S = 0.005
#: Between two looks at the stored offset.
LOOK_AGAIN_S = 0.003
GIVE_UP_S = 10.0
#: Times travel as seconds in float64 and as whole microseconds in the event.
SAME_MOMENT_S = 0.0002


@dataclass(frozen=True)
class Probe:
    """Milliseconds from the producer's send.

    Attributes:
        kind: `polled`: asked until the answer reflected the event; `written`: asked once, after
            the delivery report, with the event's position; `floor`: the same without it.
        acked_ms: until the delivery report.
        answer_ms: until the end of the (first reflecting) answer.
        redis_ms: until the event's offset was below that of its shard; only where polled.
        asked: calls of Recommend.
        reflects: whether the last answer reflects the event.
        answer: the last.
    """

    kind: Kind
    acked_ms: float
    answer_ms: float
    redis_ms: float
    asked: int
    reflects: bool
    answer: pb.RecommendResponse = field(repr=False)


class Prober:
    """Sends and asks; belongs to the running event loop."""

    def __init__(
        self,
        settings: Settings,
        asked: Sequence[pb.RecommendRequest],
        place_ids: Sequence[int],
        rng: np.random.Generator,
    ) -> None:
        """Open the connections.

        Args:
            settings: of the running installation.
            asked: one request of each of many users, asked in turn.
            place_ids: what the events speak of.
            rng: draws the places.
        """
        self._topic = settings.topics.interactions.name
        self._asked, self._place_ids, self._rng = asked, place_ids, rng
        self._keys = Keys.of(settings)
        self._redis = Redis.from_url(settings.redis_url.get_secret_value())
        self._channel = grpc.aio.insecure_channel(f"{settings.serve_host}:{settings.serve_port}")
        self._stub: Any = pb_grpc.RecommendationServiceStub(self._channel)
        self._producer = Producer(producer_config(settings))
        self._closing = threading.Event()
        self._reports = threading.Thread(target=self._serve_reports, daemon=True)
        self._reports.start()

    async def close(self) -> None:
        """Close the connections."""
        self._closing.set()
        await asyncio.to_thread(self._reports.join)
        await self._channel.close()
        await self._redis.aclose()

    async def probe(self, i: int) -> Probe:
        """Probe number i.

        Raises:
            grpc.aio.AioRpcError: the service refused.
            TimeoutError: no answer reflected the event within `GIVE_UP_S`.
        """
        request, kind = self._asked[i % len(self._asked)], TURNS[i % len(TURNS)]
        async with asyncio.timeout(GIVE_UP_S):
            began_s = time.perf_counter()
            event_s, report = self._send(request)
            if kind == "polled":
                return await self._polled(request, began_s, event_s, report)
            return await self._once(request, kind, began_s, event_s, report)

    async def recommend(self, request: pb.RecommendRequest) -> pb.RecommendResponse:
        """Call Recommend."""
        answer: pb.RecommendResponse = await self._stub.Recommend(request)
        return answer

    async def _polled(
        self,
        request: pb.RecommendRequest,
        began_s: float,
        event_s: float,
        report: "asyncio.Future[Message]",
    ) -> Probe:
        watch = asyncio.create_task(self._watch(report, began_s))
        asked = 0
        try:
            while True:
                answer, asked = await self.recommend(request), asked + 1
                if _reflects(answer, event_s):
                    answer_ms = _since_ms(began_s)
                    acked_ms, redis_ms = await watch
                    return Probe("polled", acked_ms, answer_ms, redis_ms, asked, True, answer)
                await asyncio.sleep(ASK_AGAIN_S)
        finally:
            watch.cancel()

    async def _watch(
        self, report: "asyncio.Future[Message]", began_s: float
    ) -> tuple[float, float]:
        """When the event was acknowledged, and when its shard was past it."""
        message = await report
        acked_ms, (partition, offset) = _since_ms(began_s), _position(message)
        shard = self._keys.shard("i", partition)
        while True:
            stored: Any = await self._redis.hget(shard, "offset")
            if int(stored or 0) > offset:
                return acked_ms, _since_ms(began_s)
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _once(
        self,
        request: pb.RecommendRequest,
        kind: Kind,
        began_s: float,
        event_s: float,
        report: "asyncio.Future[Message]",
    ) -> Probe:
        partition, offset = _position(await report)
        acked_ms = _since_ms(began_s)
        if kind == "written":
            position = pb.EventPosition(topic=self._topic, partition=partition, offset=offset)
            with_position = pb.RecommendRequest(written=[position])
            with_position.MergeFrom(request)
            request = with_position
        answer = await self.recommend(request)
        answer_ms = _since_ms(began_s)
        return Probe(kind, acked_ms, answer_ms, 0.0, 1, _reflects(answer, event_s), answer)

    def _send(self, request: pb.RecommendRequest) -> tuple[float, "asyncio.Future[Message]"]:
        """Send an event of the request's user; return its time and its delivery report to come."""
        moment = datetime.now(UTC)
        event = {
            "user_id": request.user_id,
            "place_id": int(self._rng.choice(self._place_ids)),
            "event_type": "view",
            "timestamp": moment.isoformat(),
        }
        loop = asyncio.get_running_loop()
        report: asyncio.Future[Message] = loop.create_future()

        def delivered(error: KafkaError | None, message: Message) -> None:
            loop.call_soon_threadsafe(_settle, report, error, message)

        self._producer.produce(
            self._topic, key=request.user_id, value=encode(event), on_delivery=delivered
        )
        return moment.timestamp(), report

    def _serve_reports(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(0.1)


def _settle(report: "asyncio.Future[Message]", error: KafkaError | None, message: Message) -> None:
    if not report.done():
        if error is None:
            report.set_result(message)
        else:
            report.set_exception(RuntimeError(f"not delivered: {error}"))


def _position(message: Message) -> tuple[int, int]:
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    return partition, offset


def _reflects(answer: pb.RecommendResponse, event_s: float) -> bool:
    if not answer.HasField("feature_age"):
        return False
    known_ns = answer.answered_at.ToNanoseconds() - answer.feature_age.ToNanoseconds()
    return known_ns / 1e9 >= event_s - SAME_MOMENT_S


def _since_ms(began_s: float) -> float:
    return 1_000 * (time.perf_counter() - began_s)
