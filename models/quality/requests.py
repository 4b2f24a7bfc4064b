"""The requests of the protocol "next place, from here, now": who asks, when, from where.

Visits are ordered by time and cut; every visit of the judged part whose user has visited before
is one request: that user, that moment, and the place of the user's previous visit as the location
(never the target's). What a method may look at is `Questions`; the target is kept apart.
"""

from dataclasses import dataclass, fields, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from models.quality.visits import VisitLog

Index = NDArray[np.int64]
Mode = Literal["frozen", "stream"]
MODES: tuple[Mode, Mode] = ("frozen", "stream")


@dataclass(frozen=True)
class Cuts:
    """Positions that part a log: train [0, train), validation [train, known), judged [known, end).

    Attributes:
        train: what weights are fitted on.
        known: what "frozen" features know, and what parameters are chosen on beyond `train`.
        end: where the judged part ends.
    """

    train: int
    known: int
    end: int

    @classmethod
    def of(cls, visits: int, shares: tuple[float, float, float], part: str = "test") -> Self:
        """Cut by shares; to judge the validation part everything moves one part to the front.

        Args:
            visits: how many there are.
            shares: of train, validation and test; they sum to 1.
            part: "test" or "validation", which to judge.

        Raises:
            ValueError: the shares are no shares, or a part would hold nothing.
        """
        if abs(sum(shares) - 1) > 1e-9 or min(shares) <= 0:
            raise ValueError(f"shares above 0 that sum to 1 are needed, not {shares}")
        # 0.1 + 0.7 is a little less than 0.8, which must not cost a visit.
        first = int(visits * shares[0] + 1e-6)
        second = int(visits * (shares[0] + shares[1]) + 1e-6)
        cuts = cls(first, second, visits)
        if part == "validation":
            cuts = cls(2 * first - second, first, second)
        if not 0 < cuts.train < cuts.known < cuts.end:
            raise ValueError(f"{visits} visits are too few to be cut into {shares}")
        return cuts

    def tuning(self) -> "Cuts":
        """The cuts under which parameters are chosen: the validation part takes the test's place.

        `known` is `train` there: what is fitted may not have seen what it is chosen on.
        """
        return Cuts(self.train, self.train, self.known)


@dataclass(frozen=True)
class Questions:
    """What a method is asked, and all that it may look at.

    Attributes:
        visits: the log; positions at and after `known` must not be looked at.
        known: int64[r], each question knows the visits [0, known).
        user: int64[r], who asks; maybe somebody of whom nothing is known.
        origin: int64[r], place of the user's previous visit: the location.
        time_s: float64[r], the moment, Unix seconds.
    """

    visits: VisitLog
    known: Index
    user: Index
    origin: Index
    time_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.known)

    def take(self, rows: Index | slice) -> "Questions":
        """Some of the questions."""
        picked = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "visits"}
        return Questions(visits=self.visits, **picked)


@dataclass(frozen=True)
class Requests:
    """The requests of a part.

    Attributes:
        visits: the log.
        at: int64[r], position of the visit that each request foresees; ascending.
        cut: what "frozen" knows: the visits [0, cut).
        origin: int64[r], place of the user's previous visit.
    """

    visits: VisitLog
    at: Index
    cut: int
    origin: Index

    @classmethod
    def of(cls, visits: VisitLog, cuts: Cuts) -> Self:
        """All requests between two cuts."""
        judged = np.arange(cuts.known, cuts.end)
        return cls.at_positions(visits, judged[visits.previous[judged] >= 0], cuts.known)

    @classmethod
    def at_positions(cls, visits: VisitLog, at: Index, cut: int) -> Self:
        """The requests that foresee given visits, each of which has a previous one."""
        return cls(visits, at, cut, visits.place[visits.previous[at]])

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: Index | NDArray[np.bool_]) -> "Requests":
        """Some of the requests."""
        return replace(self, at=self.at[rows], origin=self.origin[rows])

    def drawn(self, most: int, seed: int) -> "Requests":
        """At most so many, drawn evenly, in order of time."""
        if len(self) <= most:
            return self
        rows = np.random.default_rng(seed).permutation(len(self))[:most]
        return self.take(np.sort(rows))

    @property
    def target(self) -> Index:
        """Place that was visited next; int64[r]."""
        return self.visits.place[self.at]

    @property
    def user(self) -> Index:
        """Who asks, known or not; int64[r]."""
        return self.visits.user[self.at]

    @property
    def is_new(self) -> NDArray[np.bool_]:
        """Whether the user had never been at the target; bool[r]."""
        return self.visits.is_new[self.at]

    @property
    def gap_s(self) -> NDArray[np.float64]:
        """Seconds since the user's previous visit; float64[r]."""
        time_s = self.visits.time_s
        return time_s[self.at] - time_s[self.visits.previous[self.at]]

    def questions(self, mode: Mode) -> Questions:
        """What is asked, features frozen at the cut or streamed up to the moment."""
        known = np.minimum(self.at, self.cut) if mode == "frozen" else self.at
        return Questions(
            visits=self.visits,
            known=known,
            user=self.user,
            origin=self.origin,
            time_s=self.visits.time_s[self.at],
        )

    def known_places(self) -> tuple[Index, Index]:
        """Every place that each request's user had visited before: rows and places, by row."""
        rows, positions = self.visits.by_user.before(self.user, self.at)
        return rows, self.visits.place[positions]
