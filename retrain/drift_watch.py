"""All detectors over what the version in service shows: columns, probability, and all together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.events import PACKED, Impression
from contracts.ids import id64
from contracts.settings import Settings
from models.served_answers import Answers
from retrain import metrics
from retrain.in_service import InService
from retrain.ks import ks_p_values
from retrain.mmd import Discrepancy, MeanDiscrepancy
from retrain.psi import chance_stability, psi_of
from retrain.window import AnswerWindow, Compared

#: Columns that follow the clock or the sky alone. A day's weather is not the training's weather,
#: and needs no training: these are measured and shown, and ask for nothing.
EXEMPT = (
    "temperature",
    "congestion",
    "context_known",
    "weather_",
    "hour_sin",
    "hour_cos",
    "weekend",
)


@dataclass(frozen=True)
class Judged:
    """What the detectors say of a window.

    Attributes:
        psi, chance, ks_p: float64[F], see `retrain.psi` and `retrain.ks`.
        together: all columns at once.
    """

    psi: NDArray[np.float64]
    chance: NDArray[np.float64]
    ks_p: NDArray[np.float64]
    together: Discrepancy


class DriftWatch:
    """The detectors over one window, for the version in service.

    Args:
        settings: of the installation.
        model: the version, with its reference.
        rng: draws places of answers, and permutations.
    """

    def __init__(self, settings: Settings, model: InService, rng: np.random.Generator) -> None:
        self.model = model
        self._columns = model.reference.columns
        self._least = settings.drift_min_answers
        answers = settings.drift_window_answers
        self.window = AnswerWindow(model.reference, answers, settings.drift_window_s, rng)
        self._together = MeanDiscrepancy(self.window, answers, rng)
        self._judged: Judged | None = None
        self._judged_at = 0

    def update(self, impressions: Sequence[Impression], *, again: bool = False) -> None:
        """Take in answers of this version; others are counted and passed over.

        `again`: they were counted before a restart.
        """
        skipped: Counter[str] = Counter()
        answers = self._answers(impressions, skipped)
        if answers is not None:
            self.window.update(answers)
        for reason, count in () if again else skipped.items():
            metrics.IMPRESSIONS_SKIPPED.labels(reason=reason).inc(count)

    def _answers(self, impressions: Sequence[Impression], skipped: Counter[str]) -> Answers | None:
        rows, counts, taken = [], [], []
        width = len(self.model.features)
        for answer in impressions:
            if answer.models.get("ranker") != self.model.version:
                skipped["other_version"] += 1
                continue
            seen = rows_of(answer, width)
            if seen is None:
                skipped["no_features"] += 1
                continue
            rows.append(seen)
            counts.append(len(seen))
            taken.append(answer)
        if not rows:
            return None
        return Answers(
            values=np.concatenate(rows),
            first=np.r_[0, np.cumsum(counts)].astype(np.int64),
            time_s=np.array([answer.timestamp.timestamp() for answer in taken]),
            user=np.array([id64(answer.user_id) for answer in taken], np.uint64),
        )

    def judge(self) -> Judged | None:
        """What the detectors say; `None` while the window holds too few answers."""
        if self.window.size < self._least:
            return None
        if self._judged is None or self.window.taken > self._judged_at:
            compared = Compared.of(self.window)
            self._judged = Judged(
                psi=psi_of(compared),
                chance=chance_stability(compared),
                ks_p=ks_p_values(compared),
                together=self._together.judge(),
            )
            self._judged_at = self.window.taken
        return self._judged

    def show(self) -> None:
        """Set the gauges; there are none while nothing can be said."""
        metrics.DRIFT_ANSWERS.set(self.window.size)
        judged = self.judge()
        if judged is None:
            return
        for gauge, values in (
            (metrics.DRIFT_PSI, judged.psi),
            (metrics.DRIFT_CHANCE, judged.chance),
            (metrics.DRIFT_KS_P, judged.ks_p),
        ):
            for column, value in zip(self._columns, values.tolist(), strict=True):
                gauge.labels(feature=column).set(value)
        metrics.DRIFT_MMD.set(judged.together.value)
        metrics.DRIFT_MMD_THRESHOLD.set(judged.together.threshold)
        metrics.DRIFT_MMD_P.set(judged.together.p_value)

    def asking(self) -> dict[str, tuple[float, float]]:
        """PSI and its `chance` of the columns that may ask for a training, by name."""
        judged = self.judge()
        if judged is None:
            return {}
        values = zip(self._columns, judged.psi.tolist(), judged.chance.tolist(), strict=True)
        return {
            column: (psi, chance) for column, psi, chance in values if not column.startswith(EXEMPT)
        }

    def evidence(self) -> dict[str, object]:
        """What a reader of a request wants to know beside PSI."""
        judged = self.judge()
        if judged is None:
            return {"answers": self.window.size}
        least = np.argsort(judged.ks_p)[:5]
        return {
            "answers": self.window.size,
            "ks_p": {self._columns[i]: float(f"{judged.ks_p[i]:.3g}") for i in least},
            "mmd": round(judged.together.value, 6),
            "mmd_threshold": round(judged.together.threshold, 6),
            "mmd_p": round(judged.together.p_value, 4),
        }


def rows_of(answer: Impression, width: int) -> NDArray[np.float32] | None:
    """What the ranker saw of an answer's places, and what it said: float32[k, width + 1].

    Places without features of this width, or without a probability, are left out; `None` if none
    are left.
    """
    size = width * PACKED.itemsize
    packed = [
        place
        for place in answer.places
        if place.probability is not None
        and (len(place.features) == (size if isinstance(place.features, bytes) else width))
    ]
    if not packed:
        return None
    rows = np.empty((len(packed), width + 1), np.float32)
    if all(isinstance(place.features, bytes) for place in packed):
        joined = b"".join(place.features for place in packed)  # type: ignore[misc]
        rows[:, :width] = np.frombuffer(joined, PACKED).reshape(len(packed), width)
    else:
        rows[:, :width] = [place.values for place in packed]
    rows[:, width] = [place.probability for place in packed]
    return rows
