"""`python -m benchmarks.peers`: placestream beside its peers, in one run.

The stream beside Quix Streams and Bytewax (`streaming.py`), online reads beside Feast
(`reads.py`); what is compared, and what is unfair in it, is in docs/peers.md. Each peer gets an
environment of its own, outside the repository; one that cannot be installed here is said to be so.
Ranking quality beside implicit's ALS and BPR is in `benchmarks.quality`.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.cores import pin, split
from benchmarks.peers import reads, streaming
from benchmarks.peers.environments import FEAST, Missing, Peer, Ready, environment_of
from benchmarks.report import Figure, publish
from placestream.stack.kafka_jars import cache_dir

GROUPS: Mapping[str, Sequence[Peer]] = {"stream": tuple(streaming.PEERS), "reads": (FEAST,)}
#: Fewer, and the end of the worker's work is not told from its beginning (`stream.folded`).
LEAST_EVENTS = 5_000


def standing(found: Mapping[Peer, Ready | Missing]) -> dict[str, object]:
    """What is said of each peer: its version, or why it is not there."""
    return {
        peer.package: f"{peer.name} {its.version}"
        if isinstance(its, Ready)
        else f"{peer.name} is not installable here: {its.why}"
        for peer, its in found.items()
    }


def ready(found: Mapping[Peer, Ready | Missing], group: str) -> dict[Peer, Ready]:
    """The peers of a group that are there."""
    return {peer: its for peer in GROUPS[group] if isinstance(its := found.get(peer), Ready)}


def measured(given: argparse.Namespace, found: Mapping[Peer, Ready | Missing]) -> list[Figure]:
    """The figures of the groups that were asked for."""
    figures: list[Figure] = []
    cores = split()
    pin(os.getpid(), cores[1])
    with tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder:
        root = Path(folder)
        if "reads" in given.groups:
            load = reads.Load(given.places, given.rounds, turns=10, reads=given.reads)
            own = Path(sys.executable)
            there = ready(found, "reads")
            figures += reads.figures(reads.times(load, there, own, root / "reads", cores))
        if "stream" in given.groups:
            flow = streaming.Load(given.events, given.users, given.rounds)
            there = ready(found, "stream")
            figures += streaming.figures(streaming.rates(flow, there, root, cores))
    return figures


def main() -> None:
    """Make what environments are not there, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", default=list(GROUPS), help="stream, reads; both")
    parser.add_argument("--events", type=int, default=80_000, help="messages a round")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--places", type=int, default=200, help="read at once")
    parser.add_argument("--reads", type=int, default=20, help="in each of ten turns a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--environments", type=Path, default=cache_dir() / "peers")
    parser.add_argument("--prepare", action="store_true", help="only make the environments")
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    given = parser.parse_args()
    if unknown := set(given.groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    if given.events < LEAST_EVENTS:
        parser.error(f"a round has {LEAST_EVENTS} events at least")
    wanted = [peer for group in given.groups for peer in GROUPS[group]]
    found = {peer: environment_of(peer, given.environments) for peer in wanted}
    facts = standing(found)
    if given.prepare:
        for text in facts.values():
            print(text)
        return
    figures = measured(given, found)
    if "stream" in given.groups:
        facts |= streaming.facts() | {"events_a_round": given.events, "users": given.users}
    if "reads" in given.groups:
        facts |= reads.facts() | {"places": given.places, "reads_a_round": 10 * given.reads}
    publish("placestream beside its peers", figures, {**facts, "rounds": given.rounds})


if __name__ == "__main__":
    main()
