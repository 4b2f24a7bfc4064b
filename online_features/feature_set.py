"""A feature, and all the features of one kind of entity as one packed, versioned state."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import lz4.block
import numpy as np
from numpy.typing import NDArray

from contracts.events import EVENT_TYPES
from online_features.aggregations import Aggregation
from online_features.columns import EventColumns
from online_features.duplicates import SEEN_DTYPE
from online_features.rings import Moments, Rows, States, moments_of


@dataclass(frozen=True)
class Feature:
    """One feature, stated once for the stream, the replay, the backfill and the reader.

    Attributes:
        name: of the feature; its columns are `name` or `name_suffix`.
        on: codes of the event kinds that move it.
        aggregation: what is kept of the events, over which windows.
        missing: its value when nothing is known.
        ranked: how the ranker sees its columns, as `user_...` or `place_...`: as they are, or as
            log(1 + value); `None`: not by itself (`online_features/ranking_columns.py` may use it).
            No part of the state, so no part of its version.
    """

    name: str
    on: frozenset[int]
    aggregation: Aggregation
    missing: float = 0.0
    ranked: Literal["plain", "log"] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns, one for each output of the aggregation."""
        return tuple(f"{self.name}_{o}" if o else self.name for o in self.aggregation.outputs)


_KINDS = np.arange(len(EVENT_TYPES))


class BadState(ValueError):
    """A stored state that this version of the definitions cannot read."""


class FeatureSet:
    """The features of one kind of entity.

    Attributes:
        entity: "user" or "place".
        features: the definitions.
        ttl_s: how long a state lives after its last write, seconds.
    """

    def __init__(self, entity: str, features: Sequence[Feature], *, ttl_s: int) -> None:
        self.entity = entity
        self.features = tuple(features)
        self.ttl_s = ttl_s

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """One row: what has been seen (to tell duplicates), then the state of each feature."""
        parts = [("seen", SEEN_DTYPE)] if self.entity == "user" else []
        parts += [(f.name, np.dtype(list(f.aggregation.fields))) for f in self.features]
        return np.dtype(parts)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of `read`, in order."""
        return tuple(column for feature in self.features for column in feature.columns)

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each column."""
        return {column: i for i, column in enumerate(self.columns)}

    @cached_property
    def version(self) -> str:
        """Fingerprint of the definitions: another one means another state."""
        stated = repr([(f.name, sorted(f.on), f.aggregation) for f in self.features])
        return hashlib.sha256(f"{self.dtype.descr}{stated}".encode()).hexdigest()[:8]

    def empty(self, n: int) -> States:
        """States of `n` entities of which nothing is known."""
        return np.zeros(n, self.dtype)

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        """Fold `events[i]` into `states[rows[i]]`, in place, duplicates already taken out.

        Returns:
            How many events came too late for every window of a feature that they move.
        """
        late = 0
        chosen: dict[frozenset[int], tuple[Rows, EventColumns]] = {}
        for feature in self.features:
            if feature.on not in chosen:
                mask = np.isin(_KINDS, list(feature.on))[events.kind]
                chosen[feature.on] = (rows[mask], events.take(mask))
            its_rows, its_events = chosen[feature.on]
            if len(its_rows):
                too_late = feature.aggregation.fold(states[feature.name], its_rows, its_events)
                late = max(late, too_late)
        return late

    def read(self, states: States, now_s: Moments | float) -> NDArray[np.float32]:
        """Values of all columns as of a moment, windows aged to it: float32[n, columns].

        Args:
            states: [n] rows.
            now_s: Unix seconds, one for all or one a row.
        """
        parts = [self.read_feature(feature.name, states, now_s) for feature in self.features]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def read_feature(
        self, name: str, states: States, now_s: Moments | float
    ) -> NDArray[np.float32]:
        """The columns of one feature, as `read` gives them: float32[n, its columns].

        Raises:
            KeyError: there is no such feature.
        """
        feature = self._by_name[name]
        values = feature.aggregation.read(states[name], moments_of(now_s, len(states)))
        read = values.astype(np.float32)
        read[np.isnan(read)] = feature.missing
        return read

    def columns_of(self, name: str) -> tuple[str, ...]:
        """Names of the columns of one feature, beside each other in `columns`.

        Raises:
            KeyError: there is no such feature.
        """
        return self._by_name[name].columns

    @cached_property
    def _by_name(self) -> dict[str, Feature]:
        return {feature.name: feature for feature in self.features}

    @cached_property
    def owner(self) -> dict[str, tuple[str, int]]:
        """Of each column, the feature that it belongs to and its position there."""
        return {
            column: (feature.name, i)
            for feature in self.features
            for i, column in enumerate(feature.columns)
        }

    def pack(self, states: States) -> list[bytes]:
        """Each row as the bytes that Redis holds: the definitions' version, then LZ4."""
        header = bytes.fromhex(self.version)
        size = self.dtype.itemsize
        raw = np.ascontiguousarray(states).view(np.uint8).reshape(-1).data
        compress = lz4.block.compress
        return [
            header + compress(raw[i : i + size], store_size=False)
            for i in range(0, size * len(states), size)
        ]

    def unpack(self, values: Sequence[bytes | None]) -> tuple[States, NDArray[np.bool_]]:
        """The rows of stored bytes, and which were there at all.

        Raises:
            BadState: bytes of other definitions, or damaged.
        """
        size, header = self.dtype.itemsize, bytes.fromhex(self.version)
        blank = bytes(size)
        known = np.fromiter((v is not None for v in values), bool, len(values))
        decompress = lz4.block.decompress
        try:
            rows = [blank if v is None else decompress(v[4:], size) for v in values]
        except lz4.block.LZ4BlockError as error:
            raise BadState(f"a {self.entity} state is damaged: {error}") from error
        for value, row in zip(values, rows, strict=True):
            if (value is not None and value[:4] != header) or len(row) != size:
                raise BadState(f"a {self.entity} state is not of version {self.version}")
        # A writable copy: folds work in place.
        return np.frombuffer(bytearray().join(rows), self.dtype), known

    def unpack_readable(
        self, values: Sequence[bytes | None]
    ) -> tuple[States, NDArray[np.bool_], list[int]]:
        """As `unpack`, for those who only look: a state that cannot be read is as one not there.

        Returns:
            The rows, which were there and could be read, and positions of those that could not.
        """
        try:
            return *self.unpack(values), []
        except BadState:
            bad = [i for i, value in enumerate(values) if not self._is_readable(value)]
            lost = set(bad)
            left = [None if i in lost else value for i, value in enumerate(values)]
            return *self.unpack(left), bad

    def _is_readable(self, value: bytes | None) -> bool:
        try:
            self.unpack([value])
        except BadState:
            return False
        return True
