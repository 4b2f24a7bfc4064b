"""Matrix factorisation: the plain baseline of the candidate stage.

Implicit-feedback alternating least squares (Hu, Koren and Volinsky, 2008): with confidence
c = 1 + alpha * visits, minimise sum c (visited - x_user . y_place)^2 + l2 (|x|^2 + |y|^2).

Only the places' factors are kept. A user's factors are solved for in the graph, from the history
in the request: the same least squares with the places held fixed. So it needs no user ids, knows
a user at once, and has the signature of the two towers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

from contracts.signatures import VECTORS
from models.candidates import scores_alone
from models.progress import Reporter, Stage
from models.vocabulary import Vocabulary
from online_features.catalogue import Catalogue
from online_features.columns import CLICK, RATE, VIEW, VISIT, EventColumns

#: What one event of a kind counts in a user's history, in visits.
KIND_WEIGHT = {VIEW: 0.1, CLICK: 0.3, VISIT: 1.0, RATE: 0.5}
_PAIRS_AT_ONCE = 20_000


@dataclass(frozen=True)
class Factorisation:
    """Settings of the least squares."""

    factors: int = 32
    alpha: float = 10.0
    l2: float = 5.0
    sweeps: int = 12


def solve_side(
    counts: sparse.csr_matrix, fixed: NDArray[np.float64], how: Factorisation
) -> NDArray[np.float64]:
    """Best factors of each row of `counts` for fixed factors of its columns, float64[rows, k].

    (Y'Y + Y'(C - I)Y + l2 I) x = Y'C p, one small system a row; rows without counts are 0.
    """
    gram = fixed.T @ fixed + how.l2 * np.eye(how.factors)
    result = np.zeros((counts.shape[0], how.factors))
    filled = np.flatnonzero(np.diff(counts.indptr))
    pairs_before = counts.indptr[filled]
    cuts = np.searchsorted(pairs_before, np.arange(0, counts.nnz, _PAIRS_AT_ONCE))
    for rows in np.split(filled, np.unique(cuts[cuts > 0])):
        part = counts[rows]
        y = fixed[part.indices]
        extra = how.alpha * part.data[:, None]
        starts = part.indptr[:-1]
        outer = (extra * y)[:, :, None] * y[:, None, :]
        systems = gram + np.add.reduceat(outer, starts, axis=0)
        sides = np.add.reduceat((1 + extra) * y, starts, axis=0)
        result[rows] = np.linalg.solve(systems, sides[:, :, None])[:, :, 0]
    return result


def factorise(
    user: NDArray[np.integer],
    place: NDArray[np.integer],
    places: int,
    how: Factorisation,
    rng: np.random.Generator,
    stage: Stage,
) -> NDArray[np.float32]:
    """Factors of places from visits (user code, place row) with repeats, float32[places, k]."""
    ones = np.ones(len(user))
    counts = sparse.coo_matrix((ones, (user, place)), (int(user.max()) + 1, places)).tocsr()
    by_place = counts.T.tocsr()
    factors = rng.normal(0, 0.1, (places, how.factors))
    for _ in range(how.sweeps):
        users = solve_side(counts, factors, how)
        factors = solve_side(by_place, users, how)
        stage.advance()
    return factors.astype(np.float32)


def train_factorisation(
    log: EventColumns, catalogue: Catalogue, seed: int, progress: Reporter
) -> "ServedFactorisation":
    """Factorise the visits of a log."""
    how = Factorisation()
    place = catalogue.rows_of(log.place)
    visits = np.flatnonzero((log.kind == VISIT) & (place >= 0))
    _, user = np.unique(log.user[visits], return_inverse=True)
    rng = np.random.default_rng(seed)
    with progress.stage("matrix factorisation", how.sweeps) as stage:
        factors = factorise(user, place[visits], len(catalogue), how, rng, stage)
    return ServedFactorisation(catalogue.hash, factors, how)


class ServedFactorisation(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Matrix factorisation behind the candidate stage's signature.

    Args:
        hashes: uint64[p], ids of the places.
        factors: float32[p, k].
        how: the settings that the factors were made with.
    """

    def __init__(
        self, hashes: NDArray[np.uint64], factors: NDArray[np.float32], how: Factorisation
    ) -> None:
        super().__init__()
        order = np.argsort(hashes)
        self._rows = Vocabulary(hashes[order]).table(order + 1)
        # Row 0, of unknown places, is 0: it neither moves a user nor is recommended.
        held = np.concatenate([np.zeros((1, how.factors), np.float32), factors])
        self._factors = tf.Variable(held, trainable=False)
        gram = factors.T @ factors + how.l2 * np.eye(how.factors, dtype=np.float32)
        self._gram = tf.Variable(gram.astype(np.float32), trainable=False)
        self._weight = [KIND_WEIGHT[kind] for kind in sorted(KIND_WEIGHT)]
        self._alpha = how.alpha

    def serve(
        self,
        history_ids: Any,
        history_age_s: Any,
        history_kind: Any,
        place_ids: Any,
        distance_m: Any,
        moment_s: Any,
        crowd: Any,
    ) -> dict[str, Any]:
        """The exported signature; ages do not count, and distance only breaks ties."""
        del history_age_s, moment_s, crowd
        there = tf.cast(history_ids != 0, tf.float32)
        extra = self._alpha * there * tf.gather(tf.constant(self._weight), history_kind)
        y = tf.gather(self._factors, self._rows.lookup(history_ids))
        # "1" of the confidence 1 + alpha * visits counts once a place, however many its visits.
        same = history_ids[:, :, None] == history_ids[:, None, :]
        before = tf.linalg.band_part(tf.cast(same, tf.float32), -1, 0)
        first = tf.cast(tf.reduce_sum(before, axis=2) < 1.5, tf.float32)
        systems = self._gram + tf.einsum("bhf,bhg->bfg", extra[:, :, None] * y, y)
        sides = tf.einsum("bh,bhf->bf", extra + there * first, y)
        users = tf.linalg.solve(systems, sides[:, :, None])[:, :, 0]
        places = tf.gather(self._factors, self._rows.lookup(place_ids))
        scores = tf.einsum("bf,bnf->bn", users, places)
        return scores_alone(scores - 1e-6 * tf.math.log1p(distance_m))

    def vectors(self, place_ids: Any) -> dict[str, Any]:
        """The factors; 0 for unknown places and for those that nobody has visited."""
        return {VECTORS: tf.gather(self._factors, self._rows.lookup(place_ids))}
