"""Features of past answers recomputed from the archive: what the service may have seen.

The stream folds an event some time after Kafka received it, and the service reads a while after
the moment that it answers for. So there is no one truth but two: with all events that were
received up to `in_flight_s` after the answer's moment, and with those up to `in_flight_s` before
it. Where both agree, a logged value that differs is wrong; where they do not, either may match.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts.ids import id64
from online_features.archive import ArrivalLog, read_arrivals
from online_features.catalogue import Catalogue
from online_features.context import Situation, situation
from online_features.duplicates import SEEN_DTYPE, mark_new
from online_features.geo import distance_m
from online_features.past import CataloguePast, ContextPast
from online_features.replay import Queries, States, point_in_time
from online_features.request import ranking_features
from placestream.skew.logged import Logged

#: Pairs of an answer and a place whose states are held at once: some 20 MB a side.
CHUNK = 4_000


@dataclass(frozen=True)
class Recomputed:
    """Pairs of an answer and one of its places.

    Attributes:
        answer: int64[n], which answer.
        position: int64[n], which of its places.
        variants: [v] float32[n, RANKING_COLUMNS], what the service may have seen.
    """

    answer: NDArray[np.int64]
    position: NDArray[np.int64]
    variants: tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class _Cut:
    """What was known of the world outside, by a rule of what had been received."""

    shift_s: float
    places: CataloguePast
    context: ContextPast
    stale_s: float

    def updates(self, answers: Sequence[Logged]) -> NDArray[np.int64]:
        """For each answer, how many updates of places had come."""
        until_s = np.array([a.time_s for a in answers]) + self.shift_s
        return np.searchsorted(self.places.received_s, until_s, side="right")

    def situations(self, answers: Sequence[Logged], catalogue: Catalogue) -> list[Situation]:
        return [
            situation(
                a.lat,
                a.lng,
                a.time_s,
                self.context.at(_region(a, catalogue), a.time_s + self.shift_s),
                stale_s=self.stale_s,
            )
            for a in answers
        ]


def recompute(
    archive_dir: Path, answers: Sequence[Logged], *, in_flight_s: float, stale_s: float
) -> Iterator[Recomputed]:
    """Recompute the features of answers.

    Args:
        archive_dir: root of the archive; it must be whole up to `in_flight_s` after the last.
        answers: in order of time, made with the definitions that this code has.
        in_flight_s: events received so near to an answer may or may not have been seen.
        stale_s: older weather and traffic count as unknown.
    """
    answer = np.repeat(np.arange(len(answers)), [len(a.place_ids) for a in answers])
    position = np.concatenate([np.arange(len(a.place_ids)) for a in answers])
    users = np.array([id64(a.user_id) for a in answers], np.uint64)[answer]
    places = np.array([id64(p) for a in answers for p in a.place_ids], np.uint64)
    log, received_s = _counted(archive_dir, users, places)
    context = ContextPast(archive_dir)
    cuts = [
        _Cut(shift_s, CataloguePast(archive_dir), context, stale_s)
        for shift_s in (in_flight_s, -in_flight_s)
    ]
    time_s = np.array([a.time_s for a in answers])
    played = []
    for cut in cuts:
        before = np.searchsorted(received_s, time_s + cut.shift_s, side="right")[answer]
        played.append(point_in_time(log, Queries(before, users, places), CHUNK))
    for (asked, *late), (_, *early) in zip(*played, strict=True):
        mine = answer[asked]
        for rows in _stretches(mine, answers, cuts):
            states = [tuple(side[rows] for side in sides) for sides in (late, early)]
            first, last = int(mine[rows][0]), int(mine[rows][-1]) + 1
            its = answers[first:last]
            variants = _variants(its, mine[rows] - first, places[asked][rows], states, cuts)
            yield Recomputed(mine[rows], position[asked][rows], variants)


def _counted(
    archive_dir: Path, users: NDArray[np.uint64], places: NDArray[np.uint64]
) -> tuple[ArrivalLog, NDArray[np.float64]]:
    """Events that count and concern someone asked for, in order of receipt, and when that was.

    Which events are duplicates is told from all events of a user.
    """
    log = read_arrivals(archive_dir)
    received_s = log.received_s.copy()
    edges = np.flatnonzero(np.r_[True, np.diff(log.partition) > 0, True])
    for start, end in itertools.pairwise(edges.tolist() if len(log) else []):
        # A broker's clock may step back; the order in the partition holds.
        np.maximum.accumulate(received_s[start:end], out=received_s[start:end])
    order = np.lexsort((log.offset, log.partition, received_s))
    log, received_s = log.take(order), received_s[order]
    hashes, rows = np.unique(log.user, return_inverse=True)
    counts = mark_new(np.zeros(len(hashes), SEEN_DTYPE), rows.astype(np.int64), log.event_hash)
    counts &= np.isin(log.user, users) | np.isin(log.place, places)
    log = log.take(counts)
    log.event_hash[:] = np.arange(1, len(log) + 1)  # none of these is a duplicate
    return log, received_s[counts]


def _stretches(
    answer: NDArray[np.int64], answers: Sequence[Logged], cuts: Sequence[_Cut]
) -> Iterator[slice]:
    """Rows in a row for which the catalogue is the same."""
    first, last = int(answer[0]), int(answer[-1]) + 1
    updates = np.stack([cut.updates(answers[first:last]) for cut in cuts])[:, answer - first]
    changed = np.r_[True, (np.diff(updates, axis=1) != 0).any(axis=0), True]
    for start, end in itertools.pairwise(np.flatnonzero(changed).tolist()):
        yield slice(start, end)


def _variants(
    answers: Sequence[Logged],
    answer: NDArray[np.int64],
    places: NDArray[np.uint64],
    states: Sequence[tuple[States, ...]],
    cuts: Sequence[_Cut],
) -> tuple[NDArray[np.float32], ...]:
    """Features with each side late or early, where that makes a difference."""
    (late_users, late_places), (early_users, early_places) = states
    users = _distinct(late_users, early_users)
    crowds = _distinct(late_places, early_places)
    found = []
    for catalogue, situations in _worlds(answers, cuts):
        columns = {n: np.concatenate([getattr(s, n) for s in situations])[answer] for n in _AT}
        rows, at = catalogue.rows_of(places), Situation(**columns)
        found += [
            ranking_features(user, crowd, rows, at, catalogue)
            for user, crowd in itertools.product(users, crowds)
        ]
    return tuple(found)


_AT = tuple(Situation.__dataclass_fields__)


def _worlds(
    answers: Sequence[Logged], cuts: Sequence[_Cut]
) -> list[tuple[Catalogue, list[Situation]]]:
    """Catalogue and situations, late and early; one of them where they are the same."""
    updates = [int(cut.updates(answers[:1])[0]) for cut in cuts]
    worlds = []
    for cut, count in zip(cuts, updates, strict=True):
        catalogue = cut.places.play(count)
        worlds.append((catalogue, cut.situations(answers, catalogue)))
    same = updates[0] == updates[1] and all(
        repr(a) == repr(b) for a, b in zip(worlds[0][1], worlds[1][1], strict=True)
    )
    return worlds[:1] if same else worlds


def _distinct(late: States, early: States) -> list[States]:
    return [late] if late.tobytes() == early.tobytes() else [late, early]


def _region(answer: Logged, catalogue: Catalogue) -> str | None:
    """Region of the answered place that is nearest to the user."""
    rows = np.array([catalogue.row_of(p) for p in answer.place_ids])
    rows = rows[rows >= 0]
    if not len(rows):
        return None
    metres = distance_m(answer.lat, answer.lng, catalogue.lat[rows], catalogue.lng[rows])
    code = int(catalogue.region[rows[np.nanargmin(metres)]]) if len(metres) else -1
    return catalogue.regions[code] if code >= 0 else None
