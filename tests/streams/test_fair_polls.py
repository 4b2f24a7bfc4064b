"""A topic with a backlog does not keep the others from their turn."""

from types import SimpleNamespace
from typing import Any

from faust.types import TP

from streams.transport import OTHERS_EVERY, PollConsumer

MOST = 10
BUSY, CALM = TP("busy", 0), TP("calm", 0)


class Broker:
    """Hands out records of what it holds, as aiokafka does: the first partitions first."""

    def __init__(self) -> None:
        self.held = {BUSY: 1_000, CALM: 0}
        self._max_poll_records = MOST

    def drained(self, asked: set[TP]) -> dict[TP, list[int]]:
        """At most `MOST` records of the partitions asked for."""
        found: dict[TP, list[int]] = {}
        left = MOST
        for tp, held in self.held.items():
            taken = min(held, left) if tp in asked else 0
            if taken:
                found[tp] = list(range(taken))
                self.held[tp] -= taken
                left -= taken
        return found


async def polls(broker: Broker, count: int) -> list[dict[TP, int]]:
    """How many records of each partition a consumer's polls bring, one after the other."""

    async def fetch(_: Any, asked: set[TP], *, timeout: float, max_records: int) -> Any:  # noqa: ASYNC109
        assert max_records == MOST
        return broker.drained(asked)

    consumer: Any = SimpleNamespace(
        _thread=SimpleNamespace(_ensure_consumer=lambda: broker, _fetch_records=fetch),
        _hungry=None,
        _polls=0,
        generation=1,
    )
    found = []
    for _ in range(count):
        polled = await PollConsumer._fetch(consumer, {BUSY, CALM}, 1.0)
        found.append({tp: len(r) for tp, r in polled[1].items()} if polled else {})
        broker.held[CALM] += 2  # it goes on, a little at a time
    return found


async def test_the_calm_topic_gets_its_turn_beside_a_backlog() -> None:
    """Every so many polls, and then all that has gathered since."""
    found = await polls(Broker(), 4 * OTHERS_EVERY)
    turns = [i for i, poll in enumerate(found) if CALM in poll]
    assert turns[1] - turns[0] == OTHERS_EVERY
    assert len(turns) >= 3
    assert found[turns[1]] == {CALM: min(MOST, 2 * OTHERS_EVERY)}
    assert all(poll == {BUSY: MOST} for i, poll in enumerate(found) if i not in turns)


async def test_without_a_backlog_all_are_asked_together() -> None:
    """As soon as the busy topic no longer fills a poll."""
    broker = Broker()
    broker.held[BUSY] = MOST + 1
    found = await polls(broker, 2 + 2 * OTHERS_EVERY)
    assert found[0] == {BUSY: MOST}
    assert {tp for poll in found[1:] for tp in poll} == {BUSY, CALM}
    assert sum(poll.get(BUSY, 0) for poll in found) == MOST + 1
    assert all(poll == {CALM: 2} for poll in found[-3:])
