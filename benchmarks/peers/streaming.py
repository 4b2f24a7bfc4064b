"""The stream beside Quix Streams and Bytewax: the same events, the same Kafka, the same Redis.

placestream's worker folds all its features of users and places; a peer counts what users do in
three windows (`benchmarks.peers.counts`), visits alone or every event. Each has one core; Kafka,
Redis and this process share the others. What a peer left in Redis is compared with counts made
here: all of it must be right.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import redis

from benchmarks.cores import Cores, pin
from benchmarks.counted import rate_told
from benchmarks.events import events_of
from benchmarks.peers.children import child
from benchmarks.peers.counts import EVERYTHING, VISITS, WINDOWS_MS, Task, counts, expected
from benchmarks.peers.environments import BYTEWAX, QUIX, Peer, Ready
from benchmarks.report import Figure, ratio
from benchmarks.stream import WARM_SHARE, folding_rate, own_topics, produce
from contracts.settings import Settings
from placestream.stack.kafka import KafkaBroker
from placestream.stack.ports import LOCALHOST
from placestream.stack.redis import RedisServer

#: Peers and the module that runs each.
PEERS: Mapping[Peer, str] = {
    QUIX: "benchmarks.peers.quix_counts",
    BYTEWAX: "benchmarks.peers.bytewax_counts",
}
UNIT = "events/s"
#: Of every event the peers count this part of a round's: it takes one of them minutes.
EVERY = 3


@dataclass(frozen=True)
class Load:
    """What all of them are given, in each round."""

    events: int
    users: int
    rounds: int


class WrongCounts(RuntimeError):
    """A peer's counts are not what they should be, so that its rate says nothing."""


@dataclass(frozen=True)
class _Round:
    """One topic full of events, and where they go."""

    settings: Settings
    client: redis.Redis
    messages: Sequence[tuple[str, bytes]]
    cores: Cores
    folder: Path

    def own_rate(self) -> float:
        """Rate of placestream's worker."""
        self.client.flushall()
        core, _ = self.cores
        events = len(self.messages)
        return folding_rate(["placestream stream"], self.settings, self.client, events, [core])

    def peer_rate(self, peer: Peer, ready: Ready, what: str) -> float:
        """Rate of a peer that counts visits, or everything.

        Raises:
            ChildFailed: it ended early.
            WrongCounts: what it left in Redis is not right.
        """
        self.client.flushall()
        should_be = expected(self.messages, what)
        folder = self.folder / f"{peer.package}-{what.replace(' ', '-')}"
        task = Task(
            bootstrap=self.settings.kafka_bootstrap,
            topic=self.settings.topics.interactions.name,
            redis_host=LOCALHOST,
            redis_port=int(self.client.get_connection_kwargs()["port"]),
            events=len(self.messages),
            what=what,
            counted=sum(counts(msgspec.json.decode(message), what) for _, message in self.messages),
            folder=str(folder),
        )
        folder.mkdir(parents=True)
        log = folder.with_suffix(".log")
        with child(ready.python, PEERS[peer], task.as_argument(), self.cores[0], log) as process:
            rate = rate_told(process.stdout or (), task.events, WARM_SHARE)
        self._check(peer, should_be)
        return rate

    def _check(self, peer: Peer, should_be: Mapping[str, int]) -> None:
        found: Any = self.client.mget(list(should_be))
        wrong = sum(int(got or -1) != n for got, n in zip(found, should_be.values(), strict=True))
        if wrong:
            raise WrongCounts(f"{peer.name}: {wrong} of {len(should_be)} counts are wrong")


def rates(
    load: Load, ready: Mapping[Peer, Ready], root: Path, cores: Cores
) -> dict[str, list[float]]:
    """Events a second of placestream and of each peer that there is, by name, round by round."""
    found: dict[str, list[float]] = {"placestream": []}
    found |= {named(peer, what): [] for what in (VISITS, EVERYTHING) for peer in ready}
    with KafkaBroker(root / "kafka") as kafka, RedisServer(root / "redis") as server:
        for process in (*kafka.children, *server.children):
            pin(process.process.pid, cores[1])
        for number in range(load.rounds):
            messages = list(events_of(load.events, load.users, number, in_order=True))
            for what, its_messages in ((VISITS, messages), (EVERYTHING, messages[::EVERY])):
                settings = own_topics(kafka, server, root)
                produce(settings, {settings.topics.interactions.name: its_messages})
                folder = root / f"round-{number}"
                here = _Round(settings, server.client(), its_messages, cores, folder)
                if what == VISITS:
                    _note(found["placestream"], "placestream", here.own_rate())
                for peer, its in ready.items():
                    name = named(peer, what)
                    _note(found[name], name, here.peer_rate(peer, its, what))
    return found


def _note(its: list[float], name: str, rate: float) -> None:
    """Keep a rate, and tell whoever waits: a run takes minutes."""
    its.append(rate)
    print(f"{name}: {rate:,.0f} {UNIT}", file=sys.stderr)


def named(peer: Peer, what: str) -> str:
    """A peer that counts visits, or everything."""
    return f"{peer.name} on {what}"


def figures(found: Mapping[str, Sequence[float]]) -> list[Figure]:
    """Rates, and how many times its peer's placestream's is."""
    own, *others = (Figure(name, UNIT, tuple(values)) for name, values in found.items())
    return [own, *others, *(ratio(f"placestream / {other.name}", own, other) for other in others)]


def facts() -> dict[str, object]:
    """What each computes."""
    return {
        "placestream_computes": "all features of users and places, duplicates taken out, "
        "re-keyed to places, archived",
        "peers_compute": f"of each user, visits or every event in {', '.join(WINDOWS_MS)}",
    }
