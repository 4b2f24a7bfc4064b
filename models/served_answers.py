"""What answers showed, place by place: the rows that drift is judged by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Answers:
    """What n answers showed, k places in all, answer by answer.

    Attributes:
        values: float[k, F], a row a place.
        first: int64[n + 1], where the places of each answer begin; none is empty.
        time_s: float64[n], Unix seconds.
        user: uint64[n], hash of the user.
        error: float64[n], see `error_of`; NaN where nothing shown was chosen. None: unknown.
    """

    values: Floats
    first: NDArray[np.int64]
    time_s: NDArray[np.float64]
    user: NDArray[np.uint64]
    error: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.time_s)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """All answers of some parts, one part after another; errors are known or not of all."""
        ends = np.cumsum([0, *(len(part.values) for part in parts)])
        starts = [part.first[:-1] + at for part, at in zip(parts, ends[:-1], strict=True)]
        errors = [part.error for part in parts if part.error is not None]
        return cls(
            values=np.concatenate([part.values for part in parts]),
            first=np.concatenate([*starts, ends[-1:]]).astype(np.int64),
            time_s=np.concatenate([part.time_s for part in parts]),
            user=np.concatenate([part.user for part in parts]),
            error=np.concatenate(errors) if len(errors) == len(parts) else None,
        )

    def drawn(self, rng: np.random.Generator) -> Floats:
        """One place of each answer, drawn evenly: float[n, F]."""
        count = np.diff(self.first)
        return self.values[self.first[:-1] + (rng.random(len(self)) * count).astype(np.int64)]

    def part(self, begin: int, end: int) -> Self:
        """Some of the answers, in a row."""
        rows = slice(self.first[begin], self.first[end])
        first = self.first[begin : end + 1] - self.first[begin]
        error = None if self.error is None else self.error[begin:end]
        times, users = self.time_s[begin:end], self.user[begin:end]
        return type(self)(self.values[rows], first, times, users, error)


def error_of(
    probability: Floats, chosen: NDArray[np.bool_], first: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How wrong each answer was, float64[n] in [0, 1]; NaN where nothing shown was chosen.

    One less the chance that the model gave the chosen place, were one of those shown to be chosen:
    its probability over the sum of theirs.

    Args:
        probability: float[k], of the places shown, answer by answer.
        chosen: bool[k], at most one an answer.
        first: int64[n + 1], where each answer begins.
    """
    total = np.add.reduceat(probability.astype(np.float64), first[:-1])
    right = np.add.reduceat(np.where(chosen, probability, 0.0), first[:-1])
    any_chosen = np.add.reduceat(chosen.astype(np.int64), first[:-1]) > 0
    return np.where(any_chosen, 1 - right / np.maximum(total, 1e-12), np.nan)
