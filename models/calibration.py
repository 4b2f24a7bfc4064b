"""Platt scaling: from a ranker's logit to a probability that means what it says.

The rows that a ranker is trained and judged on are no fair sample: of all places that were not
chosen only four stand beside each choice, some kinds of place far oftener than others. A row
whose place is expected q times among the negatives has 1/q times the true odds. So

    P(chosen | row) = sigmoid(a * logit + b - log q)

is fitted to the rows, and what is served is sigmoid(a * logit + b): the probability that the
user goes to this place and to no other of the catalogue. Over all places it sums to about one,
so that even the best place of an answer seldom has more than one in two.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit


def row_probability(
    score: NDArray[np.floating], expected: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Probability that a row is the chosen one, by its calibrated logit and expected count q."""
    result: NDArray[np.float64] = expit(score.astype(np.float64) - np.log(expected))
    return result


def fit_platt(
    logits: NDArray[np.floating], expected: NDArray[np.floating], labels: NDArray[np.bool_]
) -> tuple[float, float]:
    """Slope a > 0 and intercept b that minimise the log loss of the rows (see above).

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
    logit, offset = logits.astype(np.float64), np.log(expected.astype(np.float64))

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope, intercept = np.exp(parameters[0]), parameters[1]
        z = slope * logit + intercept - offset
        value = np.logaddexp(0, z) - target * z
        off = expit(z) - target
        return float(value.mean()), np.array([(off * logit).mean() * slope, off.mean()])

    bounds = [(-5.0, 5.0), (None, None)]
    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(np.exp(found.x[0])), float(found.x[1])
