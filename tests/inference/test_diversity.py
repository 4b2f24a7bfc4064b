"""Maximal marginal relevance over what the service knows of places."""

import numpy as np
import pytest

from inference.diversity import CATEGORY, CLOSENESS, PRICE, Alike, varied
from inference.ordering import HEAD_LEAST
from online_features.catalogue import Catalogue
from tests.inference.fakes import catalogue_of, place

CATEGORIES = ("Dining > Bar", "Dining > Restaurant > Pho", "Museum", None)


def town(seed: int, n: int = 60) -> tuple[Catalogue, np.ndarray]:
    """Random places and scores."""
    rng = np.random.default_rng(seed)
    price = [None, 1, 2, 3, 4]
    places = [
        place(
            f"p{i}",
            float(rng.integers(0, 2_000)),
            category=CATEGORIES[int(rng.integers(len(CATEGORIES)))],
            price_level=price[int(rng.integers(len(price)))],
        )
        for i in range(n)
    ]
    return catalogue_of(*places), rng.normal(size=n).astype(np.float32)


def test_likeness_adds_up_what_is_known() -> None:
    """Category by shared levels, closeness by distance, price by levels apart; unknown adds 0."""
    catalogue = catalogue_of(
        place("bar", 0, category="Dining > Bar", price_level=1),
        place("pho", 300, category="Dining > Pho", price_level=4),
        place("bare", 300),
        place("twin", 0, category="Dining > Bar", price_level=1),
    )
    to_bar = Alike(catalogue, np.arange(4)).to(0)
    closeness = CLOSENESS * np.exp(-1)  # 300 m away
    assert to_bar == pytest.approx([1.0, CATEGORY / 2 + closeness, closeness, 1.0], abs=1e-4)
    assert pytest.approx(1.0) == CATEGORY + CLOSENESS + PRICE


def test_none_is_the_scores_own_order() -> None:
    """Diversity 0 costs nothing."""
    catalogue, scores = town(1)
    at, _ = varied(scores, np.arange(60), catalogue, 10, 0.0)
    assert at.tolist() == np.argsort(-scores, kind="stable")[:10].tolist()


@pytest.mark.parametrize("diversity", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_each_pick_is_the_best_by_the_formula(seed: int, diversity: float) -> None:
    """Against the formula written out, pick by pick, over the head."""
    catalogue, scores = town(seed)
    at, final = varied(scores, np.arange(60), catalogue, 10, diversity)
    head = np.argsort(-scores, kind="stable")[:HEAD_LEAST]
    alike = np.array([Alike(catalogue, head).to(i) for i in range(len(head))])
    span = scores[head].max() - scores[head].min()
    relevance = (scores[head] - scores[head].min()) / span
    taken: list[int] = []
    for pick, value in zip(at.tolist(), final.tolist(), strict=True):
        marginal = {
            i: (1 - diversity) * relevance[i] - diversity * max(alike[i, taken], default=0.0)
            for i in range(len(head))
            if i not in taken
        }
        assert value == pytest.approx(max(marginal.values()), abs=1e-6)
        taken.append(int(np.flatnonzero(head == pick)[0]))
        assert marginal[taken[-1]] == pytest.approx(value, abs=1e-6)
    assert np.all(np.diff(final) <= 1e-6)


def test_more_diversity_makes_answers_less_alike() -> None:
    """Mean likeness within answers falls as the knob is turned."""
    means = []
    for diversity in (0.0, 0.3, 0.7):
        likeness = []
        for seed in range(20):
            catalogue, scores = town(seed)
            at, _ = varied(scores, np.arange(60), catalogue, 8, diversity)
            alike = np.array([Alike(catalogue, at).to(i) for i in range(8)])
            likeness.append((alike.sum() - 8) / 56)
        means.append(np.mean(likeness))
    assert means[0] > means[1] > means[2]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_short_lists_and_equal_scores_are_no_trouble(n: int) -> None:
    """All are returned, in the order they came in where nothing tells them apart."""
    catalogue = catalogue_of(*(place(f"p{i}", 100.0) for i in range(3)))
    at, final = varied(np.zeros(n, np.float32), np.arange(n), catalogue, 10, 0.4)
    assert at.tolist() == list(range(n))
    assert np.isfinite(final).all()
