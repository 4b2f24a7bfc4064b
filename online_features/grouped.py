"""The same folds over a log that is sorted by entity: an engine's that hands over group by group.

A batch engine (Spark: `placestream/backfill`) partitions a log by entity and sorts it, and gives it
out in batches of any size, cut anywhere. Beside a batch only the state of the entity that stands
last in it is held, so that memory does not grow with the log, nor with the events of one entity:
those of a place that everybody visits come as thousands of batches.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from online_features.columns import EventColumns
from online_features.duplicates import SEEN_DTYPE, mark_new
from online_features.feature_set import FeatureSet
from online_features.replay import Hashes, Index, States, play
from online_features.rings import DAY_S, HOUR_S

Mask = NDArray[np.bool_]
Period = Literal["day", "hour"]
PERIOD_S: dict[Period, int] = {"day": DAY_S, "hour": HOUR_S}


@dataclass(frozen=True)
class Snapshots:
    """How entities stood at the end of periods in which something happened to them.

    Attributes:
        ids: object[n], canonical ids.
        at_s: float64[n], end of the period, Unix seconds; infinite where there are no periods.
        states: [n]; every event before `at_s` is in them, none of the others.
    """

    ids: NDArray[np.object_]
    at_s: NDArray[np.float64]
    states: States

    def __len__(self) -> int:
        return len(self.ids)


class GroupedDuplicates:
    """Tells which events count, of a log that is sorted by user, then in its own order.

    A position that stands there twice counts once, too, for the two lie beside each other: a crash
    may leave an event in two files of the archive.
    """

    def __init__(self) -> None:
        self._user, self._seen = np.zeros(0, np.uint64), np.zeros(1, SEEN_DTYPE)
        self._position = np.full((2, 1), -1, np.int64)

    def push(self, user: Hashes, event_hash: Hashes, position: NDArray[np.int64]) -> Mask:
        """Judge a batch.

        Args:
            user: [n] hashes, those of one user beside each other.
            event_hash: [n] identities of the events.
            position: int64[2, n], partition and offset.

        Returns:
            bool[n].
        """
        if not len(user):
            return np.zeros(0, bool)
        before = np.concatenate([self._position, position[:, :-1]], axis=1)
        once = (position != before).any(axis=0)
        rows = _runs(user)
        same = bool(len(self._user)) and user[0] == self._user[0]
        seen = np.zeros(int(rows[-1]) + 1, SEEN_DTYPE)
        if same:
            seen[0] = self._seen[0]
        counted: Mask = once.copy()
        counted[once] = mark_new(seen, rows[once], event_hash[once])
        self._user, self._seen, self._position = user[-1:], seen[-1:].copy(), position[:, -1:]
        return counted


class GroupedFold:
    """Folds one entity after the other, batch after batch.

    Args:
        features: the definitions.
        period: `None`: each entity is told of once, at its end, with what tells its duplicates.
            Else at the end of each period (of UTC) in which it has an event; then its events must
            be in order of event time.
    """

    def __init__(self, features: FeatureSet, period: Period | None) -> None:
        self._features = features
        self._width_s = np.inf if period is None else float(PERIOD_S[period])
        self._remembers = period is None and "seen" in (features.dtype.names or ())
        self._nobody = Snapshots(np.empty(0, object), np.empty(0), features.empty(0))
        #: The group that may go on in the next batch: its entity, and its state so far.
        self._open, self._hash = self._nobody, np.zeros(0, np.uint64)

    def push(self, events: EventColumns, ids: NDArray[np.object_]) -> Snapshots:
        """Fold a batch of events that count; return what has ended.

        Args:
            events: [n], those of one entity beside each other, in order.
            ids: object[n], the entity's id.
        """
        if not len(events):
            return self._nobody
        hashes = getattr(events, self._features.entity)
        ends_s = _end_of(events.time_s, self._width_s)
        goes_on = len(self._open) > 0 and hashes[0] == self._hash[0]
        carried = 0 if goes_on else len(self._open)
        rows = _runs(hashes) + carried
        states = self._features.empty(int(rows[-1]) + 1)
        states[: len(self._open)] = self._open.states
        if self._remembers:
            mark_new(states["seen"], rows, events.event_hash)
        ended = np.flatnonzero((rows[1:] != rows[:-1]) | (ends_s[1:] != ends_s[:-1]))
        closed = len(self._open) > 0 and not (goes_on and ends_s[0] == self._open.at_s[0])
        before = np.r_[np.zeros(int(closed), np.int64), ended + 1]
        asked = np.r_[np.zeros(int(closed), np.int64), rows[ended]]
        first = self._open if closed else self._nobody
        found = Snapshots(
            np.concatenate([first.ids, ids[ended]]),
            np.concatenate([first.at_s, ends_s[ended]]),
            self._features.empty(len(asked)),
        )
        play(self._features, states, events, rows, asked, before, found.states)
        self._open = Snapshots(ids[-1:], ends_s[-1:], states[-1:].copy())
        self._hash = hashes[-1:]
        return found

    def close(self) -> Snapshots:
        """What the end of the log has ended."""
        last, self._open = self._open, self._nobody
        return last


class GroupedAnswers:
    """Tells how entities stood at questions that stand among their events.

    Questions that no event parts are answered by one state: of a place that thousands are asked
    about, no more states are held at once than it has events in a batch.

    Args:
        features: the definitions.
    """

    def __init__(self, features: FeatureSet) -> None:
        self._features = features
        self._hash, self._state = np.zeros(0, np.uint64), features.empty(1)

    def push(self, rows: EventColumns, asks: Mask) -> tuple[States, Index]:
        """Fold the events of a batch that count, and answer its questions.

        Args:
            rows: [n], those of one entity beside each other, in order; a question stands where
                the first event would that it does not know.
            asks: bool[n], which are questions; of those only the entity is read.

        Returns:
            States (without what tells duplicates), and which of them answers each question.
        """
        features = self._features
        if not len(rows):
            return features.empty(0), np.zeros(0, np.int64)
        hashes = getattr(rows, features.entity)
        entity = _runs(hashes)
        states = features.empty(int(entity[-1]) + 1)
        if len(self._hash) and self._hash[0] == hashes[0]:
            states[:1] = self._state
        about, known = entity[asks], np.cumsum(~asks)[asks]
        first = np.r_[True, (about[1:] != about[:-1]) | (known[1:] != known[:-1])][: len(about)]
        answers, events = features.empty(int(first.sum())), rows.take(~asks)
        play(features, states, events, entity[~asks], about[first], known[first], answers)
        self._hash, self._state = hashes[-1:], states[-1:].copy()
        return answers, np.cumsum(first) - 1


def _end_of(time_s: NDArray[np.float64], width_s: float) -> NDArray[np.float64]:
    """End of the period that each moment lies in."""
    if np.isinf(width_s):
        return np.full(len(time_s), np.inf)
    ends_s: NDArray[np.float64] = (np.floor(time_s / width_s) + 1) * width_s
    return ends_s


def _runs(hashes: Hashes) -> Index:
    """Number of each run of equal values: `[7, 7, 4] -> [0, 0, 1]`."""
    numbers: Index = np.cumsum(np.r_[False, hashes[1:] != hashes[:-1]])
    return numbers
