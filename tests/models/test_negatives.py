"""The four negatives of each choice: of which kinds, and how often each place is expected."""

import numpy as np
import pytest

from models import negatives
from models.moments import LEAD_S, find_moments
from models.negatives import Sampler, Visits
from online_features.catalogue import Catalogue
from online_features.columns import VISIT
from tests.models.conftest import Data
from tests.models.logs import Row, catalogue_of, log_of

# "far" lies outside of the two nearest places of the others.
PLACES = {"a": (40.0, -74.0), "b": (40.001, -74.0), "c": (40.002, -74.0), "far": (41.0, -74.0)}


@pytest.fixture
def catalogue() -> Catalogue:
    return catalogue_of(PLACES)


@pytest.fixture
def rows() -> list[Row]:
    """Alternating visits of one user, hours apart, and a second user's."""
    day: list[Row] = []
    for number in range(12):
        day.append(("u", "ab"[number % 2], "visit", number * 4 * LEAD_S))
        day.append(("v", "c", "view", number * 4 * LEAD_S + 1))
        day.append(("v", "far", "visit", number * 4 * LEAD_S + 2))
    return day


def test_nobodys_choice_of_the_occasion_is_drawn(data: Data) -> None:
    """Neither the chosen place, nor one that the user visited within the same three hours."""
    rng = np.random.default_rng(0)
    moments = find_moments(data.log, data.catalogue, rng)
    drawn = Sampler(data.log, data.catalogue, moments, rng).draw()
    assert drawn.shape == (len(moments), 4)
    assert not (drawn == moments.place[:, None]).any()
    rows = data.catalogue.rows_of(data.log.place)
    for i in range(0, len(moments), 29):
        near_in_time = np.abs(data.log.time_s - moments.time_s[i]) <= LEAD_S
        mine = near_in_time & (data.log.user == moments.user[i]) & (data.log.kind == VISIT)
        assert not np.isin(drawn[i], rows[mine]).any()


def test_the_known_one_was_visited_before_and_the_near_one_is_near(data: Data) -> None:
    """Unless the user has no other known place, when something else stands in."""
    rng = np.random.default_rng(0)
    moments = find_moments(data.log, data.catalogue, rng)
    drawn = Sampler(data.log, data.catalogue, moments, rng).draw()
    rows = data.catalogue.rows_of(data.log.place)
    known, could = 0, 0
    for i in range(0, len(moments), 7):
        past = slice(0, int(moments.before[i]))
        mine = (data.log.user[past] == moments.user[i]) & (data.log.kind[past] == VISIT)
        visited = set(rows[past][mine].tolist()) - {int(moments.place[i])}
        if len(visited) > 3:
            could += 1
            known += int(drawn[i, 3]) in visited
    assert could > 20
    assert known / could > 0.95


def test_expected_counts_are_what_is_drawn(
    catalogue: Catalogue, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn two thousand times over, each place comes as often as expected."""
    monkeypatch.setattr(negatives, "NEAR_PLACES", 2)
    log = log_of(rows)
    rng = np.random.default_rng(0)
    moments = find_moments(log, catalogue, rng)
    last = moments.take(np.flatnonzero(moments.user == log.user[0])[-1:])
    many = last.take(np.zeros(4_000, np.int64))
    sampler = Sampler(log, catalogue, many, rng)
    # Single draws of each kind, without the redraws that `expected` leaves out.
    everyone = np.arange(len(many))
    kinds = (sampler._anywhere, sampler._popular, sampler._nearby, sampler._known)
    drawn = np.stack([kind(everyone) for kind in kinds], axis=1)
    counts = np.bincount(drawn.ravel(), minlength=4) / len(many)
    expected = Sampler(log, catalogue, last, rng).expected(np.arange(4)[None, :])[0]
    assert expected.sum() == pytest.approx(4, rel=1e-5)
    np.testing.assert_allclose(counts, expected, atol=0.04)


def test_visits_are_counted_by_user_place_and_position(data: Data) -> None:
    """Against counting through the log, at random places and moments."""
    rng = np.random.default_rng(1)
    rows = data.catalogue.rows_of(data.log.place)
    visits = Visits(data.log, rows, len(data.catalogue))
    asked = rng.integers(0, len(data.log), 60)
    before = rng.integers(0, len(data.log), 60)
    user, place = data.log.user[asked], rows[asked]
    _, by_user = visits.of_user(user, before)
    by_place = visits.of_place(place, before)
    newest = visits.newest_at(user, place, before)
    is_visit = data.log.kind == VISIT
    for i in range(60):
        past = np.arange(len(data.log)) < before[i]
        mine = np.flatnonzero(past & is_visit & (data.log.user == user[i]))
        assert by_user[i] == len(mine)
        assert by_place[i] == (past & is_visit & (rows == place[i])).sum()
        assert newest[i] == (rows[mine[-negatives.KNOWN_VISITS :]] == place[i]).sum()


def test_a_log_without_visits_still_has_negatives(catalogue: Catalogue) -> None:
    """Choices by rating alone: the known one falls back to a near one."""
    log = log_of([("u", "a", "rate", 9e6 * i, 5.0, 40.0, -73.9) for i in range(1, 4)])
    rng = np.random.default_rng(0)
    moments = find_moments(log, catalogue, rng)
    sampler = Sampler(log, catalogue, moments, rng)
    assert len(moments) == 3
    assert (sampler.draw() != moments.place[:, None]).all()
    assert (sampler.expected(moments.place[:, None]) > 0).all()
