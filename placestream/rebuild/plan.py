"""What a rebuild can fold: from the archive, up to where Kafka's own records go on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Settings
from online_features.archive import read_positions
from placestream.dlq.letters import TopicName
from placestream.dlq.reader import DeadLetterReader
from placestream.rebuild.coverage import Coverage, cover
from placestream.rebuild.kafka import CLOCKS_APART_S, KafkaFacts

SPANS_SHOWN = 5


class Refused(RuntimeError):
    """A rebuild would do harm, or could not be whole; the message says what to do."""


@dataclass(frozen=True)
class Plan:
    """What can be folded.

    Attributes:
        parts: of each partition.
        complete_s: all that any partition received before this moment (Unix seconds) is folded.
        place_offsets: for each place shard, where the stream begins to read re-keyed events: all
            that is folded here may lie before it, none of the rest.
    """

    parts: tuple[Coverage, ...]
    complete_s: float
    place_offsets: tuple[int, ...]

    @property
    def lost(self) -> int:
        """Events that are nowhere to be had."""
        return sum(stop - first for part in self.parts for first, stop in part.lost)


def make_plan(settings: Settings, clock: Callable[[], float], *, with_gaps: bool) -> Plan:
    """See what archive and Kafka hold.

    Raises:
        Refused: events are missing, and that is not allowed.
        KafkaSilent: Kafka does not answer.
        ValueError: the archive is not this Kafka's.
    """
    topic = settings.topics.interactions
    with KafkaFacts(settings) as kafka:
        # In this order: what comes to Kafka while we look is left to the stream.
        asked_s, spans = clock(), kafka.spans(topic)
        archived = _Archived.read(settings)
        archived.check(kafka.spans(topic))
        parts, complete_s = [], asked_s
        letters: dict[int, set[int]] | None = None
        for p, (low, high) in enumerate(spans):
            part = cover(archived.offsets(p, high), (), low)
            if part.end < high or part.lost:  # bad events may be what is missing
                letters = _letters(settings) if letters is None else letters
                bad = {o for o in letters.get(p, ()) if o < high}
                part = cover(archived.offsets(p, high), bad, low)
            if part.end < high:
                complete_s = min(complete_s, archived.newest_s(p, part.end))
            parts.append(part)
        place_offsets = kafka.offsets_at(settings.topics.by_place, complete_s - CLOCKS_APART_S)
        plan = Plan(tuple(parts), complete_s, tuple(place_offsets))
        if not with_gaps:
            _refuse_gaps(plan, settings)
            _refuse_expired(plan, kafka, settings, asked_s)
    return plan


@dataclass(frozen=True)
class _Archived:
    """Positions of all archived interactions, as columns."""

    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    received_s: NDArray[np.float64]

    @classmethod
    def read(cls, settings: Settings) -> Self:
        table = read_positions(settings.archive_dir)
        return cls(*(table[f.name].to_numpy() for f in fields(cls)))

    def check(self, spans: Sequence[tuple[int, int]]) -> None:
        """Raises ValueError: there are events that Kafka has not given yet."""
        for p, (_, high) in enumerate(spans):
            newest = self.offset[self.partition == p].max(initial=-1)
            if newest >= high:
                raise ValueError(
                    f"the archive holds offset {newest} of partition {p}, which ends at {high} in "
                    "Kafka: is it another Kafka's archive, or was the topic made anew?"
                )

    def offsets(self, partition: int, stop: int) -> NDArray[np.int64]:
        found: NDArray[np.int64] = self.offset[(self.partition == partition) & (self.offset < stop)]
        return found

    def newest_s(self, partition: int, stop: int) -> float:
        """When the newest event before an offset was received; 0 if there is none."""
        before = (self.partition == partition) & (self.offset < stop)
        return float(self.received_s[before].max(initial=0.0))


def _letters(settings: Settings) -> dict[int, set[int]]:
    """Offsets of interactions that became dead letters, by partition."""
    found: dict[int, set[int]] = {}
    with DeadLetterReader(settings, [TopicName.INTERACTIONS]) as reader:
        for letter in reader:
            if letter.readable and letter.dead.topic == settings.topics.interactions.name:
                found.setdefault(letter.dead.partition, set()).add(letter.dead.offset)
    return found


def _refuse_gaps(plan: Plan, settings: Settings) -> None:
    if not plan.lost:
        return
    spans = [
        f"partition {p}: {first} to {stop - 1}"
        for p, part in enumerate(plan.parts)
        for first, stop in part.lost
    ]
    more = f" and {len(spans) - SPANS_SHOWN} more" if len(spans) > SPANS_SHOWN else ""
    raise Refused(
        f"{plan.lost} events of {settings.topics.interactions.name} are neither in the archive "
        f"({settings.archive_dir}) nor in Kafka any more ({'; '.join(spans[:SPANS_SHOWN])}{more}). "
        "Is it the whole archive? `--with-gaps` folds what there is"
    )


def _refuse_expired(plan: Plan, kafka: KafkaFacts, settings: Settings, now_s: float) -> None:
    """Re-keyed events newer than the archive must still be in Kafka: the place shards need them."""
    topic = settings.topics.by_place
    kept_s = (topic.retention_ms or 0) / 1_000
    if plan.complete_s - CLOCKS_APART_S > now_s - kept_s:
        return
    for (low, high), start in zip(kafka.spans(topic), plan.place_offsets, strict=True):
        if 0 < low < high and start <= low:
            raise Refused(
                f"the archive is whole only up to {now_s - plan.complete_s:,.0f} s ago, and "
                f"{topic.name} keeps {kept_s:,.0f} s: places would miss events. Let `stream` "
                "workers fill the archive first; `--with-gaps` folds what there is"
            )
