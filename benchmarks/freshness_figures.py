"""From probes to the figures of `benchmarks.freshness`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.freshness_probe import Kind, Probe
from benchmarks.open_loop import Slice
from benchmarks.report import Figure, ratio
from contracts.placestream.v1 import recommendation_pb2 as pb

#: The objective on the 99th percentile, from send to answer.
OBJECTIVE_MS = 250.0
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Round:
    """One stretch of probes beside the load.

    Attributes:
        probes: all that were due in it.
        folded_per_s: events of all users that were folded, a second.
        batch_ms: mean time from a poll to its commit, by what was polled.
        batch_events: mean number of interactions in a poll.
        cpu_percent: of one core, by who used it.
    """

    probes: Slice[Probe]
    folded_per_s: float
    batch_ms: Mapping[str, float]
    batch_events: float
    cpu_percent: Mapping[str, float]

    def of(self, kind: Kind) -> list[Probe]:
        """The probes of a kind."""
        return [probe for probe in self.probes.answers if probe.kind == kind]


def figures(rounds: Sequence[Round]) -> list[Figure]:
    """All figures of a run, one value a round, but for those over all rounds."""
    fresh = _percentiles("send to reflecting answer", rounds, "polled", lambda p: p.answer_ms)
    redis = _percentiles("send to readable in Redis", rounds, "polled", lambda p: p.redis_ms)
    own = _percentiles("read your writes", rounds, "written", lambda p: p.answer_ms)
    floor = _percentiles(
        "floor, acknowledged and one answer", rounds, "floor", lambda p: p.answer_ms
    )
    pooled = [probe.answer_ms for part in rounds for probe in part.of("polled")]
    return [
        *fresh,
        Figure("all rounds send to reflecting answer p99", "ms", (_percentile(pooled, 99),)),
        *redis,
        *own,
        *floor,
        *_parts(rounds),
        *(
            ratio(f"reflecting answer to {name} p{p}", fresh[i], below[i])
            for name, below in (("readable in Redis", redis), ("floor", floor))
            for i, p in enumerate(PERCENTILES)
        ),
        ratio("read your writes to floor p50", own[0], floor[0]),
        *_outcomes(rounds),
    ]


def _percentiles(
    name: str, rounds: Sequence[Round], kind: Kind, value: Callable[[Probe], float]
) -> list[Figure]:
    return [
        Figure(
            f"{name} p{p}".replace(",", ""),
            "ms",
            tuple(_percentile([value(x) for x in part.of(kind)], p) for part in rounds),
        )
        for p in PERCENTILES
    ]


def _parts(rounds: Sequence[Round]) -> list[Figure]:
    """Where the time goes, p50: the way of one event through its stations."""
    parts: dict[str, Callable[[Probe], float]] = {
        "part send to acknowledged": lambda p: p.acked_ms,
        "part acknowledged to readable in Redis": lambda p: p.redis_ms - p.acked_ms,
        "part readable in Redis to end of answer": lambda p: p.answer_ms - p.redis_ms,
    }
    result = [
        Figure(
            f"{name} p{p}", "ms", tuple(_percentile([*map(of, r.of("polled"))], p) for r in rounds)
        )
        for name, of in parts.items()
        for p in (50, 99)
    ]
    for what in sorted(rounds[0].batch_ms):
        values = tuple(r.batch_ms.get(what, 0.0) for r in rounds)
        result.append(Figure(f"stream batch of {what} mean", "ms", values))
    result.append(Figure("stream batch mean", "events", tuple(r.batch_events for r in rounds)))
    return result


def _outcomes(rounds: Sequence[Round]) -> list[Figure]:
    def share(of: Callable[[Round], float]) -> tuple[float, ...]:
        return tuple(of(part) for part in rounds)

    def seen(part: Round) -> float:
        own = part.of("written")
        return sum(p.answer.read_your_writes == pb.READ_YOUR_WRITES_SEEN for p in own) / len(own)

    def degraded(part: Round) -> float:
        answers = [p.answer.degradation for p in part.probes.answers]
        return sum(level != pb.DEGRADATION_NONE for level in answers) / len(answers)

    result = [
        Figure("read your writes seen", "ratio", share(seen)),
        Figure(
            "probes in vain",
            "ratio",
            share(lambda part: len(part.probes.errors) / len(part.probes.calls)),
        ),
        Figure("answers degraded", "ratio", share(degraded)),
        Figure("folded", "events/s", share(lambda part: part.folded_per_s)),
    ]
    for who in rounds[0].cpu_percent:
        values = tuple(part.cpu_percent[who] for part in rounds)
        result.append(Figure(f"cpu of {who}", "percent of a core", values))
    return result


def _percentile(values: Sequence[float], p: float) -> float:
    """Raises ValueError where there is no value: a round without probes proves nothing."""
    if not values:
        raise ValueError("no probe of this kind came back; see the errors")
    return float(np.percentile(values, p))
