"""What the user's last events tell of one place.

The ranker's columns sum up what a sentence must tell apart: there a rating weighs as a visit does,
and having been at a place as a look at it. So what a reason claims of the past is looked up here.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from inference.person import Person
from online_features.catalogue import Catalogue
from online_features.columns import CLICK, VIEW, VISIT
from online_features.definitions import VISITS_KEPT

Mask = NDArray[np.bool_]

#: Visits at most so many hours from this one's hour of the day make a habit.
USUAL_HOURS = 2.0
#: What is at most so long ago was just now, seconds: as long as the ranker's intent takes to fade.
JUST_S = 1_800.0


@dataclass(frozen=True)
class PlacePast:
    """One place in the history of a user.

    Attributes:
        row: of the place in the catalogue.
        now_s: moment of the request, Unix seconds.
    """

    person: Person
    catalogue: Catalogue
    row: int
    now_s: float

    @cached_property
    def visits_s(self) -> list[float]:
        """When the user was here, Unix seconds, newest first; a rating is no visit."""
        at_s: list[float] = self.person.history.time_s[0][self._here & self._is_visit].tolist()
        return at_s

    @property
    def reaches_back(self) -> bool:
        """Whether the history still holds the user's first visit; else there were others before."""
        return len(self.person.visits) < VISITS_KEPT

    @property
    def just_looked(self) -> bool:
        """Whether the user has looked at it just now; having been there is something else."""
        return bool((self._here & self._just & np.isin(self._kind, (VIEW, CLICK))).any())

    @cached_property
    def visits_like_now(self) -> list[datetime]:
        """Visits here around this hour of the day, on the place's own clock; none without one."""
        if self.catalogue.column("zone")[self.row] < 0:
            return []
        now = self.catalogue.local_time(self.row, self.now_s)
        visits = [self.catalogue.local_time(self.row, at_s) for at_s in self.visits_s]
        return [v for v in visits if _hours_apart(v, now) <= USUAL_HOURS]

    def visits_of_kind(self) -> tuple[int, int]:
        """How many of the user's visits were here or at others of its category; and of how many."""
        alike = int((self._alike & self._is_visit).sum())
        return len(self.visits_s) + alike, int(self._is_visit.sum())

    def just_alike(self) -> tuple[str, int] | None:
        """What the user has just done at another place of its category: its name, if any, and the
        kind of event."""
        return self._newest(self._just)

    def visited_alike(self) -> str:
        """Name of the other place of its category that the user was at last; empty for none."""
        newest = self._newest(self._is_visit)
        return newest[0] if newest is not None else ""

    @property
    def _kind(self) -> NDArray[np.int8]:
        kind: NDArray[np.int8] = self.person.history.kind[0]
        return kind

    @property
    def _is_visit(self) -> Mask:
        visit: Mask = self._kind == VISIT
        return visit

    @property
    def _just(self) -> Mask:
        just: Mask = self.person.history.time_s[0] >= self.now_s - JUST_S
        return just

    @cached_property
    def _here(self) -> Mask:
        here: Mask = self.person.history.ids[0] == self.catalogue.hash[self.row]
        return here

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        return self.catalogue.rows_of(self.person.history.ids[0])

    @cached_property
    def _alike(self) -> Mask:
        """Which events were at other places of its category."""
        category = self.catalogue.category
        own = int(category[self.row])
        same: Mask = (category[self._rows] == own) & (own >= 0)
        return same & (self._rows >= 0) & ~self._here

    def _newest(self, among: Mask) -> tuple[str, int] | None:
        """Name, if any, and kind of the newest event, of some, at another of its category."""
        alike = self._alike & among
        if not alike.any():
            return None
        newest = int(alike.argmax())
        return self.catalogue.names[int(self._rows[newest])] or "", int(self._kind[newest])


def _hours_apart(a: datetime, b: datetime) -> float:
    hours = abs((a.hour + a.minute / 60) - (b.hour + b.minute / 60))
    return min(hours, 24 - hours)
