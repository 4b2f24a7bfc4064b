"""The candidate model: two towers, a distance term and a term for places known to the user.

The user side reads nothing but the recent places: each event of the history gets weights learned
from its kind, its age and the phase of its age within a day and a week (an age of 24 h means "at
this hour"), and the history's embeddings are pooled by these weights, one pool a head. The place
side is an embedding of the place plus one of its category. score(user, place) is

    user . place + bias(place) + g(distance; user, category) + h(past visits at this very place)

with g piecewise linear in the logarithm of the distance, and h = s * log(1 + sum of learned
weights of the events there). Unknown places share one row, trained by random id dropout, plus
their category. Nothing is learned per user: a new user, or a new taste, counts at once.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from contracts.events import EVENT_TYPES
from models.networks import Dense, embedding, hats
from models.training_rows import Choices
from models.vocabulary import Vocabulary
from online_features.catalogue import Catalogue
from online_features.history import HISTORY

WIDTH = 48
HEADS = 3
HIDDEN, EVENT_HIDDEN = 64, 32
#: Knots, and where the last lies: of log(1 + hours) for ages (180 days), and of
#: log(1 + metres / 100) for distances (50 km).
AGE_KNOTS, AGE_LAST = 10, float(np.log1p(24 * 180))
DISTANCE_KNOTS, DISTANCE_LAST = 12, float(np.log1p(500))
DAY_S, WEEK_S, WAVES = 86_400.0, 604_800.0, 6
#: Logits of event weights are held within this, since their exponentials are summed.
LARGEST_LOGIT = 15.0


@dataclass(frozen=True)
class Places:
    """The catalogue as the model knows it.

    Attributes:
        vocabulary: places with an embedding of their own.
        row: int32[catalogue + 2], embedding row of each catalogue row; the last two entries
            serve the indices -2 and -1 (no event, not in the catalogue).
        category: int32[catalogue + 2], likewise; 0 is no category.
        categories: rows of the category table.
        lat, lng: float32[catalogue + 2], radians from the catalogue's middle.
        hashes: uint64[catalogue].
        middle: latitude and longitude of the middle, degrees.
    """

    vocabulary: Vocabulary
    row: NDArray[np.int32]
    category: NDArray[np.int32]
    categories: int
    lat: NDArray[np.float32]
    lng: NDArray[np.float32]
    hashes: NDArray[np.uint64]
    middle: tuple[float, float]

    @classmethod
    def of(cls, catalogue: Catalogue, train: Choices, least: int = 3) -> Self:
        """Places that were chosen at least so often in training get a row of their own."""
        vocabulary = Vocabulary.of(catalogue.hash[train.place], least)
        lat, lng = np.nan_to_num(catalogue.lat), np.nan_to_num(catalogue.lng)
        middle = float(np.median(lat)), float(np.median(lng))
        return cls(
            vocabulary=vocabulary,
            row=np.r_[vocabulary.rows_of(catalogue.hash), 0, 0].astype(np.int32),
            category=np.r_[catalogue.category + 1, 0, 0].astype(np.int32),
            categories=len(catalogue.categories) + 1,
            lat=np.radians(np.r_[lat - middle[0], 0, 0]).astype(np.float32),
            lng=np.radians(np.r_[lng - middle[1], 0, 0]).astype(np.float32),
            hashes=catalogue.hash.copy(),
            middle=middle,
        )


class UserSide(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Reads a history: weighs its events, pools them, and says how far this user goes."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self._event1 = Dense(AGE_KNOTS + WAVES + len(EVENT_TYPES), EVENT_HIDDEN, rng)
        self._event2 = Dense(EVENT_HIDDEN, HEADS + 1, rng)
        self._user1 = Dense(HEADS * WIDTH + AGE_KNOTS + 1, HIDDEN, rng)
        self._user2 = Dense(HIDDEN, WIDTH, rng)
        self._distance = Dense(HIDDEN, DISTANCE_KNOTS, rng)
        nearer_is_likelier = -0.8 * np.linspace(0, DISTANCE_LAST, DISTANCE_KNOTS)
        self._distance.bias.assign(nearer_is_likelier.astype(np.float32))
        self._known = tf.Variable(1.0)

    def event_weights(self, age_s: Any, kind: Any, there: Any) -> tuple[Any, Any]:
        """Weights of the history's events.

        Args:
            age_s: float[b, 144].
            kind: int[b, 144], index in `EVENT_TYPES`.
            there: bool[b, 144], false where there is no event: its weights are 0.

        Returns:
            Pooling weights float[b, 64, HEADS], and float[b, 144] of "been here".
        """
        day, week = 2 * np.pi * age_s / DAY_S, 2 * np.pi * age_s / WEEK_S
        waves = [tf.cos(day), tf.sin(day), tf.cos(2 * day), tf.sin(2 * day)]
        waves += [tf.cos(week), tf.sin(week)]
        kinds = tf.one_hot(kind, len(EVENT_TYPES))
        x = tf.concat([_age_basis(age_s), tf.stack(waves, axis=-1), kinds], axis=-1)
        hidden = tf.nn.relu(self._event1(tf.reshape(x, [-1, x.shape[-1]])))
        logit = tf.clip_by_value(self._event2(hidden), -LARGEST_LOGIT, LARGEST_LOGIT)
        weight = tf.reshape(tf.exp(logit), [-1, HISTORY, HEADS + 1])
        weight *= tf.cast(there, tf.float32)[:, :, None]
        return weight[:, :, :HEADS], weight[:, :, HEADS]

    def read(self, vectors: Any, weights: Any, newest_age_s: Any) -> tuple[Any, Any]:
        """The user as a vector, and as a traveller.

        Args:
            vectors: float[b, 64, WIDTH], place side of the history.
            weights: float[b, 64, HEADS].
            newest_age_s: float[b], age of the newest event.

        Returns:
            float[b, WIDTH], and weights of the distance's knots, float[b, DISTANCE_KNOTS].
        """
        total = tf.reduce_sum(weights, axis=1)
        pools = tf.einsum("bhw,bhk->bkw", vectors, weights) / (1e-3 + total)[:, :, None]
        flat = tf.reshape(pools, [-1, HEADS * WIDTH])
        parts = [flat, _age_basis(newest_age_s), tf.math.log1p(total[:, :1])]
        hidden = tf.nn.relu(self._user1(tf.concat(parts, axis=1)))
        return self._user2(hidden) + pools[:, 0], self._distance(hidden)

    def known(self, weight_here: Any) -> Any:
        """Score for having been at the very place: float, same shape as the summed weights."""
        return tf.nn.softplus(self._known) * tf.math.log1p(weight_here)


class TwoTower(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Both sides' weights.

    Args:
        places: of the catalogue at training.
        first_bias: float32[vocabulary rows], first guess of the places' biases.
        rng: draws the other first weights.
    """

    def __init__(
        self, places: Places, first_bias: NDArray[np.float32], rng: np.random.Generator
    ) -> None:
        super().__init__()
        self.places = places
        self.user_side = UserSide(rng)
        self.place = embedding(places.vocabulary.rows, WIDTH, rng, 0.1)
        self.category = embedding(places.categories, WIDTH, rng, 0.1)
        self.bias = tf.Variable(first_bias[:, None].astype(np.float32))
        self.category_distance = embedding(places.categories, DISTANCE_KNOTS, rng, 0.0)

    def vectors(self, row: Any, category: Any) -> Any:
        """Place side: float[..., WIDTH] of embedding rows and categories."""
        return tf.gather(self.place, row) + tf.gather(self.category, category)

    def baked(self) -> NDArray[np.float32]:
        """All that the score needs of each place: [1 + catalogue, WIDTH + DISTANCE_KNOTS + 1].

        Vector, weights of the distance's knots, bias. Row 0 is a place unknown to the catalogue;
        row i + 1 that of catalogue row i.
        """
        order = np.r_[-1, np.arange(len(self.places.hashes))]
        row, category = self.places.row[order], self.places.category[order]
        parts = [self.vectors(row, category).numpy(), self.category_distance.numpy()[category]]
        return np.concatenate([*parts, self.bias.numpy()[row]], axis=1)


