"""Two runs of choice sets as one, each ascending by what its sets know of the log."""

import functools
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from contracts.signatures import PARTS
from models.choice_sets import SET, ChoiceSets
from models.moments import Moments


def merged(one: Iterator[ChoiceSets], other: Iterator[ChoiceSets]) -> Iterator[ChoiceSets]:
    """All sets of both, ascending by `moments.before`; holds a block of each."""
    left, right = next(one, None), next(other, None)
    while left is not None and right is not None:
        end = min(left.moments.before[-1], right.moments.before[-1])
        (early, left), (also, right) = _cut(left, end), _cut(right, end)
        yield _together(early, also)
        left = left if len(left) else next(one, None)
        right = right if len(right) else next(other, None)
    for rest, run in ((left, one), (right, other)):
        if rest is not None:
            yield rest
            yield from run


def _cut(sets: ChoiceSets, end: int) -> tuple[ChoiceSets, ChoiceSets]:
    """The sets up to one that knows so many events, and those behind it."""
    at = int(np.searchsorted(sets.moments.before, end, side="right"))
    return sets.take(slice(0, at)), sets.take(slice(at, None))


def joined(blocks: Iterable[ChoiceSets]) -> ChoiceSets:
    """At least one block, each after the other; NaN where one was told nothing and another was."""
    several = list(blocks)
    arrays = {
        name: np.concatenate([getattr(block, name) for block in several])
        for name in ChoiceSets.ARRAYS
    }
    moments = functools.reduce(Moments.concat, (block.moments for block in several))
    silent = all(block.told is None for block in several)
    told = None if silent else np.concatenate([_told(block) for block in several])
    return ChoiceSets(**arrays, moments=moments, told=told)


def _together(one: ChoiceSets, other: ChoiceSets) -> ChoiceSets:
    """Two blocks as one, in order."""
    if not len(one) or not len(other):
        return one if len(one) else other
    both = joined([one, other])
    return both.take(np.argsort(both.moments.before, kind="stable"))


def _told(sets: ChoiceSets) -> NDArray[np.float16]:
    if sets.told is not None:
        return sets.told
    return np.full((len(sets), SET, len(PARTS)), np.nan, np.float16)
