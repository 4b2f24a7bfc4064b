"""A method and the ranks that it gave, and what they come to on every slice."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bootstrap import Interval
from models.quality.metrics import METRICS, NDCG, difference, per_request, summary
from models.quality.newcomers import Newcomers, newcomer_slices
from models.quality.ranks import Ranks
from models.quality.requests import MODES, Mode, Requests
from models.quality.slices import Slice, slices_of

Found = dict[str, dict[str, Interval]]
Floats = NDArray[np.float64]
Users = NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """One row of the table.

    Attributes:
        name: of the method.
        ours: whether it is the product, and not a baseline.
        ranks: of all requests, by mode.
        newcomers: ranks of the newcomers' requests, streamed, float64[s].
        facts: what else is worth telling: parameters, seconds.
        candidates: share of the targets that the candidate stage lets through, by mode, as
            `recall_all` and `recall_new`; empty for who has no such stage.
    """

    name: str
    ours: bool
    ranks: dict[Mode, Ranks]
    newcomers: NDArray[np.float64]
    facts: dict[str, Any] = field(default_factory=dict)
    candidates: dict[Mode, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Duel:
    """Ours against the best baseline of a slice.

    Attributes:
        slice: name of the slice.
        baseline: the one with the highest NDCG@10 there.
        by: how much higher ours is, metric by metric.
    """

    slice: str
    baseline: str
    by: dict[str, Interval]


class Verdict:
    """The slices of some requests, and every method's figures on them.

    Args:
        requests: those that all ranks speak of.
        newcomers: whose requests `Judged.newcomers` speaks of.
        seed: of the resampling.
    """

    def __init__(self, requests: Requests, newcomers: Newcomers, seed: int) -> None:
        self.requests, self.newcomers = requests, newcomers
        self._seed = seed
        self._newcomer_slices = newcomer_slices(newcomers)
        self._slices = slices_of(requests)

    @property
    def sizes(self) -> dict[str, int]:
        """How many requests each slice holds."""
        return {part.name: len(part.rows) for part in (*self._slices, *self._newcomer_slices)}

    def figures(self, judged: Judged, mode: Mode) -> Found:
        """Metrics with intervals by slice; those of newcomers are streamed in any mode."""
        return {
            part.name: summary(ranks, user, self._seed)
            for part, ranks, user in self._parts(judged, mode)
        }

    def duels(self, ours: Judged, baselines: list[Judged], mode: Mode) -> list[Duel]:
        """Ours against the best baseline, slice by slice."""
        theirs = [(b.name, [r for _, r, _ in self._parts(b, mode)]) for b in baselines]
        duels = []
        for i, (part, ranks, user) in enumerate(self._parts(ours, mode)):
            name, best = max(((n, r[i]) for n, r in theirs), key=lambda one: _ndcg(one[1]))
            duels.append(Duel(part.name, name, difference(ranks, best, user, self._seed)))
        return duels

    def _parts(self, judged: Judged, mode: Mode) -> list[tuple[Slice, Floats, Users]]:
        """Every slice with its ranks and who asked."""
        user, ranks = self.requests.user, judged.ranks[mode]
        parts = [(part, part.ranks(ranks), user[part.rows]) for part in self._slices]
        user = self.newcomers.requests.user
        return parts + [
            (part, judged.newcomers[part.rows], user[part.rows]) for part in self._newcomer_slices
        ]


def modes_of(judged: Judged) -> list[Mode]:
    """The modes that a method was judged in."""
    return [mode for mode in MODES if mode in judged.ranks]


def _ndcg(ranks: NDArray[np.float64]) -> float:
    return float(per_request(ranks)[:, METRICS.index(NDCG)].mean())
