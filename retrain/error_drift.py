"""Does the model err more than it did? ADWIN on its errors, where something shown was chosen.

A. Bifet, R. Gavalda, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007, as river
implements it: the window is cut wherever two parts of it differ by more than chance allows. Errors
follow the hours like all else, so what the training knows of their rhythm is taken out first.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from river.drift import ADWIN

from models.rhythm import Floats, Swing

#: Chance of a false alarm at one comparison; ADWIN makes one every 32 errors, on several cuts.
DELTA = 1e-5


class ErrorDrift:
    """Follows the errors of the version in service.

    Args:
        swing: the error's rhythm at training (`Reference.error`).
        delta: of ADWIN.

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(7)
        >>> phi = np.ones((2_000, 1))
        >>> watch = ErrorDrift(Swing.of(phi[:100], np.full((100, 1), 0.3)))
        >>> watch.update(rng.normal(0.3, 0.1, 2_000).clip(0, 1), phi)
        >>> watch.rises
        0
        >>> watch.update(rng.normal(0.5, 0.1, 2_000).clip(0, 1), phi)
        >>> watch.rises > 0, round(watch.mean, 1)
        (True, 0.5)
    """

    def __init__(self, swing: Swing, delta: float = DELTA) -> None:
        self._swing = swing
        self._adwin: Any = ADWIN(delta=delta)  # type: ignore[no-untyped-call]
        #: How often the error was found to have risen, and to have fallen.
        self.rises = 0
        self.falls = 0

    def update(self, errors: NDArray[np.float64], phi: Floats) -> None:
        """Take in errors [n] in [0, 1] in the order of time, with their phi [n, K]."""
        level = self._swing.beta[0, 0]
        rhythm = self._swing.at(phi)[:, 0] - level
        for error in (errors - rhythm).tolist():
            before = self._adwin.estimation
            self._adwin.update(error)
            if self._adwin.drift_detected:
                if self._adwin.estimation > before:
                    self.rises += 1
                else:
                    self.falls += 1

    @property
    def mean(self) -> float:
        """Mean error since it changed last."""
        return float(self._adwin.estimation)
