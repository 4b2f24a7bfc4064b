"""What users did with served answers: joined, told as metrics, judged for the one in service."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from contracts.events import BadEvent, Impression, checked_interaction, read_interaction
from contracts.settings import Settings
from models.outcomes import Windows
from models.reference import Reference
from retrain import metrics
from retrain.error_drift import ErrorDrift
from retrain.in_service import InService
from retrain.outcome_join import Joined, Outcome, OutcomeJoin, Waiting
from retrain.served_quality import Quality, ServedQuality

#: Figures of `Quality` that are shares, by the metric's label.
_RATIOS: Final = (
    "click_through",
    "conversion",
    "auc",
    "calibration_error",
    "accuracy",
    "ndcg_at_10",
)


def outcome_of(value: bytes | None, received_s: float) -> Outcome | None:
    """The outcome in an interaction's message; `None` if it is a mere look.

    Raises:
        BadEvent: it is no interaction. (The stream sends it to the dead letters.)
    """
    event = read_interaction(value)
    user_id, place_id, time_s = checked_interaction(event, received_s)
    if event.event_type == "view":
        return None
    return Outcome(
        time_s,
        user_id,
        place_id,
        event.event_type,
        rating=event.rating,
        dwell_s=event.dwell_s,
        request_id=event.request_id,
    )


class OutcomeWatch:
    """The join, the figures of all variants and versions, and the errors of the one in service.

    All of it lives in memory: after a restart, outcomes of answers from before it are unknown.
    """

    def __init__(self, settings: Settings) -> None:
        self._label = settings.model_label
        self._least = settings.outcome_min_choices
        self._join = OutcomeJoin(Windows.of(settings), settings.outcome_most_waiting)
        self._quality = ServedQuality(settings.outcome_answers)
        self._version: int | None = None
        self._reference: Reference | None = None
        self._errors: ErrorDrift | None = None

    def follow(self, model: InService | None) -> None:
        """Judge the errors of this version from now on."""
        self._version = None if model is None else model.version
        self._reference = None if model is None else model.reference
        self._errors = None if model is None else ErrorDrift(model.reference.error)
        metrics.ERROR_RISES.set(0)
        metrics.ERROR_MEAN.set(np.nan)

    def update(
        self,
        impressions: Iterable[Impression],
        interactions: Iterable[tuple[bytes | None, float]],
        *,
        drained: bool,
    ) -> None:
        """Take in answers, and messages of interactions with when Kafka received them.

        `drained`: there was nothing left to read of either.
        """
        self._join.shown(impressions)
        self._join.happened(self._outcomes(interactions))
        cut_short = self._join.cut_short
        joined = self._join.advance(drained=drained)
        metrics.OUTCOMES_CUT.inc(self._join.cut_short - cut_short)
        for fate, count in joined.fates.items():
            metrics.OUTCOMES.labels(fate=fate).inc(count)
        self._quality.update(joined)
        self._judge_errors(joined)

    def _outcomes(self, interactions: Iterable[tuple[bytes | None, float]]) -> Iterable[Outcome]:
        for value, received_s in interactions:
            try:
                outcome = outcome_of(value, received_s)
            except BadEvent:
                metrics.OUTCOMES.labels(fate="unreadable").inc()
                continue
            if outcome is not None:
                yield outcome

    def _judge_errors(self, joined: Joined) -> None:
        if self._errors is None or self._reference is None:
            return
        mine = [
            (answer.time_s, error)
            for answer in joined.chosen
            if answer.version == self._version and (error := _error(answer)) is not None
        ]
        if mine:
            times_s, errors = np.array(mine, np.float64).T
            self._errors.update(errors, self._reference.phi(times_s))
            metrics.ERROR_RISES.set(self._errors.rises)
            metrics.ERROR_MEAN.set(self._errors.mean)

    def show(self) -> None:
        """Set the gauges anew; a version that is gone has none."""
        gauges = (
            metrics.SERVED_RATIO,
            metrics.SERVED_LOG_LOSS,
            metrics.SERVED_RATING,
            metrics.SERVED_DWELL,
            metrics.SERVED_ANSWERS,
        )
        for gauge in gauges:
            gauge.clear()
        for (variant, version), quality in self._quality.all().items():
            own = {"variant": variant, "version": str(version)}
            for name in _RATIOS:
                value = getattr(quality, name)
                if not np.isnan(value):
                    metrics.SERVED_RATIO.labels(metric=name, **own).set(value)
            for gauge, value in (
                (metrics.SERVED_LOG_LOSS, quality.log_loss),
                (metrics.SERVED_RATING, quality.rating),
                (metrics.SERVED_DWELL, quality.dwell_s),
            ):
                if not np.isnan(value):
                    gauge.labels(**own).set(value)
            for kind, count in (
                ("settled", quality.answers),
                ("chosen", quality.choices),
                ("judged", quality.judged),
                ("rated", quality.rated),
            ):
                metrics.SERVED_ANSWERS.labels(kind=kind, **own).set(count)

    def in_service(self) -> Quality | None:
        """Figures of the version in service, among answers that were asked for by its label."""
        if self._version is None:
            return None
        return self._quality.all().get((self._label, self._version))

    def accuracy(self) -> float | None:
        """Of the version in service; `None` while too little was chosen."""
        quality = self.in_service()
        if quality is None or quality.judged < self._least:
            return None
        return quality.accuracy

    def evidence(self) -> dict[str, object]:
        """What a reader of a request wants to know."""
        quality = self.in_service()
        if quality is None:
            return {}
        found: dict[str, object] = {"choices": quality.choices, "settled": quality.answers}
        for name in ("click_through", "conversion"):
            if not np.isnan(value := getattr(quality, name)):
                found[name] = round(value, 4)
        if self._errors is not None:
            found["error_rises"] = self._errors.rises
        return found


def _error(answer: Waiting) -> float | None:
    """As `models.served_answers.error_of`."""
    total = float(np.nansum(answer.probability))
    chosen = float(answer.probability[answer.first])
    return None if np.isnan(chosen) or total <= 0 else 1 - chosen / total
