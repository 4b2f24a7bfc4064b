"""`placestream skew`: were answers made from the features that the archive says they should be?"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from contracts.settings import Settings
from online_features.request import RANKING_COLUMNS
from placestream.skew.logged import AnswerLog
from placestream.skew.recompute import recompute
from placestream.skew.report import Skew

DAY_S = 86_400.0


class NothingToCompare(RuntimeError):
    """There is no answer that could be compared; the message says why."""


@dataclass(frozen=True)
class Asked:
    """What is compared.

    Attributes:
        since_s: answers from this moment on, Unix seconds; `None`: of the last day.
        limit: at most so many, the newest.
        tolerance: relative difference up to which values are equal.
        in_flight_s: events received so near to an answer may or may not have been in it.
    """

    since_s: float | None = None
    limit: int = 2_000
    tolerance: float = 1e-5
    in_flight_s: float = 1.0


def run(settings: Settings, asked: Asked, clock: Callable[[], float] = time.time) -> Skew:
    """Compare logged with recomputed features.

    Raises:
        NothingToCompare: there is no answer in that time that can be compared.
        Unreadable: Kafka does not answer.
    """
    since_s = clock() - DAY_S if asked.since_s is None else asked.since_s
    with closing(AnswerLog(settings)) as log:
        # What Kafka receives from now on is not archived either, however it looks.
        until_s = min(log.archived_until_s(), clock()) - asked.in_flight_s
        answers = log.newest(since_s, until_s, asked.limit)
        skew = Skew(RANKING_COLUMNS, asked.tolerance, passed_over=dict(+log.passed_over))
    for answer in answers:
        skew.note(answer)
    if not answers:
        causes = ", ".join(f"{n} {cause}" for cause, n in sorted(skew.passed_over.items()))
        raise NothingToCompare(f"no answer of that time can be compared ({causes or 'none there'})")
    current = [answer for answer in answers if answer.current]
    if current:
        for part in recompute(
            settings.archive_dir,
            current,
            in_flight_s=asked.in_flight_s,
            stale_s=settings.context_stale_s,
        ):
            for i in np.unique(part.answer).tolist():
                mine = part.answer == i
                ways = [way[mine] for way in part.variants]
                skew.compare(current[i], part.position[mine], ways)
    return skew
