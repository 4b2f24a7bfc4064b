"""The published protocol: trajectories of 24 h, of each the last check-in is predicted.

As in GETNext (Yang, Liu, Zhao, SIGIR 2022) and STHGCN (Yan et al., SIGIR 2023), by the latter's
published preprocessing: places, then users, with under ten check-ins are dropped, once; all
check-ins are ordered by time and cut; a user's check-ins more than 24 h apart begin a new
trajectory; trajectories of one check-in are dropped; a trajectory belongs to the part in which its
last check-in lies; those whose user or last place does not occur in the train part are not judged.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.quality.requests import Cuts
from models.quality.visits import VisitLog

LEAST = 10
GAP_S = 24 * 3_600.0


@dataclass(frozen=True)
class Trajectories:
    """Which visits take part, and which are predicted.

    Attributes:
        kept: int64[m], positions in the whole log; everything below counts among these.
        cuts: of the visits kept.
        at: int64[t], positions that are predicted, ascending.
        start: int64[t], position at which each one's trajectory begins.
    """

    kept: NDArray[np.int64]
    cuts: Cuts
    at: NDArray[np.int64]
    start: NDArray[np.int64]


def find_trajectories(
    visits: VisitLog, shares: tuple[float, float, float], part: str = "test"
) -> Trajectories:
    """Filter, cut and part a log.

    Raises:
        ValueError: too little is left to be cut.
    """
    often = frequent(visits)
    busy = visits.take(often)
    cuts = Cuts.of(len(busy), shares, part)
    number = trajectory_of(busy)
    long = np.bincount(number)[number] > 1 if len(number) else number > 0
    # Positions move up where visits are dropped.
    moved = np.r_[0, np.cumsum(long)]
    kept_cuts = Cuts(int(moved[cuts.train]), int(moved[cuts.known]), int(moved[cuts.end]))
    kept = busy.take(long)
    at, start = _judged(kept, number[long], kept_cuts)
    return Trajectories(often[long], kept_cuts, at, start)


def frequent(visits: VisitLog, least: int = LEAST) -> NDArray[np.int64]:
    """Positions of visits at places with enough visits, by users with enough of those."""
    place = np.bincount(visits.place, minlength=visits.places)[visits.place] >= least
    count = np.bincount(visits.user, place, minlength=visits.users)
    return np.flatnonzero(place & (count[visits.user] >= least))


def trajectory_of(visits: VisitLog) -> NDArray[np.int64]:
    """Number of each visit's trajectory, int64[n]."""
    order = np.argsort(visits.user, kind="stable")
    user, time_s = visits.user[order], visits.time_s[order]
    begins = np.r_[True, (np.diff(user) != 0) | (np.diff(time_s) > GAP_S)][: len(order)]
    number = np.empty(len(visits), np.int64)
    number[order] = np.cumsum(begins) - 1
    return number


def _judged(
    visits: VisitLog, number: NDArray[np.int64], cuts: Cuts
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Last positions of the judged trajectories, and where each begins."""
    count = int(number.max(initial=-1)) + 1
    last, first = np.zeros(count, np.int64), np.full(count, len(visits))
    position = np.arange(len(visits))
    np.maximum.at(last, number, position)
    np.minimum.at(first, number, position)
    train = visits.first(cuts.train)
    seen = np.isin(visits.user[last], train.user) & np.isin(visits.place[last], train.place)
    judged = np.flatnonzero((last >= cuts.known) & (last < cuts.end) & seen)
    judged = judged[np.argsort(last[judged])]
    return last[judged], first[judged]
