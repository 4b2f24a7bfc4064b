"""What a worker takes of a poll: only partitions that it owns, split at what is already stored."""

from dataclasses import dataclass

from streams.decode import Record
from streams.shards import Shard, Shards
from streams.transport import Poll, PollConsumer


@dataclass(frozen=True)
class Taken:
    """Records of one owned partition, in order.

    Attributes:
        shard: as it stood when they were taken.
        replayed: below its position: folded before, by whomever.
        fresh: to be folded now.
        to_offset: the position after them.
    """

    shard: Shard
    replayed: list[Record]
    fresh: list[Record]

    @property
    def to_offset(self) -> int:
        """Next offset after the fresh records; the shard's position if there are none."""
        return self.fresh[-1].offset + 1 if self.fresh else self.shard.position

    @property
    def seen_to(self) -> int:
        """Next offset after all of these records: up to here the archive is complete with them."""
        last = self.fresh or self.replayed
        return last[-1].offset + 1 if last else self.shard.position


def take(poll: Poll, shards: Shards, consumer: PollConsumer) -> list[Taken]:
    """Split a poll by owned shard; a poll fetched before a seek gives nothing."""
    if poll.generation != consumer.generation:
        return []  # these records come again, in their place
    taken = []
    for partition, records in poll.records.items():
        shard = shards.get(poll.topic, partition)
        if shard is not None:
            replayed = [r for r in records if r.offset < shard.position]
            taken.append(Taken(shard, replayed, records[len(replayed) :]))
    return taken


def fresh_records(taken: list[Taken]) -> list[Record]:
    """All records that are to be folded."""
    return [record for part in taken for record in part.fresh]
