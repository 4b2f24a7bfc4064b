"""From Kafka records to columns: what a micro-batch of interactions says, and what is bad."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from itertools import compress
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import xxhash
from aiokafka import ConsumerRecord
from numpy.typing import NDArray

from contracts.events import BadEvent, checked_interaction, read_interaction
from contracts.ids import id64, partitions_of
from online_features.archive_schema import INTERACTION_SCHEMA
from online_features.columns import AGE_CODE, KIND_CODE, EventColumns

Record: TypeAlias = ConsumerRecord
_NAN = float("nan")
MISPLACED = BadEvent(
    "user_id",
    "sent to another partition than its own: the message's key must be the user_id, "
    "and the producer's partitioner murmur2",
)


@dataclass
class Interactions:
    """Good interactions of one batch as parallel lists, in order of arrival, and bad ones."""

    partition: list[int] = field(default_factory=list)
    offset: list[int] = field(default_factory=list)
    received_s: list[float] = field(default_factory=list)
    time_s: list[float] = field(default_factory=list)
    user_id: list[str] = field(default_factory=list)
    place_id: list[str] = field(default_factory=list)
    user: list[int] = field(default_factory=list)
    place: list[int] = field(default_factory=list)
    kind: list[int] = field(default_factory=list)
    rating: list[float] = field(default_factory=list)
    age_group: list[int] = field(default_factory=list)
    event_hash: list[int] = field(default_factory=list)
    lat: list[float] = field(default_factory=list)
    lng: list[float] = field(default_factory=list)
    dwell_s: list[float] = field(default_factory=list)
    request_id: list[str | None] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    bad: list[tuple[Record, BadEvent]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.offset)

    def folded(self) -> EventColumns:
        """The columns that folds work on."""
        names = (f.name for f in fields(EventColumns))
        return EventColumns.of(**{name: getattr(self, name) for name in names})

    def table(self) -> pa.Table:
        """The good ones as rows of the archive."""
        return pa.table(
            {
                # An array of numpy's becomes a column as it is; a list value by value.
                field.name: np.array(values, field.type.to_pandas_dtype())
                if pa.types.is_primitive(field.type)
                else values
                for field, values in zip(INTERACTION_SCHEMA, self.columns().values(), strict=True)
            },
            schema=INTERACTION_SCHEMA,
        )

    def columns(self) -> dict[str, list[Any]]:
        """All columns by name, the bad ones left out."""
        return {name: value for name, value in vars(self).items() if name != "bad"}

    def take(self, wanted: Sequence[bool] | NDArray[np.bool_]) -> "Interactions":
        """Some of the good ones."""
        return Interactions(**{n: list(compress(v, wanted)) for n, v in self.columns().items()})


def decode_interactions(records: Iterable[Record], partitions: int) -> Interactions:
    """Decode and check interactions.

    Args:
        records: in order of offset within each partition.
        partitions: how many the topic has; an event in another partition than its user's would
            give the user two states, so it counts as bad.
    """
    batch = Interactions()
    taken = []
    for record in records:
        try:
            _append(batch, record)
            taken.append(record)
        except BadEvent as error:
            batch.bad.append((record, error))
    own = partitions_of(batch.user_id, partitions) == np.array(batch.partition, np.int64)
    return batch if own.all() else _without_misplaced(batch, own.tolist(), taken)


def _without_misplaced(batch: Interactions, own: list[bool], records: list[Record]) -> Interactions:
    columns = batch.take(own).columns()
    misplaced = compress(records, map(operator.not_, own))
    return Interactions(**columns, bad=batch.bad + [(record, MISPLACED) for record in misplaced])


def _append(batch: Interactions, record: Record) -> None:
    received_s = record.timestamp / 1_000
    value = record.value
    event = read_interaction(value)
    user_id, place_id, time_s = checked_interaction(event, received_s)
    where = event.context.location
    identity = value if event.event_id is None else event.event_id.encode()
    batch.partition.append(record.partition)
    batch.offset.append(record.offset)
    batch.received_s.append(received_s)
    batch.time_s.append(time_s)
    batch.user_id.append(user_id)
    batch.place_id.append(place_id)
    batch.user.append(id64(user_id))
    batch.place.append(id64(place_id))
    batch.kind.append(KIND_CODE[event.event_type])
    batch.rating.append(_NAN if event.rating is None else event.rating)
    batch.age_group.append(AGE_CODE.get(event.user_age_group or "", -1))
    batch.event_hash.append(xxhash.xxh3_64_intdigest(identity) or 1)
    batch.lat.append(_NAN if where is None else where.lat)
    batch.lng.append(_NAN if where is None else where.lng)
    batch.dwell_s.append(_NAN if event.dwell_s is None else event.dwell_s)
    batch.request_id.append(event.request_id)
    batch.raw.append(value)
