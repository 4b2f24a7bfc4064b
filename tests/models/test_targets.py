"""Targets: chances among what was looked at, what is expected of them, and how alike users are."""

import numpy as np
import pytest

from models.targets import Chances, Targets

N, PLACES = 4_000, 5


def drawn(
    rng: np.random.Generator,
    *,
    n: int = N,
    truth: float = 1.0,
    places: int = PLACES,
    user: np.ndarray | None = None,
) -> Chances:
    """Answers of which users choose by the probabilities to the power of `truth`."""
    probability = rng.dirichlet(np.ones(places), n)
    odds = probability**truth
    odds /= odds.sum(axis=1, keepdims=True)
    choice = (rng.random((n, 1)) > odds.cumsum(axis=1)).sum(axis=1).clip(max=places - 1)
    users = np.arange(n, dtype=np.uint64) if user is None else user
    return Chances.of(
        0.3 * probability.ravel(),
        (np.arange(places) == choice[:, None]).ravel(),
        places * np.arange(n + 1),
        users,
    )


def test_chances_are_shares_of_each_answer() -> None:
    """Two answers with a choice; one without, and one without an alternative, fall out."""
    found = Chances.of(
        np.array([0.3, 0.1, 0.5, 0.5, 0.7, 0.2, 0.1, 0.1]),
        np.array([1, 0, 0, 0, 1, 0, 1, 0], bool),
        np.array([0, 2, 4, 5, 8]),
        np.array([7, 8, 9, 10], np.uint64),
    )
    assert found.share == pytest.approx([0.75, 0.25, 0.5, 0.25, 0.25])
    assert found.first.tolist() == [0, 2, 5]
    assert found.chosen == pytest.approx([0.75, 0.25])
    assert found.user.tolist() == [7, 10]


def test_parts_join_as_if_they_had_been_one() -> None:
    """Where answers begin moves by what lies before them; a part may be empty."""
    rng = np.random.default_rng(1)
    one, other = drawn(rng, n=3), drawn(rng, n=2, places=2)
    nothing = Chances.of(np.zeros(0), np.zeros(0, bool), np.zeros(1, int), np.zeros(0, np.uint64))
    both = Chances.joined([one, nothing, other])
    assert both.first.tolist() == [0, 5, 10, 15, 17, 19]
    assert both.share.tolist() == [*one.share, *other.share]
    assert both.chosen.tolist() == [*one.chosen, *other.chosen]


def test_what_is_expected_is_the_mass_of_each_band() -> None:
    """Chances .6, .3 and .1 on bands cut at .2 and .5: each band holds the chance within it."""
    targets = Targets.of(drawn(np.random.default_rng(1)))
    assert targets is not None
    one = Chances.of(
        np.array([0.6, 0.3, 0.1]), np.eye(3, dtype=bool)[1], np.array([0, 3]), np.ones(1, np.uint64)
    )
    expected = targets.expected(one)[0]
    for share in (0.6, 0.3, 0.1):
        band = np.searchsorted(targets.edges, share)
        mine = [s for s in (0.6, 0.3, 0.1) if np.searchsorted(targets.edges, s) == band]
        assert expected[band] == pytest.approx(sum(mine))
    assert targets.band(one).tolist() == [np.searchsorted(targets.edges, 0.3)]


def test_a_calibrated_model_is_expected_to_be_right_however_many_were_looked_at() -> None:
    """Ratios are about 1, and hold for lists of another length than those of the training."""
    rng = np.random.default_rng(2)
    targets = Targets.of(drawn(rng))
    assert targets is not None
    # A band holds an eighth of the choices: its count varies by the square root of that.
    error = np.sqrt(8 / N)
    assert np.abs(targets.ratio - 1).max() < 5 * error
    short = drawn(rng, places=2)
    count = np.bincount(targets.band(short), minlength=targets.bands)
    meant = targets.expected(short).sum(axis=0)
    assert np.abs(count - meant).max() < 5 * np.sqrt(N / 4)


def test_a_model_that_is_too_bold_is_expected_to_be_as_bold_again() -> None:
    """Users choose more evenly than it says: what it gives much is chosen less than it says."""
    targets = Targets.of(drawn(np.random.default_rng(3), truth=0.4))
    assert targets is not None
    assert targets.ratio[-1] < 0.8 < 1.5 < targets.ratio[0]


def test_choices_of_one_user_that_are_alike_count_for_less() -> None:
    """Users of whom each always takes the first, or always the last, of equal chances."""
    rng = np.random.default_rng(4)
    user = np.repeat(np.arange(N // 20, dtype=np.uint64), 20)
    alone = Targets.of(drawn(rng, user=user))
    bold = rng.random(N // 20) < 0.75
    probability = np.tile([0.75, 0.25], N)
    first = np.stack([bold[user], ~bold[user]], axis=1).ravel()
    alike = Targets.of(Chances.of(probability, first, 2 * np.arange(N + 1), user))
    assert alone is not None
    assert alike is not None
    assert float(alone.likeness.effect(20.0)) < 1.5
    # Twenty choices of one user are one: 1 + 19.
    assert float(alike.likeness.effect(20.0)) == pytest.approx(20, rel=0.25)


def test_no_choice_at_all_makes_no_target() -> None:
    """Held-out requests of which nothing shown was chosen."""
    nothing = Chances.of(
        np.full(4, 0.5), np.zeros(4, bool), np.array([0, 2, 4]), np.arange(2, dtype=np.uint64)
    )
    assert Targets.of(nothing) is None
