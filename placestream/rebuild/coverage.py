"""How far the archive reaches: up to where it is whole, and what neither it nor Kafka holds."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Coverage:
    """What can be folded of one partition of the interactions, and where the stream goes on.

    Attributes:
        end: archived events before this offset are folded here; the stream reads on from it.
        lost: spans [first, stop) of offsets that are in neither the archive nor Kafka, and that
            are no dead letters.
    """

    end: int
    lost: tuple[tuple[int, int], ...]


def cover(archived: NDArray[np.int64], letters: Collection[int], low: int) -> Coverage:
    """Find how far a partition can be folded from the archive.

    A bad event is in no archive but among the dead letters. The first other offset that is missing
    ends the stretch if Kafka still holds it: the stream reads on from there. What Kafka has given
    up is lost, and passed over.

    Args:
        archived: offsets in the archive, in any order.
        letters: offsets of the dead letters.
        low: first offset that Kafka holds.
    """
    known = np.unique(np.concatenate([archived, np.fromiter(letters, np.int64, len(letters))]))
    lost: list[tuple[int, int]] = []
    before = np.r_[-1, known]
    for hole in np.flatnonzero(np.diff(before) > 1).tolist():
        first, stop = int(before[hole]) + 1, int(before[hole + 1])
        if first < low:
            lost.append((first, min(stop, low)))
        if stop > low:
            return Coverage(max(first, low), tuple(lost))
    end = int(before[-1]) + 1
    if end < low:
        lost.append((end, low))
    return Coverage(max(end, low), tuple(lost))
