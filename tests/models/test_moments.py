"""Where and when each choice was made, and that neither gives the answer away."""

from dataclasses import fields

import numpy as np
import pytest

from contracts.ids import id64
from models import moments as moments_module
from models.moments import AT_PLACE_M, LEAD_S, Moments, find_moments
from online_features.catalogue import Catalogue
from tests.models.conftest import Data
from tests.models.logs import DEGREE_M, NONE, START_S, Row, catalogue_of, log_of

HOUR_S = 3_600.0
PLACES = {"home": (40.0, -74.0), "cafe": (40.01, -74.0), "bar": (40.02, -74.0)}


@pytest.fixture
def catalogue() -> Catalogue:
    return catalogue_of(PLACES)


def _find(catalogue: Catalogue, rows: list[Row], seed: int = 0) -> Moments:
    return find_moments(log_of(rows), catalogue, np.random.default_rng(seed))


def _places(moments: Moments, catalogue: Catalogue) -> list[str]:
    return [catalogue.ids[row] for row in moments.place]


def test_check_ins_are_asked_from_the_previous_place(catalogue: Catalogue) -> None:
    """Visits without a location: the first one has no whereabouts and is left out."""
    moments = _find(catalogue, [("u", "home", "visit", 0), ("u", "cafe", "visit", 60)])
    assert _places(moments, catalogue) == ["cafe"]
    assert (moments.lat[0], moments.lng[0]) == PLACES["home"]
    assert (moments.before[0], moments.time_s[0]) == (1, START_S + 60)
    assert moments.user[0] == id64("u")


def test_other_users_say_nothing(catalogue: Catalogue) -> None:
    """The newest event before is someone else's; the user's own is one further back."""
    rows: list[Row] = [
        ("u", "home", "visit", 0),
        ("v", "bar", "visit", 30),
        ("u", "cafe", "visit", 60),
    ]
    moments = _find(catalogue, rows)
    assert _places(moments, catalogue) == ["cafe"]
    assert moments.lat[0] == PLACES["home"][0]


def test_a_location_away_from_the_place_is_the_requests(catalogue: Catalogue) -> None:
    """A visit announced from afar was announced from where the user was."""
    moments = _find(catalogue, [("u", "cafe", "visit", 0, NONE, 40.5, -74.5)])
    assert (moments.lat[0], moments.lng[0]) == (40.5, -74.5)


def test_a_location_at_the_place_is_not_the_requests(catalogue: Catalogue) -> None:
    """A visit sent from within the place would put the request at its own answer."""
    lat, lng = PLACES["cafe"]
    inside = lat + (AT_PLACE_M - 5) / DEGREE_M
    rows: list[Row] = [("u", "home", "visit", 0), ("u", "cafe", "visit", 60, NONE, inside, lng)]
    assert _find(catalogue, rows).lat.tolist() == [PLACES["home"][0]]
    outside = lat + (AT_PLACE_M + 5) / DEGREE_M
    rows[1] = ("u", "cafe", "visit", 60, NONE, outside, lng)
    assert _find(catalogue, rows).lat.tolist() == [outside]


def test_a_look_does_not_put_the_user_at_the_place(catalogue: Catalogue) -> None:
    """A click without a location tells nothing; the visit before it does."""
    rows: list[Row] = [
        ("u", "home", "visit", 0),
        ("u", "cafe", "click", 50_000),
        ("u", "cafe", "visit", 50_060),
    ]
    for seed in range(8):
        moments = _find(catalogue, rows, seed)
        assert moments.lat.tolist() == [PLACES["home"][0]]


def test_the_moment_is_any_step_of_the_way_to_the_visit(catalogue: Catalogue) -> None:
    """View, click, visit: each is drawn sometimes, and the features know only what came before."""
    rows: list[Row] = [
        ("u", "home", "visit", 0),
        ("u", "cafe", "view", HOUR_S),
        ("u", "bar", "view", HOUR_S + 5),
        ("u", "cafe", "click", HOUR_S + 10),
        ("u", "cafe", "visit", HOUR_S + 600),
    ]
    drawn = {}
    for seed in range(40):
        moments = _find(catalogue, rows, seed)
        assert _places(moments, catalogue) == ["cafe"]
        assert moments.known_s[0] == START_S + HOUR_S + 600
        drawn[int(moments.before[0])] = float(moments.time_s[0] - START_S)
    assert drawn == {1: HOUR_S, 3: HOUR_S + 10, 4: HOUR_S + 600}


def test_looks_of_long_ago_did_not_lead_to_the_visit(catalogue: Catalogue) -> None:
    """A view just longer ago than three hours is history, not the way to this visit."""
    rows: list[Row] = [
        ("u", "home", "visit", 0),
        ("u", "cafe", "view", 10),
        ("u", "cafe", "visit", 10 + LEAD_S + 1),
    ]
    assert {int(_find(catalogue, rows, seed).before[0]) for seed in range(20)} == {2}


def test_only_good_ratings_that_no_visit_went_before_are_choices(catalogue: Catalogue) -> None:
    """A rating after a visit is the same choice; 3 is good, 2.9 is not."""
    rows: list[Row] = [
        ("u", "home", "visit", 0),
        ("u", "cafe", "visit", 100),
        ("u", "cafe", "rate", 200, 5.0),
        ("u", "bar", "rate", 300, 3.0),
        ("v", "home", "visit", 400),
        ("v", "bar", "rate", 500, 2.9),
    ]
    moments = _find(catalogue, rows)
    assert _places(moments, catalogue) == ["cafe", "bar"]
    assert moments.before.tolist() == [1, 3]


def test_views_and_clicks_are_no_choices_and_unknown_places_none_either(
    catalogue: Catalogue,
) -> None:
    """Neither a look, nor a visit to a place that the catalogue does not know."""
    rows: list[Row] = [
        ("u", "home", "visit", 0),
        ("u", "cafe", "view", 10),
        ("u", "bar", "click", 20),
        ("u", "elsewhere", "visit", 30),
    ]
    assert len(_find(catalogue, rows)) == 0


def test_an_empty_log_has_no_moments(catalogue: Catalogue) -> None:
    """Nothing happened yet."""
    one = log_of([("u", "home", "visit", 0)])
    moments = find_moments(one.take(slice(0, 0)), catalogue, np.random.default_rng(0))
    assert len(moments) == 0


def test_moments_keep_their_type() -> None:
    """`take` of a mask gives moments again."""
    columns = {name: np.arange(3) for name in ("before", "user", "place", "time_s", "known_s")}
    moments = Moments(**columns, lat=np.zeros(3), lng=np.zeros(3))  # type: ignore[arg-type]
    assert moments.take(np.array([True, False, True])).before.tolist() == [0, 2]


@pytest.mark.parametrize("at_once", [1_000, 37])
def test_users_may_be_gone_through_in_shares(
    data: Data, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same moments to the last of them, drawn alike, as from the whole log at once."""
    whole = find_moments(data.log, data.catalogue, np.random.default_rng(4))
    monkeypatch.setattr(moments_module, "EVENTS_AT_ONCE", at_once)
    assert len(list(moments_module._shares(data.log))) > 1
    shared = find_moments(data.log, data.catalogue, np.random.default_rng(4))
    for field in fields(whole):
        np.testing.assert_array_equal(getattr(shared, field.name), getattr(whole, field.name))
