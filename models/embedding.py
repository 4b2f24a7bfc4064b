"""All columns together as a point: random Fourier features of the Gaussian kernel.

A. Rahimi, B. Recht, "Random Features for Large-Scale Kernel Machines", NIPS 2007: with w drawn
from N(0, I / s^2), the features (cos w'x, sin w'x) / sqrt(D) have the inner product of two points
as an unbiased estimate of exp(-|x - y|^2 / 2 s^2). The distance of two mean embeddings then is the
maximum mean discrepancy (Gretton et al., "A Kernel Two-Sample Test", JMLR 13, 2012), at the cost
of one product of matrices.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from models.rhythm import Swing

Floats = NDArray[np.floating[Any]]
#: Drawn frequencies; each gives a cosine and a sine.
DRAWN = 64
#: Standard scores are held within, or one absurd value would hide all others.
FARTHEST = 4.0
#: Rows whose distances tell the kernel's width.
_PAIRED = 500


@dataclass(frozen=True)
class Embedding:
    """Features of rows, less what the hour of the week explains.

    Attributes:
        mean, std: float64[F], of the columns at training; a constant column has 1 for its std.
        weights: float32[F, DRAWN].
        swing: the mean embedding, as it swings with the week.
        residuals: float32[m, 2 DRAWN], of the training's own rows; permutation needs them.
    """

    mean: Floats
    std: Floats
    weights: Floats
    swing: Swing
    residuals: Floats

    @classmethod
    def of(cls, rows: Floats, phi: NDArray[np.float64], rng: np.random.Generator) -> "Embedding":
        """The embedding of rows [m, F] at `phi` [m, K]; the width is the median distance.

        (The median heuristic of Gretton et al., 2012, section 8.)
        """
        known = ~np.isnan(rows)
        mean = np.where(known, rows, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        std = np.where(known, rows - mean, 0).std(axis=0)
        std = np.where(std > 1e-9, std, 1.0)
        scores = _scores(rows, mean, std)
        apart = pdist(scores[:_PAIRED]) if len(scores) > 1 else np.ones(1)
        width = float(np.median(apart)) or 1.0
        weights = rng.normal(0, 1 / width, (rows.shape[1], DRAWN)).astype(np.float32)
        features = _features(scores, weights)
        swing = Swing.of(phi, features)
        residuals = (features - swing.at(phi)).astype(np.float32)
        return cls(mean, std, weights, swing, residuals)

    def residuals_of(self, rows: Floats, phi: NDArray[np.float64]) -> Floats:
        """Features of rows [n, F] less what is expected of their hours: float32[n, 2 DRAWN].

        A missing value counts as the training's mean.
        """
        features = _features(_scores(rows, self.mean, self.std), self.weights)
        residuals: Floats = features - self.swing.at(phi).astype(np.float32)
        return residuals


def _scores(rows: Floats, mean: Floats, std: Floats) -> Floats:
    scores = ((rows - mean) / std).astype(np.float32)
    held: Floats = np.nan_to_num(scores, nan=0.0).clip(-FARTHEST, FARTHEST)
    return held


def _features(scores: Floats, weights: Floats) -> Floats:
    turn = scores @ weights
    features: Floats = np.concatenate([np.cos(turn), np.sin(turn)], axis=1)
    return features / np.float32(np.sqrt(weights.shape[1]))
