"""The order of an answer where the caller says how varied it should be: maximal marginal relevance.

Source: Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents
and Producing Summaries", SIGIR 1998. Each pick is the place with the highest

    (1 - diversity) * relevance - diversity * (likeness to the most alike place picked before)

Relevance is the score, scaled to 0..1 over the head. Likeness of two places is

    KIND * kind + CLOSENESS * exp(-metres / CLOSE_M) + PRICE * (1 - price levels apart / 3)

where kind is the mean of what their categories have in common and of the cosine of their vectors
(`inference.place_vectors`; one below 0 counts as 0). A place of which the model has no vector, as a
new one, is told by its category alone; so are all where the model in service gives none.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from inference.ordering import HEAD_LEAST, HEAD_TIMES
from online_features.catalogue import Catalogue
from online_features.category_tree import likeness
from online_features.geo import distance_m

Values = NDArray[np.float64]

#: What the parts of likeness weigh: two bars at one corner are alike by 0.9, whatever they cost.
KIND, CLOSENESS, PRICE = 0.6, 0.3, 0.1
#: Of kind, what the vectors weigh where both places have one; the rest is the category's.
VECTOR_SHARE = 0.5
#: At this distance from each other, closeness has fallen to 37 %: some street blocks.
CLOSE_M = 300.0
#: Price levels go from 1 to 4.
_PRICE_SPAN = 3.0


@dataclass(frozen=True)
class Places:
    """What is known of places that tells how alike they are.

    Attributes:
        catalogue: where they are looked up.
        rows: int64[n], which places.
        vectors: float32[n, d] of a model, all 0 for a place without one; None: of none.
    """

    catalogue: Catalogue
    rows: NDArray[np.int64]
    vectors: NDArray[np.float32] | None = None

    def take(self, at: NDArray[np.int64]) -> "Places":
        """Those at some positions."""
        vectors = None if self.vectors is None else self.vectors[at]
        return Places(self.catalogue, self.rows[at], vectors)

    def alike(self, i: int) -> Values:
        """Likeness of place `i` to every place, 0 (nothing in common, or unknown) to 1."""
        metres = distance_m(self._lat[i], self._lng[i], self._lat, self._lng)
        price = 1.0 - np.abs(self._price - self._price[i]) / _PRICE_SPAN
        return np.asarray(
            KIND * self._kind(i)
            + CLOSENESS * np.exp(-metres / CLOSE_M)
            + PRICE * np.nan_to_num(price, nan=0.0),
            np.float64,
        )

    @cached_property
    def _lat(self) -> Values:
        return self.catalogue.lat[self.rows]

    @cached_property
    def _lng(self) -> Values:
        return self.catalogue.lng[self.rows]

    @cached_property
    def _price(self) -> NDArray[np.float32]:
        return self.catalogue.price[self.rows]

    @cached_property
    def _categories(self) -> tuple[list[str], NDArray[np.int64]]:
        """The distinct categories, and which each place has."""
        codes, which = np.unique(self.catalogue.category[self.rows], return_inverse=True)
        names = self.catalogue.categories
        return [names[code] if code >= 0 else "" for code in codes.tolist()], which

    @cached_property
    def _unit(self) -> Values:
        """Vectors of length 1; of length 0 where there is none."""
        vectors = np.zeros((len(self.rows), 1)) if self.vectors is None else self.vectors
        length = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        return np.asarray(vectors / np.where(length > 0, length, 1.0))

    def _kind(self, i: int) -> Values:
        names, which = self._categories
        own = names[int(which[i])]
        category = np.array([likeness(own, name) for name in names])[which]
        unit = self._unit
        both = unit.any(axis=1) & unit[i].any()
        mixed = (1 - VECTOR_SHARE) * category + VECTOR_SHARE * np.maximum(unit @ unit[i], 0.0)
        return np.where(both, mixed, category)


def varied(
    scores: NDArray[np.float32], places: Places, limit: int, diversity: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Choose and order the places of an answer by marginal relevance.

    Picks from the head that `inference.ordering.pick` picks from, so that an answer with the
    highest diversity still holds nothing but good places.

    Args:
        scores: float32[n], higher is better.
        places: what is known of the n places.
        limit: places wanted.
        diversity: 0 (the scores' own order) to 1 (as different as the head allows).

    Returns:
        Positions int64[k] and marginal relevance float32[k], which never rises; k = min(limit, n).
    """
    head = np.argsort(-scores, kind="stable")[: max(HEAD_TIMES * limit, HEAD_LEAST)]
    relevance = _scaled(scores[head].astype(np.float64))
    places = places.take(head)
    nearest, left = np.zeros(len(head)), np.ones(len(head), bool)
    picked = np.empty(min(limit, len(head)), np.int64)
    final = np.empty(len(picked), np.float32)
    for i in range(len(picked)):
        marginal = np.where(left, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        best = int(marginal.argmax())
        picked[i], final[i], left[best] = head[best], marginal[best], False
        if diversity > 0:
            nearest = np.maximum(nearest, places.alike(best))
    return picked, final


def _scaled(values: Values) -> Values:
    if not len(values):
        return values
    least, most = values.min(), values.max()
    return (values - least) / (most - least) if most > least else np.ones_like(values)
