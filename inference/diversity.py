"""The order of an answer where the caller says how varied it should be: maximal marginal relevance.

Source: Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents
and Producing Summaries", SIGIR 1998. Each pick is the place with the highest

    (1 - diversity) * relevance - diversity * (likeness to the most alike place picked before)

Relevance is the score, scaled to 0..1 over the head; likeness is told by what the service has at
hand of two places: category, closeness and price. The models' own vectors stay behind TF Serving.
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
CATEGORY, CLOSENESS, PRICE = 0.6, 0.3, 0.1
#: At this distance from each other, closeness has fallen to 37 %: some street blocks.
CLOSE_M = 300.0
#: Price levels go from 1 to 4.
_PRICE_SPAN = 3.0


@dataclass(frozen=True)
class Alike:
    """How alike places of the catalogue are, 0 (nothing in common, or unknown) to 1.

    Attributes:
        catalogue: where they are looked up.
        rows: int64[n], which places.
    """

    catalogue: Catalogue
    rows: NDArray[np.int64]

    def to(self, i: int) -> Values:
        """Likeness of place `i` to every place, float64[n]."""
        metres = distance_m(self._lat[i], self._lng[i], self._lat, self._lng)
        price = 1.0 - np.abs(self._price - self._price[i]) / _PRICE_SPAN
        return np.asarray(
            CATEGORY * self._category(i)
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
    def _kinds(self) -> tuple[list[str], NDArray[np.int64]]:
        """The distinct categories, and which each place has."""
        codes, which = np.unique(self.catalogue.category[self.rows], return_inverse=True)
        names = self.catalogue.categories
        return [names[code] if code >= 0 else "" for code in codes.tolist()], which

    def _category(self, i: int) -> Values:
        names, which = self._kinds
        own = names[int(which[i])]
        return np.array([likeness(own, name) for name in names])[which]


def varied(
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
    catalogue: Catalogue,
    limit: int,
    diversity: float,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Choose and order the places of an answer by marginal relevance.

    Picks from the head that `inference.ordering.pick` picks from, so that an answer with the
    highest diversity still holds nothing but good places.

    Args:
        scores: float32[n], higher is better.
        rows: int64[n], catalogue rows.
        catalogue: of the places.
        limit: places wanted.
        diversity: 0 (the scores' own order) to 1 (as different as the head allows).

    Returns:
        Positions int64[k] and marginal relevance float32[k], which never rises; k = min(limit, n).
    """
    head = np.argsort(-scores, kind="stable")[: max(HEAD_TIMES * limit, HEAD_LEAST)]
    alike = Alike(catalogue, rows[head])
    relevance = _scaled(scores[head].astype(np.float64))
    nearest, left = np.zeros(len(head)), np.ones(len(head), bool)
    picked = np.empty(min(limit, len(head)), np.int64)
    final = np.empty(len(picked), np.float32)
    for i in range(len(picked)):
        marginal = np.where(left, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        best = int(marginal.argmax())
        picked[i], final[i], left[best] = head[best], marginal[best], False
        if diversity > 0:
            nearest = np.maximum(nearest, alike.to(best))
    return picked, final


def _scaled(values: Values) -> Values:
    if not len(values):
        return values
    least, most = values.min(), values.max()
    return (values - least) / (most - least) if most > least else np.ones_like(values)
