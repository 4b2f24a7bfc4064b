"""Did the users fall to the variants as they were meant to? If not, nothing else can be trusted.

A sample-ratio mismatch has a cause (a variant that crashes, answers that are not logged, users who
leave), and that cause most likely moves the metrics too. The test is sequential: it may be looked
at after every user.

Source: Lindon, Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022: the Bayes
factor of a Dirichlet mixture around the intended shares, against those shares. Under them it is a
martingale that begins at 1, so that the chance that it ever reaches 1 / alpha is at most alpha.
"""

import math
from collections.abc import Sequence

#: The mixture's weight in users: it looks closest at deviations near 1 / sqrt of this.
WEIGHT = 1_000.0
#: A mismatch ends an experiment, so it must be beyond doubt.
ALPHA = 0.001


def mismatch_p(counts: Sequence[int], shares: Sequence[float], weight: float = WEIGHT) -> float:
    """Always-valid p-value of "users fell to variants with these shares".

    Args:
        counts: users by variant.
        shares: intended, each above 0, 1 in all.
        weight: of the mixture.

    Raises:
        ValueError: the shares are not shares.
    """
    if len(counts) != len(shares) or min(shares) <= 0 or not math.isclose(sum(shares), 1.0):
        raise ValueError(f"shares {list(shares)} of {len(counts)} variants")
    log_factor = math.lgamma(weight) - math.lgamma(weight + sum(counts))
    for count, share in zip(counts, shares, strict=True):
        log_factor += math.lgamma(weight * share + count) - math.lgamma(weight * share)
        log_factor -= count * math.log(share)
    return math.exp(min(0.0, -log_factor))
