"""Ranks of the true next place: ties at their expected rank, what is not listed at infinity."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.quality.methods import Method
from models.quality.requests import Mode, Requests

Index = NDArray[np.int64]
Floats = NDArray[np.float64]
#: Scores held at once, 8 bytes each.
_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Ranks:
    """Ranks of the targets of r requests, 1 is best.

    Attributes:
        all: float64[r], among all places.
        discover: float64[r], with the places that the user knows taken out; NaN where the
            target is one of them.
    """

    all: Floats
    discover: Floats


def rank_of(scores: NDArray[np.floating], target: Index) -> Floats:
    """Expected rank of a place in each row of scores: better ones, and half of its equals.

    Args:
        scores: float[r, places], higher is better; -inf is not in the ranking.
        target: int64[r].

    Returns:
        float64[r], infinite where the target is not in the ranking.
    """
    own = scores[np.arange(len(target)), target][:, None]
    better = (scores > own).sum(axis=1)
    equal = (scores == own).sum(axis=1)
    return np.where(np.isneginf(own[:, 0]), np.inf, better + (1 + equal) / 2)


def rank_in_lists(rows: Index, scores: NDArray[np.floating], target: Index) -> Floats:
    """Expected rank of a place in a list of each request.

    Args:
        rows: int64[r, k], places; -1 pads.
        scores: float[r, k], higher is better; -inf where padded.
        target: int64[r].

    Returns:
        float64[r], infinite where the target is not in the list.
    """
    hit = (rows == target[:, None]) & (rows >= 0)
    found = hit.any(axis=1)
    own = np.where(hit, scores, -np.inf).max(axis=1, initial=-np.inf)[:, None]
    better = (scores > own).sum(axis=1)
    equal = ((scores == own) & (rows >= 0)).sum(axis=1)
    return np.where(found, better + (1 + equal) / 2, np.inf)


def rank_all(method: Method, requests: Requests, mode: Mode) -> Ranks:
    """Ranks that a method gives to the targets, over all places."""
    questions, target, is_new = requests.questions(mode), requests.target, requests.is_new
    every = np.empty(len(requests))
    discover = np.full(len(requests), np.nan)
    step = max(1, _AT_ONCE // requests.visits.places)
    for start in range(0, len(requests), step):
        part = np.arange(start, min(start + step, len(requests)))
        scores = method.score(questions.take(part))
        every[part] = rank_of(scores, target[part])
        fresh = is_new[part]
        left = scores[fresh]
        rows, places = requests.take(part[fresh]).known_places()
        left[rows, places] = -np.inf
        discover[part[fresh]] = rank_of(left, target[part[fresh]])
    return Ranks(every, discover)
