"""Audits of every training, which they end: nothing may know what it is to foretell.

Whole answers are audited in every evaluation (`models.quality.leaks`).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.moments import Moments
from models.quality.leaks import Leak
from online_features.columns import EventColumns


@dataclass(frozen=True)
class Knowledge:
    """How much of a log something was learned from.

    Attributes:
        events: how many, from the first on.
        newest_s: time of the newest, Unix seconds; minus infinity if there was none.
    """

    events: int
    newest_s: float

    @classmethod
    def of(cls, log: EventColumns) -> Self:
        """All of a log that is sorted by time."""
        return cls(len(log), float(log.time_s[-1]) if len(log) else -np.inf)


def check_out_of_fold(knows: Knowledge, moments: Moments) -> None:
    """What describes moments was learned from what lies before all of them.

    Raises:
        Leak: it has counted an event that one of them does not know yet.
    """
    if not len(moments):
        return
    seen, since_s = int(moments.before.min()), float(moments.time_s.min())
    if knows.events > seen or knows.newest_s > since_s:
        raise Leak(
            f"tables of {knows.events} events, up to {knows.newest_s:.0f}, describe a moment that "
            f"knows {seen} events, at {since_s:.0f}"
        )


def check_labels(answered_s: NDArray[np.float64], window_s: float, until_s: float) -> None:
    """The labels of served answers were all known before a cut.

    Args:
        answered_s: float64[n], when each was served, Unix seconds.
        window_s: what comes of an answer comes within so long.
        until_s: the cut, Unix seconds.

    Raises:
        Leak: the window of one was not over.
    """
    late = int((answered_s + window_s >= until_s).sum())
    if late:
        raise Leak(f"{late} of {len(answered_s)} labels of served answers were not settled yet")


def check_parts(parts: Sequence[Moments]) -> None:
    """The choices of each part were asked, and known, before the next part begins.

    Raises:
        Leak: a choice lies in, or became known in, a later part.
    """
    for earlier, later in itertools.pairwise(part for part in parts if len(part)):
        begins_s = float(later.time_s.min())
        for what, times in (("asked", earlier.time_s), ("known", earlier.known_s)):
            late = int((times > begins_s).sum())
            if late:
                raise Leak(f"{late} of {len(earlier)} choices were {what} after their part's end")
