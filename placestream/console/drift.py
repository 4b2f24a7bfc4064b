"""Drift of each ranking column against its thresholds, as the trainer measures it."""

from collections.abc import Sequence
from typing import Any, Protocol

from contracts.settings import Settings
from retrain.drift_watch import EXEMPT

PSI, KS_P = "placestream_drift_psi_ratio", "placestream_drift_ks_p_ratio"
CHANCE, MMD = "placestream_drift_chance_ratio", "placestream_drift_mmd_ratio"
MMD_THRESHOLD = "placestream_drift_mmd_threshold_ratio"
#: Where the alert FeatureDriftWarning begins (docker/prometheus/rules/drift.yml).
PSI_WARNS = 0.1


class Seen(Protocol):
    """Metrics at one moment."""

    def sum(self, name: str, **labels: str) -> float:
        """Series of a name with these labels, added up."""

    def by(self, name: str, label: str) -> dict[str, float]:
        """Series of a name by one of their labels."""


def drift(settings: Settings, looks: Sequence[Seen]) -> dict[str, Any]:
    """Every column's PSI now and over the last looks, its KS p-value, and the thresholds."""
    now = looks[-1]
    psi, ks_p, chance = (now.by(name, "feature") for name in (PSI, KS_P, CHANCE))
    past = [look.by(PSI, "feature") for look in looks]
    return {
        "warns": PSI_WARNS,
        "retrains": settings.psi_retrain,
        "least_answers": settings.drift_min_answers,
        "answers": now.sum("placestream_drift_window_answers"),
        "together": {"value": now.sum(MMD), "threshold": now.sum(MMD_THRESHOLD)},
        "samples_since_training": now.sum("placestream_samples_since_training"),
        "quality": now.by("placestream_model_quality_ratio", "metric"),
        "features": [
            {
                "feature": name,
                "psi": value,
                "ks_p": ks_p.get(name),
                "chance": chance.get(name, 0.0),
                "history": [one[name] for one in past if name in one],
                # An hour's or a day's weather is not the training's, and asks for no training.
                "rhythm": name.startswith(EXEMPT),
            }
            for name, value in sorted(psi.items(), key=lambda item: -item[1])
        ],
    }
