"""What the detectors said while the loop went on: the trainer's own metrics, read each second."""

import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from contracts.settings import Settings
from placestream.stack.ports import LOCALHOST
from retrain.target_drift import TARGET

EVERY_S = 1.0
_READ_S = 5.0
_PSI = "placestream_drift_psi_ratio"


@dataclass(frozen=True)
class Reading:
    """The detectors at one moment; `None` where nothing was known.

    Attributes:
        at_s: Unix seconds.
        accuracy: of the pair in service, on what its users chose.
        psi: of what they choose, against the training (`retrain.target_drift`).
        error_rises: how often ADWIN found that the model errs more.
    """

    at_s: float
    accuracy: float | None
    psi: float | None
    error_rises: float | None


@dataclass
class Readings:
    """Reads in a thread of its own.

    Attributes:
        settings: of the installation.
        all: what was read so far.
    """

    settings: Settings
    all: list[Reading] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._url = f"http://{LOCALHOST}:{self.settings.retrain_metrics_port}/metrics"
        self._thread = threading.Thread(target=self._run, name="readings", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read no more."""
        self._stop.set()
        self._thread.join(timeout=2 * _READ_S)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                with urllib.request.urlopen(self._url, timeout=_READ_S) as page:
                    text = page.read().decode()
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                continue  # it starts, or ends
            self.all.append(reading(text, time.time(), self.settings.model_label))


def reading(text: str, at_s: float, label: str) -> Reading:
    """What a page of metrics says of the pair that answers by this label."""
    told: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            told.setdefault(sample.name, []).append((sample.labels, sample.value))
    accuracy = [
        (int(labels["version"]), value)
        for labels, value in told.get("placestream_served_quality_ratio", ())
        if labels["metric"] == "accuracy" and labels["variant"] == label
    ]
    return Reading(
        at_s,
        max(accuracy)[1] if accuracy else None,
        next((v for of, v in told.get(_PSI, ()) if of["feature"] == TARGET), None),
        next((v for _, v in told.get("placestream_error_rises", ())), None),
    )
