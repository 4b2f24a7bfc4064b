"""The same folds offline: final states of a log, and states as they were at past moments."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_features.columns import EventColumns
from online_features.definitions import PLACE, USER
from online_features.duplicates import SEEN_DTYPE, mark_new
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

    def take(self, part: slice) -> "Queries":
        """Some of them."""
        return Queries(self.before[part], self.user[part], self.place[part])

    @classmethod
    def of_users(cls, before: Index, user: Hashes) -> "Queries":
        """About users alone."""
        return cls(before, user, np.empty((len(user), 0), np.uint64))


class _Side:
    """States of all entities of one kind while a log is played."""

    def __init__(self, features: FeatureSet, hashes: Hashes) -> None:
        self.features = features
        self.hashes = np.unique(hashes)
        # The last is that of all whom the log does not mention.
        self.states = features.empty(len(self.hashes) + 1)

    def rows(self, hashes: Hashes) -> Index:
        nobody = len(self.hashes)
        at = np.searchsorted(self.hashes, hashes)
        known = np.append(self.hashes, np.uint64(0))[at] == hashes
        return np.where(known & (at < nobody), at, nobody)

    def play(
        self,
        events: EventColumns,
        event_rows: Index,
        query_rows: Index,
        query_before: Index,
        answers: States,
    ) -> None:
        """Fold a block of events, as `play` does."""
        play(self.features, self.states, events, event_rows, query_rows, query_before, answers)


def play(
    features: FeatureSet,
    states: States,
    events: EventColumns,
    event_rows: Index,
    query_rows: Index,
    query_before: Index,
    answers: States,
) -> None:
    """Fold a block of events, writing the state asked for by each query on the way.

    Within a block entities do not touch each other, so all entities advance together: a turn
    folds, for every entity, its events up to its next query, then answers those queries.

    Args:
        features: the definitions.
        states: [entities], folded into in place.
        events: [n], duplicates already taken out.
        event_rows: [n], row of each in `states`.
        query_rows: [m], row that each query is about.
        query_before: [m], each query sees `events[0:query_before)`.
        answers: [m], written.
    """
    entity = np.concatenate([event_rows, query_rows])
    when = np.concatenate([2 * np.arange(len(event_rows)) + 1, 2 * query_before])
    is_query = np.arange(len(entity)) >= len(event_rows)
    order = np.lexsort((when, entity))
    turn = np.empty(len(entity), np.int64)
    turn[order] = _turns(entity[order], is_query[order])
    event_turn, query_turn = turn[: len(event_rows)], turn[len(event_rows) :]
    # As bytes: numpy copies a structure field by field, five times as slowly.
    raw = np.dtype((np.void, answers.dtype.itemsize))
    given, held = answers.view(raw), states.view(raw)
    events_by_turn, queries_by_turn = _groups(event_turn), _groups(query_turn)
    for number in range(int(turn.max(initial=-1)) + 1):
        mine = events_by_turn.get(number)
        if mine is not None:
            features.fold(states, event_rows[mine], events.take(mine))
        asked = queries_by_turn.get(number)
        if asked is not None:
            given[asked] = held.take(query_rows[asked])


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


class Replay:
    """A log that is played once, and asked on the way how users and places stood.

    Args:
        events: the log, in the order in which it shall be folded.
        users: whoever will be asked about, hashes with or without repeats; `None`: anybody may be.
            A user's state is 4 KB; of all others no more is kept than what tells duplicates.
    """

    def __init__(self, events: EventColumns, users: Hashes | None = None) -> None:
        self._events = events
        self._everybody = np.unique(events.user)
        self._seen = np.zeros(len(self._everybody), SEEN_DTYPE)
        kept = self._everybody if users is None else np.intersect1d(self._everybody, users)
        self._users, self._places = _Side(USER, kept), _Side(PLACE, events.place)
        self._done = 0

    def at(self, queries: Queries) -> tuple[States, States]:
        """Play on to the last of some queries.

        Args:
            queries: ascending in `before`, also from call to call; so many that the states fit
                into memory (a place's is 2 KB, a user's 4 KB).

        Returns:
            A user state for each query (but for what tells duplicates); and the place states,
            those of one query after those of another.

        Raises:
            ValueError: a query lies before what was played already, or is about a user who was
                not announced.
        """
        if np.any(np.diff(np.r_[self._done, queries.before]) < 0):
            raise ValueError("queries must be ascending in `before`")
        unkept = queries.user[self._users.rows(queries.user) == len(self._users.hashes)]
        if np.isin(unkept, self._everybody).any():
            raise ValueError("a query is about a user of whom nothing was kept")
        each = queries.places_each
        users, places = USER.empty(len(queries)), PLACE.empty(len(queries) * each)
        asked, end = 0, int(queries.before[-1]) if len(queries) else self._done
        while asked < len(queries) or self._done < end:
            to = min(self._done + _FOLD_AT_ONCE, end)
            stop = int(np.searchsorted(queries.before, to, side="right"))
            mine = slice(asked, stop)
            self._play(to, queries.take(mine), users[mine], places[asked * each : stop * each])
            asked = stop
        return users, places

    def _play(self, to: int, queries: Queries, user_answers: States, place_answers: States) -> None:
        """Play on to a position, and write the answers to the queries up to it."""
        block = self._events.take(slice(self._done, to))
        rows = np.searchsorted(self._everybody, block.user)
        new = mark_new(self._seen, rows, block.event_hash)
        counted = block.take(new)
        # Positions among the events that count.
        counted_before = np.r_[0, np.cumsum(new)][queries.before - self._done]
        self._done = to
        users, places = self._users, self._places
        rows = users.rows(counted.user)
        kept = rows < len(users.hashes)
        theirs = counted if kept.all() else counted.take(kept)
        theirs_before = np.r_[0, np.cumsum(kept)][counted_before]
        users.play(theirs, rows[kept], users.rows(queries.user), theirs_before, user_answers)
        places.play(
            counted,
            places.rows(counted.place),
            places.rows(queries.place.ravel()),
            np.repeat(counted_before, queries.places_each),
            place_answers,
        )


def point_in_time(
    events: EventColumns, queries: Queries, chunk: int = 20_000
) -> Iterator[tuple[slice, States, States]]:
    """Play a log once and yield states as they were, in the order of the queries.

    Args:
        events: the log, in the order in which it shall be folded.
        queries: ascending in `before`.
        chunk: about how many places to answer for at once.

    Yields:
        The slice of `queries` that is answered, and what `Replay.at` answers to it.

    Raises:
        ValueError: `queries.before` is not ascending.
    """
    replay, at_once = Replay(events, queries.user), max(chunk // max(queries.places_each, 1), 1)
    for first in range(0, len(queries), at_once):
        asked = slice(first, min(first + at_once, len(queries)))
        yield (asked, *replay.at(queries.take(asked)))


def user_states(events: EventColumns, before: Index, user: Hashes) -> States:
    """How users (by hash) stood before positions of a log that ascend."""
    found = [users for _, users, _ in point_in_time(events, Queries.of_users(before, user))]
    return np.concatenate([USER.empty(0), *found])


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
    return users.hashes, users.states[:-1], places.hashes, places.states[:-1]
