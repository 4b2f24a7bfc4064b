"""Replaying in batches: each event once, whatever fails between sending and noting."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from contracts.settings import Settings
from online_features.duplicates import DEPTH
from online_features.keys import Keys
from placestream.dlq.batches import (
    MOST_HELD,
    MOST_HELD_BYTES,
    MOST_NAMED,
    OF_ONE_KEY,
    How,
    Replay,
    Tally,
)
from placestream.dlq.check import Check
from placestream.dlq.letters import Letter, LetterId, TopicName
from placestream.dlq.notes import Notes, NotNoted
from placestream.dlq.sender import NotSent, Outgoing
from placestream.stack.ports import free_port
from tests.placestream.dlq.putting_aside import START, letter, visit

NOW_S = START.timestamp() + 86_400


class Mailbox:
    """Takes what is sent, until it has taken `room` messages; then it fails."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.sent: list[Outgoing] = []
        self.batches: list[Sequence[Outgoing]] = []
        self._room = room

    def send(self, batch: Sequence[Outgoing], arrived: Callable[[Outgoing], None]) -> None:
        """As `Outbox.send`."""
        self.batches.append(batch)
        for outgoing in batch:
            if len(self.sent) >= self._room:
                raise NotSent("full")
            self.sent.append(outgoing)
            arrived(outgoing)

    @property
    def offsets(self) -> list[int]:
        """Offsets of the letters that were sent."""
        return [outgoing.letter.id.offset for outgoing in self.sent]


@pytest.fixture
def notes(redis_client: redis.Redis) -> Notes:
    """Notes of an installation of its own."""
    return Notes(redis_client, Keys(f"t{uuid.uuid4().hex}", 4))


def unreachable() -> redis.Redis:
    """A Redis that is not there."""
    return redis.Redis(port=free_port(), retry=Retry(NoBackoff(), 0))


def replay(notes: Notes, how: How | None = None) -> Replay:
    """A replay in the default installation."""
    return Replay(Check(Settings(_env_file=None)), notes, how or How(), lambda: NOW_S)


def visits(count: int) -> list[Letter]:
    """Letters of different events of one user that are good by now."""
    return [letter(visit(place_id=n), offset=n) for n in range(count)]


def test_each_letter_is_sent_once_however_often_it_is_replayed(notes: Notes) -> None:
    """The second time it is passed over, and the report says when it went."""
    letters, mailbox = visits(2 * OF_ONE_KEY + 1), Mailbox()
    first, second = Tally(), Tally()
    assert replay(notes).judge(letters).taken == len(letters)
    replay(notes).send(letters, mailbox, first)
    replay(notes).send(letters, mailbox, second)
    assert mailbox.offsets == [one.id.offset for one in letters]
    assert (first.taken, first.before) == (len(letters), 0)
    assert (second.taken, second.before) == (0, len(letters))
    assert len(second.before_named) == MOST_NAMED
    assert second.before_named[0] == (
        "interactions:0:0 was replayed 2025-02-01T12:00:00+00:00 as interactions:0:0"
    )
    again = replay(notes, How(again=True)).judge(letters)
    assert (again.taken, again.before) == (len(letters), 0)


def test_judging_sends_and_notes_nothing(notes: Notes) -> None:
    """However often it is done."""
    assert [replay(notes).judge(visits(3)).taken for _ in range(2)] == [3, 3]


def test_two_letters_of_one_event_are_one(notes: Notes) -> None:
    """A worker that dies before its commit puts its batch aside once more."""
    letters = visits(3)
    near = replace(letters[1], id=LetterId(TopicName.INTERACTIONS, 0, 3))
    far = replace(letters[1], id=LetterId(TopicName.INTERACTIONS, 0, 99))
    mailbox, tally = Mailbox(), Tally()
    replay(notes).send([*letters, near], mailbox, tally)
    replay(notes).send([far], mailbox, tally)
    assert mailbox.offsets == [0, 1, 2]
    assert tally.before_named == [
        "interactions:0:3 is of the same event as interactions:0:1",
        "interactions:0:99 was replayed 2025-02-01T12:00:00+00:00 as interactions:0:1",
    ]


