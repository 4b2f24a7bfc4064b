"""Platt scaling: from a ranker's logit to a probability that means what it says.

The probability is that of the training's design, in which each chosen place stands beside four
that were not (half of them hard): 0.5 means "as likely as not to be the one among such five".
It is not corrected to the share of choices among the places that a service shows, because that
share is not known before impressions and their outcomes are: a guess would look like a fact. So
the prior is the 1 in 5 on which accuracy and its alarms (DESIGN.md) are judged, too.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit


def fit_platt(logits: NDArray[np.floating], labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope a > 0 and intercept b that minimise the log loss of sigmoid(a * logit + b).

    Labels are drawn in a little, to (n+ + 1)/(n+ + 2) and 1/(n- + 2) (Platt, 1999), so that a
    separable part does not drive the slope to infinity. The slope is sought as exp(.), since a
    calibration must not turn the order around.

    Raises:
        ValueError: only one class is present.
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        raise ValueError("calibration needs at least one positive and one negative")
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    logit = logits.astype(np.float64)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope, intercept = np.exp(parameters[0]), parameters[1]
        z = slope * logit + intercept
        value = np.logaddexp(0, z) - target * z
        off = expit(z) - target
        return float(value.mean()), np.array([(off * logit).mean() * slope, off.mean()])

    bounds = [(-5.0, 5.0), (None, None)]
    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(np.exp(found.x[0])), float(found.x[1])
