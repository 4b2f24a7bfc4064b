"""Runs three workers through a plan of faults, lets it settle, and compares with a recompute."""

import heapq
import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import msgspec
import numpy as np
import redis
from confluent_kafka import Consumer, TopicPartition

from contracts.events import DeadLetter
from contracts.kafka import consumer_config
from contracts.settings import Settings
from contracts.topics import Topic
from online_features.archive import read_interactions
from online_features.duplicates import SEEN_DTYPE, mark_new
from online_features.keys import Keys, ShardKind
from streams.rekeyed import Rekeyed
from tests.streams.chaos_events import MessyEvents, Sender
from tests.streams.chaos_plan import Fault
from tests.streams.fleet import Fleet, LinkedKafka, OwnRedis, Slot
from tests.streams.links import Link, Links
from tests.streams.stream import assert_equals_recompute, good_interactions, read_topic

WORKERS, SLOTS = 3, 4
TICK_S = 0.05
SETTLE_S = 180.0


class Chaos:
    """One run. Everything happens in the caller's thread, but for the sender and the links."""

    def __init__(
        self,
        settings: Settings,
        kafka: LinkedKafka,
        redis_server: OwnRedis,
        run_dir: Path,
        events: MessyEvents,
    ) -> None:
        self.settings = settings
        self.redis_server = redis_server
        self.fleet = Fleet(settings, kafka, redis_server, run_dir)
        self.log: list[str] = []
        self._run_dir = run_dir
        self._kafka = kafka
        self._events = events
        self._sender = Sender(settings, events)
        self._links: Links
        self._starting: Future[None] | None = None
        self._undo: list[tuple[float, int, str, Callable[[], None]]] = []
        self._number = itertools.count()
        self._began_s = time.monotonic()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Workers and sender run; whatever fails inside is told what had happened."""
        try:
            with self.fleet.links() as self._links:
                try:
                    for slot in self.fleet.slots[:WORKERS]:
                        self.fleet.start(slot)
                    self._sender.start()
                    yield
                finally:
                    self.fleet.stop(grace_s=1)
                    (self._run_dir / "chaos.log").write_text("\n".join([*self.log, ""]))
        except BaseException as error:
            error.add_note("\n".join(["what happened:", *self.log]))
            raise

    def play(self, faults: list[Fault]) -> None:
        """Live through all faults, and undo them."""
        self._began_s = time.monotonic()
        for fault in faults:
            self.pass_time(fault.at_s - (time.monotonic() - self._began_s))
            self._befall(fault)
        while self._undo or self._starting is not None:
            self.pass_time(TICK_S)

    def _start_broker(self) -> None:
        self._starting = self._kafka.start_soon()

    def pass_time(self, length_s: float) -> None:
        """Let time pass; faults end when they are due, and dead workers come back."""
        until_s = time.monotonic() + length_s
        while True:
            now_s = time.monotonic()
            while self._undo and self._undo[0][0] <= now_s:
                _, _, what, undo = heapq.heappop(self._undo)
                self.say(what)
                undo()
            if self._starting is not None and self._starting.done():
                self._starting.result()
                self._starting = None
                self.say("broker back")
            for said in self.fleet.tick():
                self.say(said)
            if time.monotonic() >= until_s:
                return
            time.sleep(TICK_S)

    def say(self, what: str) -> None:
        """Note what happened."""
        self.log.append(f"{time.monotonic() - self._began_s:7.2f} s  {what}")

    def _later(self, after_s: float, what: str, undo: Callable[[], None]) -> None:
        due_s = time.monotonic() + after_s
        heapq.heappush(self._undo, (due_s, next(self._number), what, undo))

    def _befall(self, fault: Fault) -> None:
        session_s = self.settings.stream_session_s if fault.beyond_session else 0.0
        lasts_s = session_s + fault.lasts_s
        if fault.kind == "kill broker":
            self.say(f"broker killed, {lasts_s:.2f} s")
            self._kafka.kill()
            return self._later(lasts_s, "broker started", self._start_broker)
        if fault.kind == "kill redis":
            return self._kill_redis(fault.lasts_s)
        slot = self._choose(fault)
        if slot is None:
            return self.say(f"{fault.kind}: nobody there")
        self.say(f"{fault.kind} {slot.number}, {lasts_s:.2f} s")
        if fault.kind.endswith("worker"):
            return self._to_worker(fault.kind, slot, lasts_s)
        return self._to_link(
            fault.kind.startswith("cut"),
            slot.redis if fault.kind.endswith("redis") else slot.kafka,
            lasts_s,
            f"{fault.kind} {slot.number} over",
        )

    def _choose(self, fault: Fault) -> Slot | None:
        working = [slot for slot in self.fleet.slots if slot.working]
        if fault.kind == "add worker":
            fitting = [slot for slot in self.fleet.slots if not slot.wanted and not slot.alive]
        elif fault.kind == "remove worker":
            fitting = working if len(working) > 1 else []
        else:
            fitting = working
        return fitting[int(fault.pick * len(fitting))] if fitting else None

    def _kill_redis(self, lasts_s: float) -> None:
        if not all(child.alive for child in self.redis_server.children):
            return self.say("redis is down already")
        self.say(f"redis killed, {lasts_s:.2f} s")
        self.redis_server.kill()
        return self._later(lasts_s, "redis back", self.redis_server.start)

    def copy_redis(self, copy: Path) -> None:
        """Keep what Redis has written by now, as a replica that lags behind would."""
        self.say(f"copy of redis at {self.folded()}")
        shutil.copytree(self.redis_server.directory, copy)

    def put_redis_back(self, copy: Path) -> None:
        """Kill Redis and start it from a copy: what it acknowledged since is gone."""
        before = self.folded()
        self.redis_server.kill()
        shutil.rmtree(self.redis_server.directory)
        shutil.copytree(copy, self.redis_server.directory)
        self.redis_server.start()
        self.say(f"redis put back from {before} to {self.folded()}")

    def folded(self) -> int:
        """How many interactions are in the states of users, by the stored offsets."""
        with self.redis_server.client() as client:
            return sum(stored_offsets(client, self.settings, "i"))

    def _to_worker(self, kind: str, slot: Slot, lasts_s: float) -> None:
        if kind == "add worker":
            self.fleet.start(slot)
        elif kind == "remove worker":
            self.fleet.leave(slot)
        elif kind == "kill worker":
            self.fleet.kill(slot)
            self._later(lasts_s, f"worker {slot.number} back", lambda: self._back(slot))
        else:
            slot.signal(SIGSTOP)
            slot.stopped = True
            self._later(lasts_s, f"worker {slot.number} wakes", lambda: self._wake(slot))

    def _back(self, slot: Slot) -> None:
        if not slot.alive:  # else somebody was added there meanwhile
            self.fleet.start(slot)

    def _wake(self, slot: Slot) -> None:
        slot.stopped = False
        slot.signal(SIGCONT)

    def _to_link(self, cut: bool, link: Link, lasts_s: float, over: str) -> None:
        (self._links.cut if cut else self._links.stall)(link)
        self._later(lasts_s, over, lambda: self._links.mend(link))

    def settle(self) -> None:
        """Send no more, wait until all is folded and archived, and end the workers.

        Raises:
            AssertionError: it takes too long, or messages were lost on the way to the topic.
        """
        sent = self._sender.end()
        # What lies in the topic counts, not what the producer believes: where the broker is killed,
        # the two may differ by a message.
        held = sum(end_offsets(self.settings, self.settings.topics.interactions))
        self.say(f"{sent} messages sent, the topic holds {held}")
        self.wait_until(lambda: not self._lags())
        self.say("settled")
        codes = self.fleet.stop()
        self.say(f"workers ended with {codes}")

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Let time pass until it is so.

        Raises:
            AssertionError: it takes too long.
        """
        deadline_s = time.monotonic() + SETTLE_S
        while not reached():
            assert time.monotonic() < deadline_s, f"not so after {SETTLE_S} s: {self._lags()}"
            self.pass_time(0.2)

    def _lags(self) -> dict[str, object]:
        """What is not done yet."""
        topics, lags = self.settings.topics, dict[str, object]()
        with self.redis_server.client() as client:
            try:
                for topic, kind in ((topics.interactions, "i"), (topics.by_place, "b")):
                    ends = end_offsets(self.settings, topic)
                    stored = stored_offsets(client, self.settings, kind)  # type: ignore[arg-type]
                    behind = {
                        p: (s, e)
                        for p, (s, e) in enumerate(zip(stored, ends, strict=True))
                        if s != e
                    }
                    if behind:
                        return {topic.name: behind}
            except redis.RedisError as error:
                return {"redis": error}
        good, archived = len(good_interactions(self.settings)), 0
        try:
            archived = len(read_interactions(self.settings.archive_dir))
        except OSError as error:  # a file that was merged into another while we read
            lags["archive"] = error
        if good != archived:
            lags["archive"] = f"{archived} of {good}"
        return lags

    def check(self) -> None:
        """Compare states, dead letters and archive with what lies in the topic."""
        self._check_rekeyed()
        with self.redis_server.client() as client:
            assert_equals_recompute(client, self.settings)
        self._check_letters()
        good = good_interactions(self.settings)
        log = read_interactions(self.settings.archive_dir).in_arrival_order()
        archived = list(zip(log.partition.tolist(), log.offset.tolist(), strict=True))
        assert archived == list(zip(good.partition, good.offset, strict=True))
        assert log.event_hash.tolist() == good.event_hash

    def _check_rekeyed(self) -> None:
        """Who reads the re-keyed topic by watermarks sees each counted event once, no other."""
        good = good_interactions(self.settings)
        _, rows = np.unique(good.user, return_inverse=True)
        seen = np.zeros(rows.max(initial=-1) + 1, SEEN_DTYPE)
        new = mark_new(seen, rows, np.array(good.event_hash, np.uint64))
        positions = list(zip(good.partition, good.offset, strict=True))
        counted = {position for position, is_new in zip(positions, new, strict=True) if is_new}
        passed, marks = list[tuple[int, int]](), dict[tuple[int, int], int]()
        for message in read_topic(self.settings, self.settings.topics.by_place.name):
            sent = Rekeyed.decode(message.value or b"").rows
            for source, offset in sent[["source_partition", "source_offset"]].tolist():
                if offset > marks.get((message.partition, source), -1):
                    marks[message.partition, source] = offset
                    passed.append((source, offset))
        assert sorted(counted - set(passed)) == [], "never passed on"
        assert sorted(set(passed) - counted) == [], "passed on, but never counted"
        assert len(passed) == len(set(passed))

    def _check_letters(self) -> None:
        """Each bad event became a letter, at least one, and nothing else did."""
        topics = self.settings.topics
        letters = {
            (letter.partition, letter.offset): letter.value
            for letter in (
                msgspec.json.decode(m.value or b"", type=DeadLetter)
                for m in read_topic(self.settings, topics.dlq(topics.interactions).name)
            )
        }
        sent = read_topic(self.settings, topics.interactions.name)
        bad = set(self._events.bad)
        assert letters == {(m.partition, m.offset): m.value for m in sent if m.value in bad}
        assert letters


def end_offsets(settings: Settings, topic: Topic) -> list[int]:
    """End of each partition of a topic."""
    consumer = Consumer(consumer_config(settings, "test-ends"))
    try:
        ends = [
            consumer.get_watermark_offsets(TopicPartition(topic.name, p), timeout=20)
            for p in range(topic.partitions)
        ]
        return [high for _, high in ends]
    finally:
        consumer.close()


def stored_offsets(client: redis.Redis, settings: Settings, kind: ShardKind) -> list[int]:
    """Stored offset of each shard of a kind."""
    keys = Keys.of(settings)
    return [
        int(client.hget(keys.shard(kind, p), "offset") or 0) for p in range(settings.partitions)
    ]