def test_what_is_still_bad_is_counted_and_not_noted(notes: Notes) -> None:
    """It is judged anew by the next version of the code."""
    letters = [*visits(2), letter(visit(place_id=""), offset=5), letter(b"{", offset=6)]
    mailbox, tally = Mailbox(), Tally()
    replay(notes).send(letters, mailbox, tally)
    assert mailbox.offsets == [0, 1]
    assert {(g.field, g.letters) for g in tally.bad.largest_first()} == {("place_id", 1), ("", 1)}
    assert notes.of(letters)[2:] == [None, None]
    mended = replay(notes, How(edited=visit())).judge(letters[2:])
    assert (mended.taken, mended.bad.letters) == (2, 0)


def test_what_arrived_before_a_failure_is_noted(notes: Notes) -> None:
    """So that the next run goes on where this one broke off."""
    letters, full, tally = visits(2 * OF_ONE_KEY), Mailbox(room=OF_ONE_KEY + 3), Tally()
    with pytest.raises(NotSent):
        replay(notes).send(letters, full, tally)
    assert tally.taken == OF_ONE_KEY + 3
    mailbox = Mailbox()
    replay(notes).send(letters, mailbox, Tally())
    assert full.offsets + mailbox.offsets == list(range(2 * OF_ONE_KEY))


def test_few_letters_are_ever_sent_and_not_noted(notes: Notes) -> None:
    """A crash leaves no more of a user than the fold still knows after as many live events."""
    mailbox, crowd = Mailbox(), [letter(visit(user_id=n), offset=100 + n) for n in range(50)]
    replay(notes).send([*visits(2 * OF_ONE_KEY), *crowd], mailbox, Tally())
    users = [Counter(outgoing.ready.key for outgoing in batch) for batch in mailbox.batches]
    assert max(most for batch in users for most in batch.values()) * 2 <= DEPTH
    assert len(mailbox.batches) == 3, "letters of many users go together"
    assert mailbox.offsets == [*range(2 * OF_ONE_KEY), *range(100, 150)]


@pytest.mark.parametrize(("size", "most"), [(0, MOST_HELD), (MOST_HELD_BYTES // 4, 4)])
def test_few_letters_are_held_however_many_there_are(notes: Notes, size: int, most: int) -> None:
    """They are read while they are sent, by number and by size."""
    read = 0

    def endless() -> Iterator[Letter]:
        nonlocal read
        for read in range(1, 1_000_000):
            yield letter(visit(user_id=read, note="x" * size), offset=read)

    with pytest.raises(NotSent):
        replay(notes).send(endless(), Mailbox(room=0), Tally())
    assert read == most


def test_without_redis_nothing_is_sent() -> None:
    """What was replayed before cannot be told."""
    mailbox = Mailbox()
    gone = Notes(unreachable(), Keys.of(Settings(_env_file=None)))
    with pytest.raises(NotNoted, match="does not say what was replayed"):
        replay(gone).send(visits(1), mailbox, Tally())
    assert not mailbox.sent


def test_letters_that_were_sent_but_not_noted_are_named(notes: Notes) -> None:
    """Whoever runs it must know which ones not to send again."""

    class Forgetful(Notes):
        """Reads, and cannot write."""

        def __init__(self) -> None:
            super().__init__(unreachable(), Keys.of(Settings(_env_file=None)))

        def of(self, letters: Sequence[Letter]) -> list[str | None]:
            """As if Redis went away just afterwards."""
            return notes.of(letters)

    tally = Tally()
    with pytest.raises(NotNoted, match=r"sent, but not noted .* interactions:0:0 interactions:0:1"):
        replay(Forgetful()).send(visits(2), Mailbox(), tally)
    assert tally.taken == 2
