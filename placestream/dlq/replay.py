"""`placestream dlq replay`: says what would be sent, asks, sends, and says what was sent."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console

from contracts.settings import Settings
from online_features.keys import Keys
from online_features.redis_client import blocking_client_of
from placestream.dlq.batches import How, Replay, Tally
from placestream.dlq.check import Check
from placestream.dlq.groups import groups_table
from placestream.dlq.letters import Choice, Letter, LetterId
from placestream.dlq.notes import Notes
from placestream.dlq.reader import DeadLetterReader
from placestream.dlq.sender import Sender


@dataclass(frozen=True)
class Order:
    """Which letters to replay, and how.

    Attributes:
        ids: these; none: those of `choice`.
        choice: which of all letters.
        again: also those that were replayed before.
        edited: sent in place of the event's own value.
    """

    ids: Sequence[LetterId] = ()
    choice: Choice = field(default_factory=Choice)
    again: bool = False
    edited: bytes | None = None

    def letters(self, reader: DeadLetterReader) -> Iterator[Letter]:
        """The letters, in the order in which they were put aside.

        Raises:
            NoSuchLetter: an id that is none.
            Unreadable: Kafka falls silent.
        """
        if not self.ids:
            return filter(self.choice.takes, reader)
        return (reader.get(letter_id) for letter_id in sorted(set(self.ids)))


def run(settings: Settings, order: Order, console: Console, agreed: Callable[[int], bool]) -> bool:
    """Replay; return whether nothing is left that is still bad.

    Letters are read twice, judged and then sent, so that what is asked about is counted without
    holding it; both times the same ones, however many come meanwhile.

    Args:
        settings: of the installation.
        order: which letters, and how.
        console: where to report.
        agreed: asked, with their number, before anything is sent.

    Raises:
        NoSuchLetter: an id that is none; nothing was sent.
        Unreadable: Kafka does not answer.
        NotSent: Kafka did not take an event. What it took before is noted.
        NotNoted: Redis does not answer.
    """
    topics = [letter_id.topic for letter_id in order.ids] or order.choice.topics
    how = How(named=bool(order.ids), again=order.again, edited=order.edited)
    with (
        DeadLetterReader(settings, topics) as reader,
        blocking_client_of(settings, socket_timeout=10, socket_connect_timeout=2) as client,
    ):
        notes = Notes(client, Keys.of(settings))
        work = Replay(Check(settings), notes, how, time.time)
        plan = work.judge(order.letters(reader))
        _report(plan, console)
        if plan.taken and agreed(plan.taken):
            sent = Tally()
            try:
                work.send(order.letters(reader), Sender(settings), sent)
            finally:
                console.print(f"{_letters(sent.taken)} sent", highlight=False)
    return not plan.bad.letters


def _report(plan: Tally, console: Console) -> None:
    console.print(f"{_letters(plan.taken)} to send", highlight=False)
    if plan.before:
        hint = "--again sends such letters once more"
        console.print(f"{_letters(plan.before)} replayed before ({hint})", highlight=False)
        for line in plan.before_named:
            console.print(f"  {line}", highlight=False)
        if plan.before > len(plan.before_named):
            console.print(f"  ... and {plan.before - len(plan.before_named):,} more")
    if plan.bad.letters:
        console.print(f"{_letters(plan.bad.letters)} still bad, not to be sent", highlight=False)
        console.print(groups_table(plan.bad.largest_first()))


def _letters(count: int) -> str:
    return f"{count:,} letter{'' if count == 1 else 's'}"
