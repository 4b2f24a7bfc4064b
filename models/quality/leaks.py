"""Catching a ranker that knows what it cannot know: its answer must not depend on the future."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.quality.requests import Questions
from models.quality.visits import VisitLog

Answer = Callable[[Questions], NDArray[Any]]


class Leak(ValueError):
    """A ranker answered otherwise when only the future had changed."""


def another_future(visits: VisitLog, known: int, rng: np.random.Generator) -> VisitLog:
    """The same visits up to a position; from there on random users at random places."""
    rest = len(visits) - known
    return replace(
        visits,
        user=np.r_[visits.user[:known], rng.integers(0, visits.users, rest)],
        place=np.r_[visits.place[:known], rng.integers(0, visits.places, rest)],
    )


def check_no_leak(
    name: str,
    answer: Answer,
    questions: Questions,
    most: int,
    seed: int,
    *,
    tolerance: float = 0.0,
) -> None:
    """Ask some of the questions twice, the second time with another future.

    Args:
        name: of the ranker, for the message.
        answer: what it says to questions; it may look at `Questions.visits`.
        questions: of which up to `most` are drawn.
        most: how many to try.
        seed: of the draws and of the other futures.
        tolerance: by how much a number may differ and still be the same.

    Raises:
        Leak: an answer changed.
    """
    rng = np.random.default_rng(seed)
    for row in np.sort(rng.permutation(len(questions))[:most]).tolist():
        one = questions.take(np.array([row]))
        known = int(one.known[0])
        changed = replace(one, visits=another_future(one.visits, known, rng))
        if not np.allclose(answer(one), answer(changed), rtol=0.0, atol=tolerance):
            raise Leak(f"{name} peeks: its answer to request {row} changes with what comes after")