def distance_basis(distance_m: Any) -> Any:
    """float[...] metres -> float[..., knots]."""
    return hats(tf.math.log1p(distance_m / 100), DISTANCE_LAST, DISTANCE_KNOTS)


def _age_basis(age_s: Any) -> Any:
    return hats(tf.math.log1p(age_s / 3_600), AGE_LAST, AGE_KNOTS)


def weight_at(ids: Any, weights: Any, places: Any) -> Any:
    """Sum of the weights of the events at each place.

    Sorted once and looked up in the running sum, since comparing each of N places with each of
    64 events costs more than all the rest of the model.

    Args:
        ids: int[b, 144] of the history's events.
        weights: float[b, 144], or of several kinds, float[b, 144, k].
        places: int[b, n].

    Returns:
        float[b, n] or float[b, n, k].
    """
    order = tf.argsort(ids, axis=1)
    ordered = tf.gather(ids, order, batch_dims=1)
    running = tf.cumsum(tf.gather(weights, order, batch_dims=1), axis=1)
    running = tf.pad(running, [[0, 0], [1, 0], *[[0, 0]] * (weights.shape.rank - 2)])
    low = tf.searchsorted(ordered, places, side="left")
    high = tf.searchsorted(ordered, places, side="right")
    summed = tf.gather(running, high, batch_dims=1) - tf.gather(running, low, batch_dims=1)
    return tf.nn.relu(summed)
