"""How much more (or less) some places appeal to the newest choices than the networks think.

The networks learn of places that nobody has visited from months in which there were many of them.
What draws people to the few that have just opened is seen in the newest choices alone, and there
in few of them: one number, held near 0 by a prior, is as much as these can tell.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logsumexp

#: Standard deviation of the prior: a factor of e in the odds either way is nothing unusual.
PRIOR_SD = 1.0
MOST = 4.0


def appeal(
    logits: NDArray[np.floating],
    marked: NDArray[np.bool_],
    cells: NDArray[np.integer],
    expected: NDArray[np.floating],
) -> float:
    """What to add to the logits of marked places: the mode of its posterior.

    Maximises the likelihood of the choices under the softmax over each set, corrected for how it
    was drawn (see `models.choice_sets`), times a normal prior.

    Args:
        logits: float[n], of n places in m sets.
        marked: bool[n], of which the number is sought.
        cells: int[n, 2], set and place of each; place 0 was chosen.
        expected: float[m, SET], log of how often each place is expected in its set.
    """
    request, place = cells.T
    corrected = np.full(expected.shape, -np.inf)
    corrected[request, place] = logits.astype(np.float64) - expected[request, place]
    of_marked = np.full(expected.shape, -np.inf)
    of_marked[request[marked], place[marked]] = corrected[request[marked], place[marked]]
    some = np.isfinite(of_marked).any(axis=1)
    if not some.any():
        return 0.0
    # Of each set only the odds of its marked places together count, and whether one was chosen.
    with np.errstate(divide="ignore"):
        odds = logsumexp(of_marked[some], axis=1) - _others(corrected[some], of_marked[some])
    chosen = np.isfinite(of_marked[some, 0])

    def loss(added: float) -> float:
        share = expit(odds + added)
        lost = -np.log(np.where(chosen, share, 1.0 - share) + 1e-12).sum()
        return float(lost + 0.5 * (added / PRIOR_SD) ** 2)

    return float(minimize_scalar(loss, bounds=(-MOST, MOST), method="bounded").x)


def _others(every: NDArray[np.float64], marked: NDArray[np.float64]) -> NDArray[np.float64]:
    """log of the sum over the places that are not marked."""
    rest: NDArray[np.float64] = logsumexp(np.where(np.isfinite(marked), -np.inf, every), axis=1)
    return rest
