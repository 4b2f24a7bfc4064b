"""Parting the data by time: what is judged lies after all that was learned from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.moments import Moments


class TooFewEvents(ValueError):
    """The log holds too few choices to train and judge a model; the message says how many."""


@dataclass(frozen=True)
class Split:
    """Shares of the moments, oldest first: train, validation, and the rest for the test."""

    train: float = 0.8
    validation: float = 0.1
    least: int = 20

    def codes(self, moments: Moments) -> NDArray[np.int8]:
        """Part of each moment: 0 train, 1 validation, 2 test.

        A choice that became known only after the end of its part belongs to none (-1): its
        outcome is not known yet when the part ends.

        Raises:
            TooFewEvents: a part has under `least` moments.
        """
        shares = (self.train, self.train + self.validation)
        cuts = np.quantile(moments.time_s, shares) if len(moments) else np.zeros(2)
        asked = np.searchsorted(cuts, moments.time_s, side="right")
        known = np.searchsorted(cuts, moments.known_s, side="right")
        codes = np.where(asked == known, asked, -1).astype(np.int8)
        if min(np.count_nonzero(codes == part) for part in range(3)) < self.least:
            raise TooFewEvents(
                f"{len(moments)} visits and good ratings whose user's whereabouts are known: "
                f"train, validation and test need at least {self.least} each"
            )
        return codes


DEFAULT_SPLIT = Split()
