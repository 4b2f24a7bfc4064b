"""The same folds offline: final states of a log, and states as they were at past moments."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_features.columns import EventColumns
from online_features.definitions import PLACE, USER
from online_features.duplicates import mark_new
from online_features.feature_set import FeatureSet

Hashes = NDArray[np.uint64]
States = NDArray[np.void]
Index = NDArray[np.int64]
_FOLD_AT_ONCE = 50_000


@dataclass(frozen=True)
class Queries:
    """Questions about the past: how did a user, and places, stand before an event?

    Attributes:
        before: int64[n], ascending; the query sees `events[0:before)`.
        user: uint64[n] hashes; one that no event mentions has the empty state.
        place: the same of one place, uint64[n], or of k places a query, uint64[n, k] (k may be 0).
    """

    before: Index
    user: Hashes
    place: Hashes

    def __len__(self) -> int:
        return len(self.before)

    @property
    def places_each(self) -> int:
        """Places of a query."""
        return self.place.shape[1] if self.place.ndim == 2 else 1

    @classmethod
    def of_users(cls, before: Index, user: Hashes) -> "Queries":
        """About users alone."""
        return cls(before, user, np.empty((len(user), 0), np.uint64))


class _Side:
    """States of all entities of one kind while a log is played."""

    def __init__(self, features: FeatureSet, hashes: Hashes) -> None:
        self.features = features
        self.hashes = np.unique(hashes)
        self.states = features.empty(len(self.hashes))

    def rows(self, hashes: Hashes) -> Index:
        return np.searchsorted(self.hashes, hashes).astype(np.int64)

    def play(
        self, events: EventColumns, event_rows: Index, query_rows: Index, query_before: Index
    ) -> States:
        """Fold a block of events, taking a copy of the state asked for by each query on the way.

        Within a block entities do not touch each other, so all entities advance together: a turn
        folds, for every entity, its events up to its next query, then answers those queries.
        """
        entity = np.concatenate([event_rows, query_rows])
        when = np.concatenate([2 * np.arange(len(event_rows)) + 1, 2 * query_before])
        is_query = np.arange(len(entity)) >= len(event_rows)
        order = np.lexsort((when, entity))
        turn = np.empty(len(entity), np.int64)
        turn[order] = _turns(entity[order], is_query[order])
        event_turn, query_turn = turn[: len(event_rows)], turn[len(event_rows) :]
        answers = self.features.empty(len(query_rows))
        # As bytes: numpy copies a structure field by field, five times as slowly.
        raw = np.dtype((np.void, answers.dtype.itemsize))
        given, held = answers.view(raw), self.states.view(raw)
        events_by_turn, queries_by_turn = _groups(event_turn), _groups(query_turn)
        for number in range(int(turn.max(initial=-1)) + 1):
            mine = events_by_turn.get(number)
            if mine is not None:
                self.features.fold(self.states, event_rows[mine], events.take(mine))
            asked = queries_by_turn.get(number)
            if asked is not None:
                given[asked] = held.take(query_rows[asked])
        return answers


def _turns(entity: Index, is_query: NDArray[np.bool_]) -> Index:
    """Turn of each operation, given in order per entity: a new one starts after each query."""
    after_query = np.r_[False, ~is_query[1:] & is_query[:-1] & (entity[1:] == entity[:-1])]
    total = np.cumsum(after_query)
    first = np.flatnonzero(np.r_[True, entity[1:] != entity[:-1]]) if len(entity) else entity
    lengths = np.diff(np.r_[first, len(entity)])
    turns: Index = total - np.repeat(total[first], lengths)
    return turns


def _groups(numbers: Index) -> dict[int, Index]:
    order = np.argsort(numbers, kind="stable")
    values, starts = np.unique(numbers[order], return_index=True)
    parts = np.split(order, starts[1:])
    return dict(zip(values.tolist(), parts, strict=True)) if len(numbers) else {}


def point_in_time(
    events: EventColumns, queries: Queries, chunk: int = 20_000
) -> Iterator[tuple[slice, States, States]]:
    """Play a log once and yield states as they were, in the order of the queries.

    Args:
        events: the log, in the order in which it shall be folded.
        queries: ascending in `before`.
        chunk: about how many places to answer for at once (a state is some 3 KB).

    Yields:
        The slice of `queries` that is answered; a user state for each (but for what tells
        duplicates); and the place states, those of one query after those of another.

    Raises:
        ValueError: `queries.before` is not ascending.
    """
    if np.any(np.diff(queries.before) < 0):
        raise ValueError("queries must be ascending in `before`")
    users = _Side(USER, np.concatenate([events.user, queries.user]))
    places = _Side(PLACE, np.concatenate([events.place, queries.place.ravel()]))
    start_event, at_once = 0, max(chunk // max(queries.places_each, 1), 1)
    for first in range(0, len(queries), at_once):
        asked = slice(first, min(first + at_once, len(queries)))
        end_event = int(queries.before[asked.stop - 1])
        block = events.take(slice(start_event, end_event))
        before = queries.before[asked] - start_event
        yield (asked, *_play_block(users, places, block, queries, asked, before))
        start_event = end_event


def _play_block(
    users: _Side,
    places: _Side,
    block: EventColumns,
    queries: Queries,
    asked: slice,
    before: Index,
) -> tuple[States, States]:
    user_rows = users.rows(block.user)
    new = mark_new(users.states["seen"], user_rows, block.event_hash)
    counted = block.take(new)
    # Positions among the events that count.
    counted_before = np.r_[0, np.cumsum(new)][before]
    user_answers = users.play(
        counted, user_rows[new], users.rows(queries.user[asked]), counted_before
    )
    user_answers["seen"] = 0  # judged ahead for the whole block, and nothing that a reader needs
    place_answers = places.play(
        counted,
        places.rows(counted.place),
        places.rows(queries.place[asked].ravel()),
        np.repeat(counted_before, queries.places_each),
    )
    return user_answers, place_answers


def fold_all(events: EventColumns) -> tuple[Hashes, States, Hashes, States]:
    """Final states of a log: hashes and states of its users, then of its places."""
    users, places = _Side(USER, events.user), _Side(PLACE, events.place)
    for start in range(0, len(events), _FOLD_AT_ONCE):
        block = events.take(slice(start, start + _FOLD_AT_ONCE))
        rows = users.rows(block.user)
        new = mark_new(users.states["seen"], rows, block.event_hash)
        counted = block.take(new)
        USER.fold(users.states, rows[new], counted)
        PLACE.fold(places.states, places.rows(counted.place), counted)
    return users.hashes, users.states, places.hashes, places.states
