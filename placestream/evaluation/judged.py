"""A method and the ranks that it gave, and what they come to on every slice."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bootstrap import Interval
from models.quality.metrics import METRICS, NDCG, difference, per_request, summary
from models.quality.ranks import Ranks
from models.quality.requests import MODES, Mode, Requests
from models.quality.slices import STRANGERS, Slice, slices_of

Found = dict[str, dict[str, Interval]]


@dataclass(frozen=True)
class Judged:
    """One row of the table.

    Attributes:
        name: of the method.
        ours: whether it is the product, and not a baseline.
        ranks: of all requests, by mode.
        strangers: ranks of the strangers' requests, float64[s].
        facts: what else is worth telling: parameters, candidate recall, seconds.
    """

    name: str
    ours: bool
    ranks: dict[Mode, Ranks]
    strangers: NDArray[np.float64]
    facts: dict[str, Any] = field(default_factory=dict)


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
        strangers: those that `Judged.strangers` speaks of.
        seed: of the resampling.
    """

    def __init__(self, requests: Requests, strangers: Requests, seed: int) -> None:
        self.requests, self.strangers = requests, strangers
        self._seed = seed
        self._slices = slices_of(requests)

    @property
    def sizes(self) -> dict[str, int]:
        """How many requests each slice holds."""
        sizes = {part.name: len(part.rows) for part in self._slices}
        return sizes | {STRANGERS: len(self.strangers)}

    def figures(self, judged: Judged, mode: Mode) -> Found:
        """Metrics with intervals by slice."""
        found = {
            part.name: summary(part.ranks(judged.ranks[mode]), self._user(part), self._seed)
            for part in self._slices
        }
        found[STRANGERS] = summary(judged.strangers, self.strangers.user, self._seed)
        return found

    def duels(self, ours: Judged, baselines: list[Judged], mode: Mode) -> list[Duel]:
        """Ours against the best baseline, slice by slice."""
        duels = []
        for part in self._slices:
            best = max(baselines, key=lambda b: _ndcg(part.ranks(b.ranks[mode])))
            by = difference(
                part.ranks(ours.ranks[mode]),
                part.ranks(best.ranks[mode]),
                self._user(part),
                self._seed,
            )
            duels.append(Duel(part.name, best.name, by))
        best = max(baselines, key=lambda b: _ndcg(b.strangers))
        by = difference(ours.strangers, best.strangers, self.strangers.user, self._seed)
        return [*duels, Duel(STRANGERS, best.name, by)]

    def _user(self, part: Slice) -> NDArray[np.int64]:
        return self.requests.user[part.rows]


def modes_of(judged: Judged) -> list[Mode]:
    """The modes that a method was judged in."""
    return [mode for mode in MODES if mode in judged.ranks]


def _ndcg(ranks: NDArray[np.float64]) -> float:
    return float(per_request(ranks)[:, METRICS.index(NDCG)].mean())
