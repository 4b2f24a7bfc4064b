"""What follows from the order of visits alone."""

import numpy as np

from tests.models.quality.towns import visits_of

# Users 0 and 1 at places 0 to 2, an hour apart.
LOG = visits_of([(0, 0, 0), (1, 0, 1), (0, 1, 2), (0, 0, 3), (1, 2, 4)], places=3)


def test_the_previous_visit_is_the_same_users() -> None:
    """User 0 at positions 0, 2, 3; user 1 at 1 and 4."""
    assert LOG.previous.tolist() == [-1, -1, 0, 2, 1]


def test_new_is_new_to_the_user() -> None:
    """User 1 is new to place 0 though user 0 was there; user 0 comes back at position 3."""
    assert LOG.is_new.tolist() == [True, True, True, False, True]


def test_pasts_count_earlier_visits_only() -> None:
    """Of the user, and of the place by anyone."""
    assert LOG.user_past.tolist() == [0, 0, 1, 2, 1]
    assert LOG.place_past.tolist() == [0, 1, 0, 2, 0]


def test_origins_are_the_places_come_from() -> None:
    """From place 0 followed the visits at positions 2 and 4."""
    _, positions = LOG.by_origin.before(np.array([0]), np.array([5]))
    assert positions.tolist() == [2, 4]


def test_the_first_visits_know_no_later_ones() -> None:
    """Cut to two visits, nothing has a previous one any more."""
    assert LOG.first(2).previous.tolist() == [-1, -1]
    assert LOG.first(2).places == 3
