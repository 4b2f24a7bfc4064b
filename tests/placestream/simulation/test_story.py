"""The demonstration's scene: fair, fresh, and possible."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from contracts.events import Interaction
from placestream.simulation import City, NoStory, Plan
from placestream.simulation.places import distance_m
from placestream.simulation.story import BROWSING, RADIUS_M, Past, find_story
from placestream.simulation.times import iso

NOON_S = 1_718_038_800.0  # 2024-06-10 12:00 in Chicago, after the city's history


def test_the_user_hardly_knows_the_category_and_the_spot_is_full_of_it(city: City) -> None:
    """What the scene claims can be counted in the history and the catalogue."""
    story = city.story(NOON_S)
    row = city.ids.user_row(story.user_id)
    own = city.events.place[city.events.user == row]
    names = [c["updates"]["category"] for c in list(city.place_updates())[: len(city.places)]]
    assert story.history == len(own)
    assert story.before == sum(names[place] == story.category for place in own)
    assert story.before <= 0.01 * len(own)
    places = city.places
    of_it = np.array([name == story.category for name in names])
    away_m = distance_m(np.array(story.lat), np.array(story.lng), places.lat, places.lng)
    assert story.near <= (of_it & (away_m < RADIUS_M)).sum()
    assert story.near >= 5
    for place_id in story.place_ids:
        place = city.ids.place_row(place_id)
        assert of_it[place]
        assert away_m[place] < RADIUS_M
        assert city.behaviour.is_open(np.array([place]), np.array([NOON_S])).all()


def test_its_events_are_three_valid_interactions_up_to_the_moment(city: City) -> None:
    """Ordered, decodable, ending at the moment given; another moment gives other ids."""
    story = city.story(NOON_S)
    events = story.events(NOON_S)
    decoded = [msgspec.convert(event, Interaction) for event in events]
    assert [event.event_type for event in decoded] == ["click", "click", "visit"]
    stamps = [event["timestamp"] for event in events]
    assert stamps == sorted(stamps)
    assert stamps[-1] == iso(NOON_S)
    assert {event["user_id"] for event in events} == {story.user_id}
    later = story.events(NOON_S + 60)
    assert {e["event_id"] for e in events}.isdisjoint(e["event_id"] for e in later)
    assert str(story.user_id) in story.summary()


def test_the_same_past_gives_the_same_story(city: City) -> None:
    """Nothing in the choice is random."""
    assert city.story(NOON_S) == city.story(NOON_S)


def bars(**change: object) -> Past:
    """User 0 lives on cafes; the others go from bar to bar; all stands within a few metres."""
    cafe, bar_rows = 0, np.arange(1, 11)
    crawl = np.tile(bar_rows, 3)
    user = np.concatenate([np.zeros(30, int), *(np.full(len(crawl), u) for u in range(1, 6))])
    place = np.concatenate([np.zeros(30, int), *(crawl for _ in range(1, 6))])
    past = Past(
        user=user,
        place=place,
        lat=np.full(11, 40.0) + np.arange(11) * 1e-4,
        lng=np.full(11, -74.0),
        category=np.array([cafe, *np.ones(10, int)]),
        categories=["Cafe", "Bar"],
        usable=np.ones(11, bool),
        user_id=lambda row: f"u{row}",
        place_id=lambda row: f"p{row}",
        age_group=lambda row: "25-34",
        steps=BROWSING,
    )
    return replace(past, **change)  # type: ignore[arg-type]


def test_the_newcomer_is_found() -> None:
    """Of six users, only the one without bars fits; the places are the bars most visited."""
    story = find_story(bars())
    assert (story.user_id, story.category, story.before, story.near) == ("u0", "Bar", 0, 10)
    assert (story.lat, story.lng) == (40.0, -74.0)


@pytest.mark.parametrize(
    "change",
    [
        {"usable": np.zeros(11, bool)},
        {"lat": np.linspace(40, 50, 11)},
        {"categories": ["Cafe", "Office"]},
        {"age_group": lambda row: "0-17"},
        {"user": np.zeros(0, int), "place": np.zeros(0, int)},
    ],
    ids=["all closed", "far apart", "errands only", "children", "no history"],
)
def test_where_nothing_fits_it_says_so(change: dict[str, object]) -> None:
    """No scene is made up."""
    with pytest.raises(NoStory, match="no user"):
        find_story(bars(**change))


def test_a_hamlet_has_no_story() -> None:
    """A city of three places cannot fill a category."""
    with pytest.raises(NoStory):
        City(Plan(users=3, places=3, days=5), ending_s=NOON_S).story(NOON_S)
