"""Of which moments sets are made: who teaches and who judges, who lags, who is a stranger.

It is settled by the log and the settings alone, before any feature is known, so that whoever makes
the sets makes the same ones.
"""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Settings
from models.dataset import part, pick, situations
from models.moments import Moments
from online_features.catalogue import Catalogue
from online_features.columns import EventColumns
from online_features.context import ContextLog, Situation
from online_features.rings import DAY_S, HOUR_S

#: Most choice sets to judge by, out of a large validation part.
MOST_HELD = 2_000
#: The first choices of a log know too little of their users to be like those to come.
SKIPPED = 0.15


#: So many of the sets know nothing of the newest up to so many days: the stream may lag behind,
#: and what is left then (where, when, the habits of last month) must be read rightly, too.
LAGGING, MOST_LAG_S = 0.08, 36 * DAY_S
#: So many are asked as if by somebody who is here for the first time; drawn from those that so
#: long a pause went before, since nobody comes in the middle of an outing.
STRANGERS, STRANGER, PAUSE_S = 0.05, np.uint64(0), 12 * HOUR_S
Log = TypeVar("Log", bound=EventColumns)


@dataclass(frozen=True)
class SetPlan:
    """The choice sets of a training.

    Attributes:
        moments: of the sets; those that teach ascend by what they know of the log, then those that
            judge.
        at: situation of each.
        teach: the first so many teach, the others judge.
        judged_s: when the first that judges was asked, Unix seconds.
        rng: draws the places that were not chosen.
    """

    moments: Moments
    at: Situation
    teach: int
    judged_s: float
    rng: np.random.Generator


def plan_of_log(
    log: Log, catalogue: Catalogue, context: ContextLog, settings: Settings
) -> tuple[Log, SetPlan]:
    """What a training on a log with these settings may learn from, and the sets it would make.

    Raises:
        TooFewEvents: a part would be too small.
    """
    rng = np.random.default_rng(settings.seed)
    parted = part(log, catalogue, rng, max_events=settings.train_max_rows)
    moments, known = parted.of(0, 1), before_test(log, parted.of(2))
    at = situations(context, catalogue, moments, stale_s=settings.context_stale_s)
    return known, plan_sets(known, moments, at, len(parted.of(0)), settings)


def before_test(events: Log, test: Moments) -> Log:
    """What lies before a test part: what is judged in the end must be known to no model."""
    return events.take(slice(0, int(test.before.min()))) if len(test) else events


def both(one: Situation, other: Situation) -> Situation:
    """Situations, then others."""
    columns = {
        f.name: np.concatenate([getattr(one, f.name), getattr(other, f.name)])
        for f in fields(Situation)
    }
    return Situation(**columns)


def plan_sets(
    events: EventColumns, moments: Moments, at: Situation, train: int, settings: Settings
) -> SetPlan:
    """Choose the moments of which sets are made.

    Args:
        events: all that may be learned from, see `before_test`.
        moments: of the train part, then of the validation part.
        at: situation of each.
        train: moments of the train part.
        settings: the seed, and how many to take.
    """
    rng = np.random.default_rng(settings.seed)
    learn, judge = _chosen(moments, train, settings.train_sets, rng)
    before = _lagging(events, moments.take(learn), rng)
    order = np.argsort(before, kind="stable")
    kept = np.r_[learn[order], judge]
    known = np.r_[before[order], moments.before[judge]]
    held = np.arange(len(kept)) >= len(learn)
    strange = _drawn(_begins(moments)[kept] & ~held, STRANGERS * len(kept), rng)
    user = np.where(strange, STRANGER, moments.user[kept])
    return SetPlan(
        moments=replace(moments.take(kept), before=known, user=user),
        at=pick(at, kept),
        teach=len(learn),
        judged_s=float(moments.time_s[judge].min(initial=np.inf)),
        rng=rng,
    )


def _chosen(
    moments: Moments, validation: int, most: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which moments teach and which judge: the newest of the validation part, if it is large.

    What became known only after the first that judges does not teach.
    """
    first = max(validation, len(moments) - MOST_HELD)
    known = moments.known_s[:first] <= moments.time_s[first:].min(initial=np.inf)
    known[: int(SKIPPED * validation)] = False
    teach = np.flatnonzero(known)
    return (
        np.sort(rng.choice(teach, min(most, len(teach)), replace=False)),
        np.arange(first, len(moments)),
    )


def _drawn(among: NDArray[np.bool_], most: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """So many of the marked ones, or all, by chance; bool[m]."""
    share = most / max(int(among.sum()), 1)
    drawn: NDArray[np.bool_] = among & (rng.random(len(among)) < share)
    return drawn


def _begins(moments: Moments) -> NDArray[np.bool_]:
    """Which moments follow a pause of their user, or are the first; bool[m]."""
    order = np.lexsort((moments.time_s, moments.user))
    user, time_s = moments.user[order], moments.time_s[order]
    goes_on = (user[1:] == user[:-1]) & (time_s[1:] - time_s[:-1] < PAUSE_S)
    begins = np.ones(len(order), bool)
    begins[order[1:]] = ~goes_on
    return begins


def _lagging(events: EventColumns, moments: Moments, rng: np.random.Generator) -> NDArray[np.int64]:
    """What each moment knows of the log, for some less than there was; int64[m]."""
    lag_s = MOST_LAG_S * rng.random(len(moments))
    behind = np.searchsorted(events.time_s, moments.time_s - lag_s)
    lags = rng.random(len(moments)) < LAGGING
    return np.where(lags, np.minimum(behind, moments.before), moments.before)
