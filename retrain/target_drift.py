"""Do users still choose what the model says they will? PSI and KS of the target.

The window is the newest so many answers of which something was chosen, whatever their hours: what
is expected of each follows from its own places (`models.targets`).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.ids import id64
from models.likeness import crowding
from models.targets import Chances, Targets
from retrain.ks import ks_p_values
from retrain.outcome_join import Waiting
from retrain.psi import chance_stability, psi_of
from retrain.window import Compared

#: As metrics, triggers and evidence call it, beside the columns.
TARGET = "target"


@dataclass(frozen=True)
class TargetJudged:
    """What the detectors say of a window.

    Attributes:
        psi, chance, ks_p: see `retrain.psi` and `retrain.ks`.
        chosen, expected: float64[B], share of the choices that lie in each band of chance, and
            what the training lets expect.
        choices: in the window.
    """

    psi: float
    chance: float
    ks_p: float
    chosen: NDArray[np.float64]
    expected: NDArray[np.float64]
    choices: int

    def told(self) -> dict[str, Any]:
        """For JSON: the evidence of a request."""
        return {
            "choices": self.choices,
            "psi": round(self.psi, 4),
            "psi_chance": round(self.chance, 4),
            "ks_p": float(f"{self.ks_p:.3g}"),
            "chosen": self.chosen.round(3).tolist(),
            "expected": self.expected.round(3).tolist(),
        }


class TargetDrift:
    """Follows what is chosen of the answers of one version.

    Args:
        targets: of its training.
        choices: so many newest are judged.
        least: fewer say nothing.

    Examples:
        Two places, of which the model gives one three chances in four. As long as users agree, one
        band is chosen three times as often as the other; when they turn round, that is seen.

        >>> import numpy as np
        >>> def asked(first_chosen):
        ...     n = len(first_chosen)
        ...     rows = np.stack([first_chosen, ~first_chosen], axis=1).ravel()
        ...     user = np.arange(n, dtype=np.uint64)
        ...     return Chances.of(np.tile([0.6, 0.2], n), rows, 2 * np.arange(n + 1), user)
        >>> agree = np.arange(400) % 4 > 0
        >>> watch = TargetDrift(Targets.of(asked(agree)), choices=400, least=100)
        >>> watch.update(asked(agree))
        >>> round(watch.judge().psi, 3)
        0.0
        >>> watch.update(asked(~agree))
        >>> round(watch.judge().psi, 2), round(float(watch.judge().expected.max()), 2)
        (1.09, 0.75)
    """

    def __init__(self, targets: Targets, choices: int, least: int) -> None:
        self._targets = targets
        self._least = least
        self._band: deque[int] = deque(maxlen=choices)
        self._expected: deque[NDArray[np.float64]] = deque(maxlen=choices)
        self._user: deque[np.uint64] = deque(maxlen=choices)

    def update(self, chances: Chances) -> None:
        """Take in answers, in the order of their coming."""
        if not len(chances):
            return
        expected = self._targets.expected(chances) * self._targets.ratio
        expected /= expected.sum(axis=1, keepdims=True)
        self._band.extend(self._targets.band(chances).tolist())
        self._expected.extend(expected)
        self._user.extend(chances.user)

    def judge(self) -> TargetJudged | None:
        """What the detectors say; `None` while the window holds too few choices."""
        n = len(self._band)
        if n < self._least:
            return None
        targets = self._targets
        chosen = np.bincount(np.array(self._band), minlength=targets.bands) / n
        expected = np.mean(np.array(self._expected), axis=0)
        crowded = crowding(np.array(self._user))
        compared = Compared(
            served=chosen[None],
            expected=expected[None],
            size=np.array([n / float(targets.likeness.effect(crowded))]),
            reference_size=np.array(
                [targets.answers / float(targets.likeness.effect(targets.crowding))]
            ),
            answers=float(n),
            known=float(targets.answers),
        )
        return TargetJudged(
            psi=float(psi_of(compared)[0]),
            chance=float(chance_stability(compared)[0]),
            ks_p=float(ks_p_values(compared)[0]),
            chosen=chosen,
            expected=expected,
            choices=n,
        )


def chances_of(answers: Sequence[Waiting]) -> Chances:
    """What was chosen first of answers, among the places that were looked at.

    Where no look was told, every place shown counts as looked at.
    """
    probability, chosen, counts, users = [], [], [], []
    for answer in answers:
        known = ~np.isnan(answer.probability)
        if answer.looked.any():
            known &= answer.looked | answer.clicked | answer.chosen
        if answer.first < 0 or not known[answer.first]:
            continue
        probability.append(answer.probability[known])
        chosen.append(np.flatnonzero(known) == answer.first)
        counts.append(len(chosen[-1]))
        users.append(id64(answer.user_id))
    return Chances.of(
        np.concatenate([*probability, np.zeros(0)]),
        np.concatenate([*chosen, np.zeros(0, bool)]),
        np.r_[0, np.cumsum(counts)].astype(np.int64),
        np.array(users, np.uint64),
    )
