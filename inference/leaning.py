"""What the ranker's score of a place owes to what a reason speaks of: occlusion.

A place's row is copied with a reason's inputs as they are of the usual candidate of the request;
by how much the score falls is what the reason weighs. What is as usual cannot set a place apart,
and its reason weighs nothing.

Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014
(occlusion); as a difference of predictions by groups of inputs: Robnik-Sikonja and Kononenko,
"Explaining Classifications For Individual Instances", IEEE TKDE 2008. Of inputs that stand in for
each other neither is missed, so a reason may weigh less than it tells, and is then left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inference.reason_groups import GROUPS, Group
from inference.reasons import Reason

Floats = NDArray[np.float32]
#: Among fewer places than this none is the usual one.
LEAST_PLACES = 5
#: Of the spread of the candidates' scores (standard deviation), what a reason weighs at the least.
#: A choice: a twentieth of what candidates differ by is no answer to "why this one".
LEAST_RATIO = 0.05


@dataclass(frozen=True)
class Inputs:
    """What the ranker reads of n places.

    Attributes:
        features: float32[n, RANKING_COLUMNS].
        parts: float32[n, PARTS]; rows of NaN where the candidate model told nothing.
    """

    features: Floats
    parts: Floats

    def usual(self) -> "Inputs":
        """The median of each input, one row; NaN for the parts where nothing was told at all."""
        told = self.parts[~np.isnan(self.parts).any(axis=1)]
        parts = np.median(told, axis=0) if len(told) else np.full(self.parts.shape[1], np.nan)
        return Inputs(np.median(self.features, axis=0)[None], parts.astype(np.float32)[None])

    def occluded(self, copies: Sequence[tuple[int, Group]], usual: "Inputs") -> "Inputs":
        """A copy of a place for each of some groups, with that group as usual.

        What was not told of a place stays untold: the ranker has its own stand-in for it.
        """
        at = np.array([place for place, _ in copies], np.int64)
        features, parts = self.features[at], self.parts[at]
        untold = np.isnan(parts)
        for i, (_, group) in enumerate(copies):
            features[i, group.column_at] = usual.features[0, group.column_at]
            parts[i, group.part_at] = usual.parts[0, group.part_at]
        parts[untold] = np.nan
        return Inputs(features, parts)


def leaned_on(held: Sequence[Reason], falls: Iterator[float], least: float) -> list[Reason]:
    """The reasons of one place that its score owes more than `least` to, each with its weight.

    Args:
        held: reasons that are true, in the order of the rules.
        falls: by how much the score falls without the group of each; as many are taken.
        least: in units of the score.
    """
    weights: dict[str, float] = {}
    for reason in held:
        weight = next(falls) - weights.get(GROUPS[reason.code].beyond, 0.0)
        if weight > least:
            weights[reason.code] = weight
    return [replace(r, weight=weights[r.code]) for r in held if r.code in weights]
