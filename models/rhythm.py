"""The hour of the week as a few smooth numbers, to tell rhythm from drift.

People eat at noon and dance on Saturday: what is served at one hour differs from what is served
at another, and none of that is drift. So a reference is no single distribution but one that
swings with the week, and what was served is compared with what the training says of those hours.

A share (of a bin, say) at time t is modelled as linear in a few functions of the hour of the week,

    share(t) = beta . phi(t)

which are the day's harmonics, whether it is the weekend, how the day's shape differs then, and
one slow harmonic of the week (harmonic regression; Young, Pedregal, Tych, "Dynamic harmonic
regression", J. Forecasting 18, 1999). Since it is linear, what is expected of many answers
together needs only the mean of their phi. And least squares says how well it is known: the
estimate at phi has the variance of a mean over 1 / (phi' S phi) answers, S the inverse of the Gram
matrix. Where the training saw nothing of those hours that number goes towards none, and no
difference from it is called drift.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY_S, WEEK_S = 86_400.0, 604_800.0
#: Harmonics of the day; of how its shape differs on a weekend; of the week.
DAILY, ON_WEEKENDS, WEEKLY = 3, 2, 1
#: A weekend begins and ends within so many seconds around midnight: zones differ by the season.
DUSK_S = 4 * 3_600.0
#: Harmonics are drawn towards none as by so many answers that show no rhythm.
PRIOR_ANSWERS = 10.0
Floats = NDArray[np.float64]


def rhythm(local_s: Floats) -> Floats:
    """Phi of n times: float64[n, K].

    Args:
        local_s: Unix seconds, shifted to the users' own clock: only then does the weekend begin
            where theirs does. (The rest of phi repeats alike in any zone.)
    """
    day, week = local_s / DAY_S, local_s / WEEK_S
    daily = _harmonics(day, DAILY)
    weekend = _weekend(local_s)[:, None]
    return np.concatenate(
        [
            np.ones((len(local_s), 1)),
            weekend,
            daily,
            weekend * daily[:, : 2 * ON_WEEKENDS],
            _harmonics(week, WEEKLY),
        ],
        axis=1,
    )


def _harmonics(turns: Floats, count: int) -> Floats:
    angle = 2 * np.pi * (turns % 1)[:, None]
    waves = [wave(k * angle) for k in range(1, count + 1) for wave in (np.cos, np.sin)]
    return np.concatenate(waves, axis=1)


def _weekend(local_s: Floats) -> Floats:
    """1 on Saturday and Sunday, 0 on other days, and between them around the two midnights."""
    # The epoch began on a Thursday: two days later it was Saturday.
    since_s = (local_s - 2 * DAY_S + WEEK_S / 2) % WEEK_S - WEEK_S / 2
    into, left = since_s / DUSK_S + 0.5, (2 * DAY_S - since_s) / DUSK_S + 0.5
    return np.minimum(into, left).clip(0, 1)


@dataclass(frozen=True)
class Swing:
    """Means that swing with the week, fitted to n answers.

    Attributes:
        beta: float64[K, d], of d quantities.
        spread: float64[K, K], inverse of the Gram matrix of the answers' phi, prior included.
    """

    beta: Floats
    spread: Floats

    @classmethod
    def of(cls, phi: Floats, values: NDArray[np.floating]) -> "Swing":
        """Least squares of `values` [n, d] on `phi` [n, K], harmonics held by a light prior."""
        prior = np.full(phi.shape[1], PRIOR_ANSWERS)
        prior[0] = 1e-9  # without a single answer there still is an inverse
        spread = np.linalg.inv(phi.T @ phi + np.diag(prior))
        return cls(np.asarray(spread @ (phi.T @ values.astype(np.float64))), np.asarray(spread))

    def at(self, phi: Floats) -> Floats:
        """What is expected: float64[..., d] of `phi` [..., K]."""
        expected: Floats = phi @ self.beta
        return expected

    def answers(self, phi: Floats) -> float:
        """So many answers of exactly these hours would tell as much; of one (mean) `phi` [K]."""
        return float(1 / (phi @ self.spread @ phi))
