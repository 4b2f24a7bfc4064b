"""Comparing two variants while people keep looking: intervals that hold at every moment at once.

The unit is the user, since users are what was assigned: one user's answers resemble each other,
and to count each as evidence of its own would find differences where there are none. A variant is
therefore known by sums over its users (`Arm`), and a rate (events per answer) has the variance of
a ratio of two per-user means, linearised (Deng, Knoblich, Lu, "Applying the delta method in metric
analytics", KDD 2018).

The interval is the mixture sequential probability ratio test turned round: with a normal mixture of
scale tau over the effect, and an estimate e of variance V, all effects d are kept for which

    |e - d| <= sqrt(V (V + tau^2) / tau^2 * log((V + tau^2) / (V alpha^2)))

(Johari, Koomen, Pekelis, Walsh, "Always valid inference: continuous monitoring of A/B tests",
Operations Research 2022, eq. 8 and 9). With V estimated this is the asymptotic confidence sequence
of Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences", Annals of Statistics 2024, theorem 2.2, for t = 1 / V. Looking daily or every
second, the chance that the truth is ever outside is at most alpha.

Those papers add one new observation a step; here known users also come back and add to their sums.
What a user adds goes the way of what they did before, so the estimates of two moments are at least
as alike as those papers reckon with, and a process whose moments are more alike crosses a boundary
less often (Slepian's inequality, 1962): the interval errs on the safe side. `python -m
benchmarks.experiments` shows both by simulation.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]

#: An interval of fewer users is none: their mean is not normal yet.
LEAST_USERS = 100
#: ... and so is the logarithm of a rate that fewer users have contributed to.
LEAST_EVENTS = 30


@dataclass(frozen=True)
class Arm:
    """The users of one variant, as sums over them of what each did: y events in n answers.

    Attributes:
        users: how many have at least one answer.
        n, y, nn, ny, yy: sums of n, y, n^2, n y, y^2.
    """

    users: float = 0
    n: float = 0
    y: float = 0
    nn: float = 0
    ny: float = 0
    yy: float = 0

    @classmethod
    def of(cls, n: Counts, y: Counts) -> Self:
        """The sums of users of whom each had n answers and y events: float64[users] both."""
        seen = n > 0
        n, y = n[seen], y[seen]
        return cls(len(n), *(float(s) for s in (n.sum(), y.sum(), n @ n, n @ y, y @ y)))

    def moved(self, before: tuple[float, float], after: tuple[float, float]) -> Self:
        """The sums once a user's (n, y) has changed; (0, 0) before the first answer."""
        (n0, y0), (n1, y1) = before, after
        return replace(
            self,
            users=self.users + (n1 > 0) - (n0 > 0),
            n=self.n + n1 - n0,
            y=self.y + y1 - y0,
            nn=self.nn + n1 * n1 - n0 * n0,
            ny=self.ny + n1 * y1 - n0 * y0,
            yy=self.yy + y1 * y1 - y0 * y0,
        )

    @property
    def rate(self) -> float:
        """Events per answer; NaN where there is no answer."""
        return self.y / self.n if self.n else math.nan

    @property
    def variance(self) -> float:
        """Variance of the rate, clustered by user; NaN below two users.

        At least what one user of usual size with an event more in every answer would make it: that
        k users had no event bounds its rate near 3 / k, and does not make it 0.
        """
        if self.users < 2:
            return math.nan
        rate, size = self.rate, self.n / self.users
        unlike = self.yy - 2 * rate * self.ny + rate * rate * self.nn
        return max(unlike / (size * size), 1.0) / (self.users * (self.users - 1))


@dataclass(frozen=True)
class Interval:
    """An effect with all effects that the data allow.

    Attributes:
        estimate, low, high: of the effect; infinite bounds where nothing can be said yet.
        p: always-valid p-value of "no effect".
    """

    estimate: float
    low: float
    high: float
    p: float = 1.0


NOTHING_KNOWN = Interval(math.nan, -math.inf, math.inf)


@dataclass(frozen=True)
class Metric:
    """What two variants are compared by.

    Attributes:
        name: as reports and settings call it.
        scale: whether the effect is relative to the control (-0.05: a twentieth less) or absolute.
        good: whether more of it is `"more"` or `"less"` welcome.
        margin: a change for the worse up to this is borne; also the scale tau of the mixture, for
            which the interval is narrowest about when it can tell a change of this size.
    """

    name: str
    scale: Literal["relative", "absolute"]
    good: Literal["more", "less"]
    margin: float


def compare(metric: Metric, control: Arm, treated: Arm, alpha: float) -> Interval:
    """The effect of the treatment on a metric, with its always-valid interval.

    Args:
        metric: what is compared.
        control, treated: sums over the users of either variant.
        alpha: chance that the truth is ever outside.
    """
    if min(control.users, treated.users) < LEAST_USERS:
        return NOTHING_KNOWN
    if metric.scale == "absolute":
        variance = control.variance + treated.variance
        return _mixture(treated.rate - control.rate, variance, metric.margin, alpha)
    if min(control.y, treated.y) < LEAST_EVENTS:
        return NOTHING_KNOWN
    variance = sum(arm.variance / arm.rate**2 for arm in (control, treated))
    log = _mixture(math.log(treated.rate / control.rate), variance, metric.margin, alpha)
    return Interval(math.expm1(log.estimate), math.expm1(log.low), math.expm1(log.high), log.p)


def _mixture(estimate: float, variance: float, tau: float, alpha: float) -> Interval:
    """The interval of the module's first words; variance and tau above 0."""
    both = variance + tau * tau
    half = math.sqrt(variance * both / tau**2 * math.log(both / (variance * alpha * alpha)))
    # The logarithm of the mixture's likelihood ratio against "no effect" (eq. 8).
    ratio = 0.5 * math.log(variance / both) + tau**2 * estimate**2 / (2 * variance * both)
    return Interval(estimate, estimate - half, estimate + half, math.exp(min(0.0, -ratio)))
