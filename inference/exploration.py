"""A few slots of an answer for places of which little is known: Thompson sampling.

Source: Chapelle and Li, "An Empirical Evaluation of Thompson Sampling", NIPS 2011. The click rate
of a place has a Beta posterior: its clicks and views of 28 days, on the prior that the feature
`click_ratio` has too. A rate is drawn for each place of the pool, and the highest take the
slots: a place that was hardly shown draws widely, so it gets its chances, and one that was
shown often and left alone gets none.

What training needs to correct for this is the chance that a place had of being shown. It is worked
out, not counted: the place with rate x is shown if fewer than `slots` others drew more,

    P(shown) = integral of density(x) * P(others above x < slots) dx,

where the number of others above x is Poisson-binomial.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from inference.query import Query
from online_features.definitions import CLICKS
from online_features.rings import States

Values = NDArray[np.float64]

#: Best places behind the answer's own that a slot may go to: still plausible ones.
POOL = 30
#: More views than these count as these, so that an old habit can still be unlearnt.
MOST_VIEWS = 2_000.0
#: Cells of the integral. They are even in the angle whose squared sine is the rate, where every
#: Beta of n observations is about 1 / (2 sqrt(n)) wide: the narrowest has four cells to a sigma.
CELLS = 512
_EDGES = np.sin(np.linspace(0.0, np.pi / 2, CELLS + 1)) ** 2


@dataclass(frozen=True)
class Tries:
    """How often places were shown to somebody, and what came of it, over 28 days.

    Attributes:
        clicks: float64[n].
        views: float64[n], at least as many.
    """

    clicks: Values
    views: Values

    @classmethod
    def of(cls, places: States, now_s: float) -> "Tries":
        """Read them from the states of places, [n], at a moment."""
        moments = np.full(len(places), now_s)
        clicks, views = CLICKS.counts(places["click_ratio"], moments)
        return cls(clicks[:, 0], views[:, 0])

    def at(self, places: NDArray[np.int64]) -> "Tries":
        """Those of some places."""
        return Tries(self.clicks[places], self.views[places])

    def beta(self) -> tuple[Values, Values]:
        """Parameters of each place's posterior."""
        fewer = np.minimum(1.0, MOST_VIEWS / np.maximum(self.views, 1.0))
        clicks, views = self.clicks * fewer, self.views * fewer
        prior, weight = CLICKS.prior, CLICKS.prior_weight
        return clicks + prior * weight, views - clicks + (1 - prior) * weight


def slots_of(query: Query) -> int:
    """Slots of an answer that explore: as many as are wanted, but never more than half of it."""
    return min(query.explore_slots, query.limit // 2)


def explore(tries: Tries, slots: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], Values]:
    """Choose places for some slots.

    Args:
        tries: of the pool, n places.
        slots: how many to choose.
        rng: where the rates are drawn from.

    Returns:
        Positions in the pool int64[min(slots, n)], the highest draw first, and the chance that
        each had of being among them.
    """
    drawn = rng.beta(*tries.beta())
    chosen = np.argsort(-drawn, kind="stable")[:slots]
    return chosen, chances(tries, slots)[chosen]


def chances(tries: Tries, slots: int) -> Values:
    """The chance of each place of a pool of being chosen for one of the slots, float64[n]."""
    a, b = tries.beta()
    if len(a) <= slots:
        return np.ones(len(a))
    below = betainc(a[:, None], b[:, None], _EDGES[None, :])
    above = 1.0 - (below[:, 1:] + below[:, :-1]) / 2
    few_others = _fewer_of_the_others(above, slots)
    # A sum of many roundings may pass 1 by some of them, or come to nothing; a propensity may not.
    sums: Values = (np.diff(below, axis=1) * few_others).sum(axis=1)
    return sums.clip(np.finfo(np.float64).tiny, 1.0)


def _fewer_of_the_others(above: Values, slots: int) -> Values:
    """For each place i, the chance that fewer than `slots` of the others are above; [n, cells].

    Counts of the places before i and of those after i, each by adding one place at a time.
    """
    n, cells = above.shape
    before, after = np.zeros((n + 1, slots, cells)), np.zeros((n + 1, slots, cells))
    before[0, 0], after[n, 0] = 1.0, 1.0
    for i in range(n):
        before[i + 1] = _with_one_more(before[i], above[i])
        after[n - 1 - i] = _with_one_more(after[n - i], above[n - 1 - i])
    # At most slots - 1 together: k before i, and up to slots - 1 - k after it.
    at_most = np.cumsum(after[1:], axis=1)[:, ::-1]
    together: Values = (before[:-1] * at_most).sum(axis=1)
    return together


def _with_one_more(counts: Values, chance: Values) -> Values:
    """Distribution of a count [slots, cells] after one more place that is above by some chance."""
    more = counts * (1.0 - chance)
    more[1:] += counts[:-1] * chance
    return more
