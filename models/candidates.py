"""The candidate stage as it is served, whichever model stands behind it."""

from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from contracts.signatures import CROWD, PARTS, VECTORS
from models.two_tower import (
    DISTANCE_KNOTS,
    WIDTH,
    TwoTower,
    distance_basis,
    weight_at,
)
from models.vocabulary import Vocabulary
from online_features.history import HISTORY


class CandidateModel(Protocol):
    """A `tf.Module` whose `serve` has the candidate stage's signature."""

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
        """What the stage says of N places for each of B users.

        Returns:
            "scores" float32[B, N], higher is likelier; and of the K best, whose order does not
            count: "best" int32[B, K], their positions among the N, and "parts"
            float32[B, K, len(PARTS)] for the ranker. K may be 0.
        """

    def vectors(self, place_ids: Any) -> dict[str, Any]:
        """What the signature `VECTORS` says of n places, int64[n].

        Returns:
            "vectors" float32[n, d]: places that are alike to the model have a high cosine; all 0
            for a place of which it knows nothing.
        """


def candidate_signature() -> list[Any]:
    """Types of the inputs of `serve`: ids are hashes viewed as int64, 0 where there is none."""
    return [
        tf.TensorSpec([None, HISTORY], tf.int64, name="history_ids"),
        tf.TensorSpec([None, HISTORY], tf.float32, name="history_age_s"),
        tf.TensorSpec([None, HISTORY], tf.int64, name="history_kind"),
        tf.TensorSpec([None, None], tf.int64, name="place_ids"),
        tf.TensorSpec([None, None], tf.float32, name="distance_m"),
        tf.TensorSpec([None], tf.int64, name="moment_s"),
        tf.TensorSpec([None, None, len(CROWD)], tf.uint8, name="crowd"),
    ]


def vector_signature() -> list[Any]:
    """Types of the inputs of `vectors`."""
    return [tf.TensorSpec([None], tf.int64, name="place_ids")]


def scores_alone(scores: Any) -> dict[str, Any]:
    """The outputs of a model that has no parts to tell."""
    batch = tf.shape(scores)[0]
    return {
        "scores": scores,
        "best": tf.zeros([batch, 0], tf.int32),
        "parts": tf.zeros([batch, 0, len(PARTS)]),
    }


class ServedTwoTower(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Two towers with the place side baked: one lookup and one gather a place.

    Every place of the training's catalogue is in the lookup, with its category, even if it was
    too rare for an embedding of its own.
    """

    def __init__(self, model: TwoTower) -> None:
        super().__init__()
        self._user_side = model.user_side
        self._places = tf.Variable(model.baked(), trainable=False)
        hashes = model.places.hashes
        order = np.argsort(hashes)
        self._rows = Vocabulary(hashes[order]).table(order + 1)

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
        """The exported signature; the terms are those of `two_tower`, whose clock is the ages."""
        del moment_s, crowd
        side = self._user_side
        weights, here = side.event_weights(
            history_age_s, tf.cast(history_kind, tf.int32), history_ids != 0
        )
        past = tf.gather(self._places, self._rows.lookup(history_ids))[:, :, :WIDTH]
        user, user_distance = side.read(past, weights, history_age_s[:, 0])
        place = tf.gather(self._places, self._rows.lookup(place_ids))
        dot = tf.einsum("bnw,bw->bn", place[:, :, :WIDTH], user)
        knots = place[:, :, WIDTH : WIDTH + DISTANCE_KNOTS] + user_distance[:, None, :]
        near = tf.reduce_sum(distance_basis(distance_m) * knots, axis=-1)
        known = side.known(weight_at(history_ids, here, place_ids))
        return scores_alone(dot + near + place[:, :, -1] + known)

    def vectors(self, place_ids: Any) -> dict[str, Any]:
        """The place side's; that of a place which the training did not know says nothing of it."""
        rows = self._rows.lookup(place_ids)
        known = tf.cast(rows > 0, tf.float32)[:, None]
        return {VECTORS: known * tf.gather(self._places, rows)[:, :WIDTH]}
