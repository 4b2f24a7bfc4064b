"""Goes through dead letters in batches, so that each is replayed once.

A batch is sent, then noted in Redis as replayed; what is noted is passed over the next time. If
this process dies between the two, the next run sends the batch again. Then the fold knows each
interaction as one of the last `DEPTH` that it counted of that user (`online_features.duplicates`):
a batch holds at most `OF_ONE_KEY` of a user, half of `DEPTH`, so that this is true until as many
live events of that user have come since. A place update or a measurement is not newer than itself.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from contracts.events import BadEvent
from online_features.duplicates import DEPTH
from placestream.dlq.check import Check
from placestream.dlq.groups import Groups
from placestream.dlq.letters import Letter
from placestream.dlq.notes import Notes
from placestream.dlq.sender import Outgoing
from streams.dead_letters import CODE_VERSION

OF_ONE_KEY = DEPTH // 2
#: Letters that are held at once; as many bytes of theirs, give or take one.
MOST_HELD, MOST_HELD_BYTES = 500, 4_000_000
#: Letters that were replayed before and are named in the report.
MOST_NAMED = 5


@dataclass(frozen=True)
class How:
    """How letters are replayed.

    Attributes:
        named: someone asked for these very letters, not for all of a kind.
        again: also those that were replayed before.
        edited: sent in place of the event's own value.
    """

    named: bool = False
    again: bool = False
    edited: bytes | None = None


@dataclass
class Tally:
    """What became of the letters; `taken` were sent, or would be."""

    taken: int = 0
    before: int = 0
    before_named: list[str] = field(default_factory=list)
    bad: Groups = field(default_factory=Groups)

    def passed_over(self, why: str) -> None:
        """Count a letter of an event that was replayed."""
        self.before += 1
        if len(self.before_named) < MOST_NAMED:
            self.before_named.append(why)


class Outbox(Protocol):
    """Where letters are sent."""

    def send(self, batch: Sequence[Outgoing], arrived: Callable[[Outgoing], None]) -> None:
        """Send a batch and wait; call `arrived` with each event that is safe."""


class Replay:
    """Goes through letters; holds few of them at a time."""

    def __init__(self, check: Check, notes: Notes, how: How, clock: Callable[[], float]) -> None:
        """`clock` gives Unix seconds."""
        self._check = check
        self._notes = notes
        self._how = how
        self._clock = clock

    def judge(self, letters: Iterable[Letter]) -> Tally:
        """Say what would become of letters; send nothing."""
        tally = Tally()
        for held in _held(letters):
            tally.taken += len(self._taken(held, tally))
        return tally

    def send(self, letters: Iterable[Letter], outbox: Outbox, tally: Tally) -> None:
        """Send what is good and not replayed yet; counts in `tally` as it goes.

        Raises:
            NotSent: Kafka did not take an event. What it took before is noted.
            NotNoted: Redis does not answer.
        """
        for held in _held(letters):
            for batch in _batches(self._taken(held, tally)):
                self._send(batch, outbox, tally)

    def _send(self, batch: Sequence[Outgoing], outbox: Outbox, tally: Tally) -> None:
        arrived: list[Outgoing] = []
        try:
            outbox.send(batch, arrived.append)
        finally:
            tally.taken += len(arrived)
            if arrived:
                self._notes.note([sent.letter for sent in arrived], self._clock())

    def _taken(self, held: Sequence[Letter], tally: Tally) -> list[Outgoing]:
        """What of some letters is to be sent; the rest is counted."""
        taken: dict[tuple[str, str], Outgoing] = {}
        for letter, note in zip(held, self._notes.of(held), strict=True):
            event = (letter.id.topic, letter.origin)
            if event in taken:  # a worker that died before its commit put it aside twice
                tally.passed_over(f"{letter.id} is of the same event as {taken[event].letter.id}")
                continue
            if note is not None and not self._how.again:
                tally.passed_over(f"{letter.id} was replayed {note}")
                continue
            try:
                taken[event] = self._outgoing(letter)
            except BadEvent as error:
                dead = letter.dead
                tally.bad.add(
                    letter.id.topic, error.field, error.reason, CODE_VERSION, dead.received_at
                )
        return list(taken.values())

    def _outgoing(self, letter: Letter) -> Outgoing:
        if self._how.edited is not None:
            dead = msgspec.structs.replace(letter.dead, value=self._how.edited)
            letter = replace(letter, dead=dead)
        ready = self._check.ready(letter, self._clock(), named=self._how.named)
        return Outgoing(letter, ready)


def _held(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    """Cut into parts that fit into memory."""
    held: list[Letter] = []
    held_bytes = 0
    for letter in letters:
        held.append(letter)
        held_bytes += len(letter.dead.value or b"")
        if len(held) == MOST_HELD or held_bytes >= MOST_HELD_BYTES:
            yield held
            held, held_bytes = [], 0
    if held:
        yield held


def _batches(taken: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    """Cut so that no key is in a batch more than `OF_ONE_KEY` times; the order stays."""
    batch: list[Outgoing] = []
    of_key: Counter[bytes] = Counter()
    for outgoing in taken:
        if of_key[outgoing.ready.key] == OF_ONE_KEY:
            yield batch
            batch, of_key = [], Counter()
        batch.append(outgoing)
        of_key[outgoing.ready.key] += 1
    if batch:
        yield batch
