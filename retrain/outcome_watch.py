"""What users did with served answers: joined, told as metrics, judged for the one in service.

Judged is whether the model errs more than it did (ADWIN), and whether users choose what it says
they will (PSI and KS of the target).
"""

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
from retrain.outcome_join import Outcome, OutcomeJoin, Waiting
from retrain.served_quality import Quality, ServedQuality
from retrain.target_drift import TARGET, TargetDrift, chances_of

#: Figures of `Quality` that are shares, by the metric's label.
_RATIOS: Final = (
    "click_through",
    "conversion",
    "auc",
    "calibration_error",
    "accuracy",
    "accuracy_high",
    "ndcg_at_10",
)


def outcome_of(value: bytes | None, received_s: float, *, again: bool = False) -> Outcome:
    """The outcome in an interaction's message; `again` as `Outcome`.

    Raises:
        BadEvent: it is no interaction. (The stream sends it to the dead letters.)
    """
    event = read_interaction(value)
    user_id, place_id, time_s = checked_interaction(event, received_s)
    return Outcome(
        time_s,
        user_id,
        place_id,
        event.event_type,
        rating=event.rating,
        dwell_s=event.dwell_s,
        request_id=event.request_id,
        again=again,
    )


class OutcomeWatch:
    """The join, the figures of all variants and versions, and the errors of the one in service.

    All of it lives in memory. What is read again after a restart (`retrain.rewind`) is joined and
    judged as before, and counted no more.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._label = settings.model_label
        self._least = settings.outcome_min_choices
        self._join = OutcomeJoin(
            Windows.of(settings), settings.outcome_most_waiting, settings.outcome_hold_s
        )
        self._quality = ServedQuality(settings.outcome_answers)
        self._version: int | None = None
        self._reference: Reference | None = None
        self._errors: ErrorDrift | None = None
        self._targets: TargetDrift | None = None

    def follow(self, model: InService | None) -> None:
        """Judge the errors of this version, and what is chosen of its answers, from now on."""
        self._version = None if model is None else model.version
        self._reference = None if model is None else model.reference
        self._errors = None if model is None else ErrorDrift(model.reference.error)
        known = None if model is None else model.reference.targets
        window = self._settings.target_window_choices
        self._targets = None if known is None else TargetDrift(known, window, self._least)
        metrics.ERROR_RISES.set(0)
        metrics.ERROR_MEAN.set(np.nan)

    def watched(self) -> dict[str, bool]:
        """Which of its detectors have a reference, by name."""
        return {"error": self._errors is not None, TARGET: self._targets is not None}

    def update(
        self,
        impressions: Iterable[Impression],
        interactions: Iterable[tuple[bytes | None, float]],
        *,
        drained: bool,
        again: bool = False,
    ) -> None:
        """Take in answers, and messages of interactions with when Kafka received them.

        Args:
            impressions, interactions: what came.
            drained: there was nothing left to read of either.
            again: all of this was read before a restart, and counted then.
        """
        self._join.shown(impressions)
        self._join.happened(self._outcomes(interactions, again=again))
        cut_short = self._join.cut_short
        joined = self._join.advance(drained=drained)
        if not again:
            metrics.OUTCOMES_CUT.inc(self._join.cut_short - cut_short)
        for fate, count in joined.fates.items():
            metrics.OUTCOMES.labels(fate=fate).inc(count)
        self._quality.update(joined)
        mine = [answer for answer in joined.chosen if answer.version == self._version]
        self._judge_errors(mine, again=again)
        if self._targets is not None:
            self._targets.update(chances_of(mine))

    def _outcomes(
        self, interactions: Iterable[tuple[bytes | None, float]], *, again: bool
    ) -> Iterable[Outcome]:
        for value, received_s in interactions:
            try:
                yield outcome_of(value, received_s, again=again)
            except BadEvent:
                if not again:
                    metrics.OUTCOMES.labels(fate="unreadable").inc()

    def _judge_errors(self, answers: Iterable[Waiting], *, again: bool) -> None:
        if self._errors is None or self._reference is None:
            return
        known = [
            (answer.time_s, error) for answer in answers if (error := _error(answer)) is not None
        ]
        if known:
            times_s, errors = np.array(known, np.float64).T
            rises = self._errors.rises
            self._errors.update(errors, self._reference.phi(times_s))
            if again:
                self._errors.rises = rises  # which an alert was told of at the time
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
        self._show_target()

    def _show_target(self) -> None:
        """Beside the columns, under a name that none of them has."""
        judged = None if self._targets is None else self._targets.judge()
        if judged is None:
            return
        metrics.DRIFT_PSI.labels(feature=TARGET).set(judged.psi)
        metrics.DRIFT_CHANCE.labels(feature=TARGET).set(judged.chance)
        metrics.DRIFT_KS_P.labels(feature=TARGET).set(judged.ks_p)

    def asking(self) -> dict[str, tuple[float, float]]:
        """PSI and its `chance` of what is chosen, by name; empty while it cannot be told."""
        judged = None if self._targets is None else self._targets.judge()
        return {} if judged is None else {TARGET: (judged.psi, judged.chance)}

    def in_service(self) -> Quality | None:
        """Figures of the version in service, among answers that were asked for by its label."""
        if self._version is None:
            return None
        return self._quality.all().get((self._label, self._version))

    def accuracy(self) -> tuple[float, float] | None:
        """Of the version in service, with its upper bound; `None` while too little was chosen."""
        quality = self.in_service()
        if quality is None or quality.judged < self._least:
            return None
        return quality.accuracy, quality.accuracy_high

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
        if self._targets is not None and (judged := self._targets.judge()) is not None:
            found["target"] = judged.told()
        return found


def _error(answer: Waiting) -> float | None:
    """As `models.served_answers.error_of`."""
    total = float(np.nansum(answer.probability))
    chosen = float(answer.probability[answer.first])
    return None if np.isnan(chosen) or total <= 0 else 1 - chosen / total
