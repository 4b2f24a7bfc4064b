"""A small scene for a demonstration: a user with a history, a spot, and three fresh events.

The user suddenly turns to a category that they hardly ever chose and that is dense around the
spot. Nothing is said about scores: the scene only supplies events that a recommender which
reads the last minutes should answer to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from contracts.events import AGE_GROUPS, EventType
from contracts.ids import id64
from placestream.simulation.places import distance_m
from placestream.simulation.times import iso

RADIUS_M = 1_200.0
_LEAST_EVENTS = 12  # of a user: a history worth the name
_LEAST_NEAR = 5  # places of the category around the spot: some are left to recommend
_MOST_SHARE = 0.01  # of the category in what the user did so far
_ENOUGH_NEAR = 12
_LEAST_STEPS = 100  # to judge a category by what follows it
_USERS_TRIED = 150
_SPOTS_TRIED = 3
#: Check-ins are full of these, and nobody asks for more of them.
_ERRANDS = frozenset({
    "Home (private)", "Residential Building (Apartment / Condo)", "Office", "Building", "Road",
    "Street", "Bridge", "Neighborhood", "City", "Subway", "Train Station", "Bus Station",
    "Light Rail", "Ferry", "Airport", "Gas Station / Garage", "Bank", "Medical Center",
    "Government Building", "School", "High School", "Elementary School", "Parking",
    "Moving Target", "General Travel", "Taxi", "Travel & Transport", "Housing Development",
    "Drugstore / Pharmacy", "Post Office", "Convenience Store", "Laundry Service",
    "Funeral Home", "Cemetery", "Military Base", "Factory", "College Academic Building",
    "Professional & Other Places", "Shop & Service", "Structure", "Other Great Outdoors",
    "Deli / Bodega", "Church", "Synagogue", "Mosque", "Temple", "University", "Hotel",
})  # fmt: skip


class NoStory(ValueError):
    """The source holds no user and spot that fit; the message says what was missing."""


@dataclass(frozen=True)
class Step:
    """One event of a scene: what is done with which of its places, how long before its end."""

    kind: EventType
    place: int
    before_s: float


#: Someone opens the pages of two places, and goes to the second.
BROWSING = (Step("click", 0, 20), Step("click", 1, 10), Step("visit", 1, 0))
#: For sources that know visits only: three places on one afternoon.
STROLLING = (Step("visit", 0, 2_700), Step("visit", 1, 1_500), Step("visit", 2, 0))


@dataclass(frozen=True)
class Past:
    """What a scene is chosen from, in columns.

    Attributes:
        user: row of the user of each interaction, in the order of time, int64[n].
        place: row of the place of each interaction, int64[n].
        lat, lng: of places, degrees, float64[P].
        category: index in `categories` of each place, -1 where none, int64[P].
        categories: names.
        usable: whether a place may play a part (open at that moment), bool[P].
        user_id, place_id: id of a row, as events carry it.
        age_group: age group of a user's row, None where unknown.
        steps: what happens.
    """

    user: np.ndarray
    place: np.ndarray
    lat: np.ndarray
    lng: np.ndarray
    category: np.ndarray
    categories: list[str]
    usable: np.ndarray
    user_id: Callable[[int], int | str]
    place_id: Callable[[int], int | str]
    age_group: Callable[[int], str | None]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Story:
    """A scene.

    Attributes:
        user_id: who.
        age_group: the user's, if known.
        lat, lng: where, degrees: at a place that the user knows well.
        category: what the user turns to.
        before: interactions of the user with that category so far.
        history: interactions of the user so far.
        near: places of the category within `RADIUS_M` of the spot, open then where that is known.
        place_ids: the places of the events.
        place_spots: their latitudes and longitudes.
        steps: what happens.
    """

    user_id: int | str
    age_group: str | None
    lat: float
    lng: float
    category: str
    before: int
    history: int
    near: int
    place_ids: tuple[int | str, ...]
    place_spots: tuple[tuple[float, float], ...]
    steps: tuple[Step, ...]

    def events(self, at_s: float) -> list[dict[str, Any]]:
        """Three `Interaction` dicts, the last at `at_s` (Unix seconds), oldest first."""
        return [self._event(number, step, at_s) for number, step in enumerate(self.steps)]

    def summary(self) -> str:
        """The scene in a sentence."""
        done = ", ".join(step.kind for step in self.steps)
        return (
            f"user {self.user_id} ({self.history} interactions, {self.before} with this category) "
            f"at {self.lat:.5f}, {self.lng:.5f}: {done} at a {self.category}; there are "
            f"{self.near} within {RADIUS_M:.0f} m"
        )

    def _event(self, number: int, step: Step, at_s: float) -> dict[str, Any]:
        run = f"story-{id64(f'{self.user_id}|{self.category}|{at_s}'):016x}"
        spot = self.place_spots[step.place] if step.kind == "visit" else (self.lat, self.lng)
        event: dict[str, Any] = {
            "event_id": f"{run}-{number}",
            "user_id": self.user_id,
            "place_id": self.place_ids[step.place],
            "event_type": step.kind,
            "timestamp": iso(at_s - step.before_s),
            "context": {"session_id": run, "location": {"lat": spot[0], "lng": spot[1]}},
        }
        if self.age_group is not None:
            event["user_age_group"] = self.age_group
        return event


@dataclass(frozen=True)
class _Scene:
    user: int
    spot: int
    category: int
    before: int
    places: np.ndarray  # of the category around the spot, most visited first


def find_story(past: Past) -> Story:
    """Choose the scene; the same past always gives the same one.

    Among users with a middling history (a long one hides three events), at one of their most
    frequent places: a category that they hardly ever chose, that stands around in numbers, and
    that people who take it up go on with.

    Raises:
        NoStory: nobody and nowhere fits.
    """
    popularity = np.bincount(past.place, minlength=len(past.lat))
    pull = _pull(past)
    best: tuple[float, _Scene] | None = None
    for user in _middling_users(past):
        for scored in _scenes(past, int(user), popularity, pull):
            if best is None or scored[0] > best[0]:
                best = scored
    if best is None:
        raise NoStory(
            f"no user with {_LEAST_EVENTS} interactions or more knows a spot with {_LEAST_NEAR} "
            f"(open) places of a category new to them within {RADIUS_M:.0f} m"
        )
    return _story(past, best[1])


def _middling_users(past: Past) -> np.ndarray:
    counts = np.bincount(past.user)
    # No scene sends a child to a bar.
    known = np.array(
        [
            row
            for row in np.flatnonzero(counts >= _LEAST_EVENTS).tolist()
            if past.age_group(row) != AGE_GROUPS[0]
        ],
        np.int64,
    )
    away = np.abs(np.log(counts[known] / np.median(counts[known]))) if len(known) else known
    return known[np.argsort(away, kind="stable")[:_USERS_TRIED]]


def _pull(past: Past) -> np.ndarray:
    """How far each category leads on to more of it, float64[categories]; 0 for errands.

    The share of interactions that the same user follows up with another place of the
    category, less the category's share of all interactions: where it is high, three fresh
    events tell something.
    """
    order = np.lexsort((np.arange(len(past.user)), past.user))
    user, place = past.user[order], past.place[order]
    category = past.category[place]
    onward = (user[1:] == user[:-1]) & (place[1:] != place[:-1]) & (category[:-1] >= 0)
    before, after = category[:-1][onward], category[1:][onward]
    size = len(past.categories)
    steps = np.bincount(before, minlength=size)
    again = np.bincount(before[after == before], minlength=size)
    chance = np.bincount(category[category >= 0], minlength=size) / max(1, len(category))
    pull = again / np.maximum(steps, _LEAST_STEPS) - chance
    pull[[name in _ERRANDS for name in past.categories]] = 0.0
    return np.maximum(pull, 0.0)


def _scenes(
    past: Past, user: int, popularity: np.ndarray, pull: np.ndarray
) -> list[tuple[float, _Scene]]:
    """The best scene at each of the user's most frequent places, with its score."""
    own = past.place[past.user == user]
    mine = past.category[own]
    done = np.bincount(mine[mine >= 0], minlength=len(past.categories))
    spots, counts = np.unique(own, return_counts=True)
    scenes = []
    for spot in spots[np.argsort(-counts, kind="stable")[:_SPOTS_TRIED]].tolist():
        away_m = distance_m(past.lat[spot], past.lng[spot], past.lat, past.lng)
        around = np.flatnonzero(
            (away_m < RADIUS_M) & past.usable & (past.category >= 0) & (popularity > 0)
        )
        near = np.bincount(past.category[around], minlength=len(past.categories))
        fits = (near >= _LEAST_NEAR) & (done <= _MOST_SHARE * len(own))
        score = np.where(fits, np.minimum(near, _ENOUGH_NEAR) * pull, 0.0)
        category = int(score.argmax())
        if score[category] > 0:
            there = around[past.category[around] == category]
            there = there[np.argsort(-popularity[there], kind="stable")]
            scene = _Scene(user, spot, category, int(done[category]), there)
            scenes.append((float(score[category]), scene))
    return scenes


def _story(past: Past, scene: _Scene) -> Story:
    places = scene.places[: 1 + max(step.place for step in past.steps)]
    return Story(
        user_id=past.user_id(scene.user),
        age_group=past.age_group(scene.user),
        lat=float(past.lat[scene.spot]),
        lng=float(past.lng[scene.spot]),
        category=past.categories[scene.category],
        before=scene.before,
        history=int((past.user == scene.user).sum()),
        near=len(scene.places),
        place_ids=tuple(past.place_id(int(row)) for row in places),
        place_spots=tuple((float(past.lat[row]), float(past.lng[row])) for row in places),
        steps=past.steps,
    )
