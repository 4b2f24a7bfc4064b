"""Parting the data by time: what is judged lies after all that was learned from."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.moments import Moments


class TooFewEvents(ValueError):
    """The log holds too few choices to train and judge a model; the message says how many."""


class Parting(Protocol):
    """Tells which part a moment belongs to."""

    def codes(self, moments: Moments) -> NDArray[np.int8]:
        """Part of each moment: 0 train, 1 validation, 2 test, -1 none.

        But for those of none, they ascend as the moments do.

        Raises:
            TooFewEvents: a part that must not be empty holds too few.
        """


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


@dataclass(frozen=True)
class SplitAt:
    """Parts at a position of the log: train before it, validation from it on, no test.

    For an evaluation that keeps what it judges on out of the log altogether.
    """

    position: int
    least: int = 20

    def codes(self, moments: Moments) -> NDArray[np.int8]:
        """0 before the position, 1 from it on; -1 for a choice that became known across it.

        Raises:
            TooFewEvents: a part has under `least` moments.
        """
        codes = (moments.before >= self.position).astype(np.int8)
        begins_s = moments.time_s[codes == 1].min(initial=np.inf)
        codes[(codes == 0) & (moments.known_s > begins_s)] = -1
        if min(np.count_nonzero(codes == part) for part in (0, 1)) < self.least:
            raise TooFewEvents(
                f"{len(moments)} visits and good ratings whose user's whereabouts are known: "
                f"train and validation need at least {self.least} each"
            )
        return codes


DEFAULT_SPLIT = Split()
