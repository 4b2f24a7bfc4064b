"""Maximal marginal relevance over what the service knows of places."""

import numpy as np
import pytest

from inference.diversity import CLOSENESS, KIND, PRICE, VECTOR_SHARE, Places, varied
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
    to_bar = Places(catalogue, np.arange(4)).alike(0)
    closeness = CLOSENESS * np.exp(-1)  # 300 m away
    assert to_bar == pytest.approx([1.0, KIND / 2 + closeness, closeness, 1.0], abs=1e-4)
    assert pytest.approx(1.0) == KIND + CLOSENESS + PRICE


def test_vectors_share_the_kind_with_the_category() -> None:
    """Of one category, of others, of none: cosines 1, 0.6, -1 (which counts as 0), and unknown.

    All stand farther apart than counts, and have no price.
    """
    catalogue = catalogue_of(
        *(place(f"p{i}", 50_000.0 * i, category="Bar") for i in range(4)),
        place("other", 200_000, category="Museum"),
        place("bare", 250_000),
    )
    vectors = np.array([[2, 0], [3, 0], [-1, 0], [0, 0], [3, 4], [0, 0]], np.float32)
    places = Places(catalogue, np.arange(6), vectors)
    own = (1 - VECTOR_SHARE) * KIND
    itself, alike = KIND + CLOSENESS, KIND * VECTOR_SHARE * 0.6
    assert places.alike(0) == pytest.approx([itself, KIND, own, KIND, alike, 0.0], abs=1e-6)
    # It has no vector.
    assert places.alike(3) == pytest.approx([KIND, KIND, KIND, itself, 0.0, 0.0], abs=1e-6)
    assert places.take(np.array([4, 0])).alike(0) == pytest.approx([itself, alike], abs=1e-6)


def test_vectors_choose_between_places_that_are_else_alike() -> None:
    """Worked by hand: after the first, the one whose visitors differ, though it scores less.

    Diversity 0.5; relevance 1, 0.9, 0.8, 0. After "first", "same" has likeness 0.6, and so
    0.45 - 0.3 = 0.15; "other" has likeness 0.3, and so 0.4 - 0.15 = 0.25.
    """
    names = ("first", "same", "other", "last")
    catalogue = catalogue_of(
        *(place(name, 50_000.0 * i, category="Bar") for i, name in enumerate(names))
    )
    scores = np.array([1.0, 0.9, 0.8, 0.0], np.float32)
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    at, final = varied(scores, Places(catalogue, np.arange(4), vectors), 2, 0.5)
    assert at.tolist() == [0, 2]
    assert final == pytest.approx([0.5, 0.25])
    at, final = varied(scores, Places(catalogue, np.arange(4)), 2, 0.5)  # an older export
    assert at.tolist() == [0, 1]
    assert final == pytest.approx([0.5, 0.15])


def test_none_is_the_scores_own_order() -> None:
    """Diversity 0 costs nothing."""
    catalogue, scores = town(1)
    at, _ = varied(scores, Places(catalogue, np.arange(60)), 10, 0.0)
    assert at.tolist() == np.argsort(-scores, kind="stable")[:10].tolist()


@pytest.mark.parametrize("diversity", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("told", [False, True])
def test_each_pick_is_the_best_by_the_formula(seed: int, diversity: float, told: bool) -> None:
    """Against the formula written out, pick by pick, over the head; with vectors and without."""
    catalogue, scores = town(seed)
    vectors = np.random.default_rng(seed).normal(size=(60, 4)).astype(np.float32)
    places = Places(catalogue, np.arange(60), vectors if told else None)
    at, final = varied(scores, places, 10, diversity)
    head = np.argsort(-scores, kind="stable")[:HEAD_LEAST]
    alike = np.array([places.alike(i)[head] for i in head.tolist()])
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
            at, _ = varied(scores, Places(catalogue, np.arange(60)), 8, diversity)
            alike = np.array([Places(catalogue, at).alike(i) for i in range(8)])
            likeness.append((alike.sum() - 8) / 56)
        means.append(np.mean(likeness))
    assert means[0] > means[1] > means[2]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_short_lists_and_equal_scores_are_no_trouble(n: int) -> None:
    """All are returned, in the order they came in where nothing tells them apart."""
    catalogue = catalogue_of(*(place(f"p{i}", 100.0) for i in range(3)))
    at, final = varied(np.zeros(n, np.float32), Places(catalogue, np.arange(n)), 10, 0.4)
    assert at.tolist() == list(range(n))
    assert np.isfinite(final).all()
