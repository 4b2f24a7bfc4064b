"""How far two orders of places differ."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Between an answer and what the other pair would have answered.

    Attributes:
        overlap: share of the answer's places that the other has too, 0 to 1.
        distance: Spearman's footrule, 0 (the same order) to 1 (no place in common).
        same_top: whether both begin with the same place.
    """

    overlap: float
    distance: float
    same_top: bool


def difference(answered: Sequence[str], other: Sequence[str]) -> Difference:
    """Compare two lists of distinct places, best first.

    A place that a list lacks counts as standing just behind its end: Fagin, Kumar, Sivakumar,
    "Comparing top k lists", SIAM J. Discrete Mathematics 2003, F^(k+1); divided by its most.
    """
    if not answered or not other:
        alike = len(answered) == len(other)
        return Difference(float(alike), float(not alike), alike)
    ends = (len(answered), len(other))
    first, second = ({place: i for i, place in enumerate(it)} for it in (answered, other))
    moved = sum(
        abs(first.get(place, ends[0]) - second.get(place, ends[1])) for place in {*first, *second}
    )
    shared = len(first.keys() & second.keys())
    return Difference(
        overlap=shared / len(answered),
        distance=moved / _most(*ends),
        same_top=answered[0] == other[0],
    )


def _most(m: int, k: int) -> float:
    """The footrule of lists of m and k places that share none."""
    return sum(abs(i - k) for i in range(m)) + sum(abs(m - i) for i in range(k))
