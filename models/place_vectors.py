"""Places as vectors, by who visits them: what tells two places alike where categories do not.

Latent semantic analysis (Deerwester et al., "Indexing by Latent Semantic Analysis", JASIS 1990) of
the matrix of users by places, whose column of a place is 1 / sqrt(its visitors) at each of them. Of
two whole columns, the product is the cosine of their visitors; the few directions that are kept
bring also those together that share no visitor, but visitors of the same taste.

The directions come of a randomised subspace iteration (Halko, Martinsson, Tropp, "Finding structure
with randomness", SIAM Review 2011, algorithm 4.4), which asks nothing of the matrix: few
users, few places, or none.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.tables import Visits
from online_features.catalogue import Catalogue
from online_features.columns import EventColumns

#: Numbers of a vector. More would tell chance meetings; half as many blur a city's districts.
WIDTH: Final = 32
#: Directions drawn beyond those kept, and rounds that turn them to where the matrix is largest.
_BESIDE, _ROUNDS = 8, 4
#: A vector has the length of what is left of its column, which was 1. Below this nothing is told.
LEAST_LENGTH = 0.05


def place_vectors(log: EventColumns, catalogue: Catalogue, seed: int) -> NDArray[np.float32]:
    """Vectors of all places of a catalogue, from the visits of a log.

    Args:
        log: all that may be known.
        catalogue: p places.
        seed: of the first directions.

    Returns:
        float32[p, WIDTH]; all 0 for a place that nobody has visited, or of whose visitors the kept
        directions tell nothing.
    """
    seen = Visits.of(log, catalogue).distinct()
    visitors = np.asarray(seen.sum(axis=0)).ravel()
    columns = seen @ sparse.diags(1 / np.sqrt(np.maximum(visitors, 1.0)))
    found = _shortened(columns.tocsr(), np.random.default_rng(seed))
    found[np.linalg.norm(found, axis=1) < LEAST_LENGTH] = 0.0
    vectors = np.zeros((len(catalogue), WIDTH), np.float32)
    vectors[:, : found.shape[1]] = found
    return vectors


def _shortened(columns: sparse.csr_matrix, rng: np.random.Generator) -> NDArray[Any]:
    """Each column of [m, p] in the directions where the matrix is largest, float64[p, <= WIDTH]."""
    # On the side of the users, of whom there are fewer; a factorisation of the longer side of the
    # places is spared by the eigenvectors of its small square.
    basis = columns @ rng.normal(size=(columns.shape[1], WIDTH + _BESIDE))
    for _ in range(_ROUNDS):
        basis, _ = np.linalg.qr(basis)
        basis = columns @ (columns.T @ basis)
    basis, _ = np.linalg.qr(basis)
    rows = columns.T @ basis
    _, turn = np.linalg.eigh(rows.T @ rows)  # ascending
    return np.asarray(rows @ turn[:, ::-1][:, :WIDTH])
