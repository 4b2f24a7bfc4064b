"""Regret, and what users make of lists, on the simulated city, whose truth is known.

A request is the start of a session of the history's last tenth: that user, there, then. The
utility is `Behaviour.utility`: one unit is e-fold odds of being chosen. Beside our system stand the
nearest open places, and the best possible, whose regret is 0 by definition.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.events import ContextUpdate, decode, encode
from contracts.ids import canonical_id, id64
from contracts.settings import Settings
from models.bootstrap import Interval, intervals
from models.evaluation import regret
from models.progress import Reporter
from models.quality.requests import Cuts
from online_features.columns import EventColumns
from online_features.context import ContextLog, ContextState
from online_features.replay import user_states
from online_features.training_log import TrainingLog
from placestream.evaluation.business import Business, business
from placestream.evaluation.contestants import fitted, serve
from placestream.evaluation.material import Known, catalogue_of
from placestream.evaluation.served import Asked
from placestream.simulation.city import City
from placestream.simulation.places import distance_m

SEEN = 10
_UPDATE = msgspec.json.Decoder(ContextUpdate)
_AT_ONCE = 200


@dataclass(frozen=True)
class Regret:
    """Of one way to choose the places shown.

    Attributes:
        first, of_ten: mean utility missed if only the first place, or ten, are seen.
        chance_in_ten: probability, by the true choice model over all places, that the user's
            own choice is among the ten.
        business: what users do who are shown these places.
    """

    first: Interval
    of_ten: Interval
    chance_in_ten: Interval
    business: Business


def known_of(city: City) -> Known:
    """A city as the service would know it at the end of its history."""
    happened = city.events
    users = [canonical_id(city.ids.user(row)) for row in range(len(city.users))]
    places = [canonical_id(city.ids.place(row)) for row in range(len(city.places))]
    columns = EventColumns.of(
        user=np.array([id64(user) for user in users], np.uint64)[happened.user],
        place=np.array([id64(place) for place in places], np.uint64)[happened.place],
        kind=happened.kind,
        time_s=happened.time_ms / 1_000,
        rating=np.where(happened.stars > 0, happened.stars, np.nan),
        age_group=city.users.age[happened.user],
        lat=happened.lat,
        lng=happened.lng,
        dwell_s=happened.dwell_s,
    )
    context = ContextLog(
        [
            (city.region, ContextState.of(decode(_UPDATE, encode(update))))
            for update in city.context_updates()
        ]
    )
    events = TrainingLog.of_columns(columns)
    return Known(events, catalogue_of(city.place_updates()), context, city.region)


def measure(
    city: City, settings: Settings, progress: Reporter, *, requests: int, seed: int
) -> dict[str, Regret]:
    """Train on a city's history but for its last tenth, and measure the regret there.

    Raises:
        TooFewEvents: the city is too small.
    """
    known = known_of(city)
    cuts = Cuts.of(len(known.events), (0.8, 0.1, 0.1))
    at = _session_starts(city, cuts, requests, seed)
    served = serve(known, fitted(known, cuts, settings, progress), settings)
    answers = served.rank(_asked(known, at))
    order = np.argsort(-answers.served, axis=1, kind="stable")
    ours = np.take_along_axis(answers.rows, order, axis=1)
    rows = {id64(canonical_id(city.ids.place(row))): row for row in range(len(city.places))}
    of_catalogue = np.array([rows[h] for h in known.catalogue.hash.tolist()])
    lists = {"placestream": np.where(ours >= 0, of_catalogue[ours], -1)}
    return _regrets(city, at, lists, seed)


def _session_starts(city: City, cuts: Cuts, most: int, seed: int) -> NDArray[np.int64]:
    """Positions of events that begin a session with a known location, ascending."""
    happened = city.events
    _, first = np.unique(happened.session, return_index=True)
    judged = first[(first >= cuts.known) & ~np.isnan(happened.lat[first])]
    drawn = np.random.default_rng(seed).permutation(len(judged))[:most]
    return np.sort(judged[drawn])


def _asked(known: Known, at: NDArray[np.int64]) -> Asked:
    events = known.events
    user = events.user[at]
    return Asked(
        before=at,
        lat=events.lat[at],
        lng=events.lng[at],
        time_s=events.time_s[at],
        user=user,
        states=user_states(events, at, user),
    )


def _regrets(
    city: City, at: NDArray[np.int64], lists: dict[str, NDArray[np.int64]], seed: int
) -> dict[str, Regret]:
    """Regrets of given lists, of the nearest open places, and of the truth itself."""
    values: dict[str, list[NDArray[np.float64]]] = {}
    seen: dict[str, list[NDArray[np.int64]]] = {}
    for part, utility, nearest in _truth(city, at):
        best = np.argsort(-utility, axis=1, kind="stable")[:, :SEEN]
        shown = {name: rows[part] for name, rows in lists.items()}
        for name, rows in (shown | {"nearest open": nearest, "best possible": best}).items():
            values.setdefault(name, []).append(_quantities(utility, rows))
            seen.setdefault(name, []).append(rows[:, :SEEN])
    user = city.events.user[at]
    found = {}
    for name, parts in values.items():
        first, of_ten, chance = intervals(np.concatenate(parts), user, seed=seed)
        led_to = business(city, at, np.concatenate(seen[name]), seed)
        found[name] = Regret(first, of_ten, chance, led_to)
    return found


def _quantities(utility: NDArray[np.floating], lists: NDArray[np.int64]) -> NDArray[np.float64]:
    """The first columns of `Regret`, float64[r, 3]."""
    odds = np.exp(utility - utility.max(axis=1, keepdims=True))
    chance = odds / odds.sum(axis=1, keepdims=True)
    seen = lists[:, :SEEN]
    held = np.where(seen >= 0, np.take_along_axis(chance, np.maximum(seen, 0), axis=1), 0.0)
    return np.stack(
        [regret(utility, lists, 1), regret(utility, lists, SEEN), held.sum(axis=1)], axis=1
    )


def _truth(
    city: City, at: NDArray[np.int64]
) -> Iterator[tuple[slice, NDArray[np.float32], NDArray[np.int64]]]:
    """True utility of all places, and the nearest open places, some requests at a time."""
    happened, places = city.events, city.places
    rows = np.arange(len(places))
    for start in range(0, len(at), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        of = at[part]
        user, time_s = happened.user[of].astype(np.int64), happened.time_ms[of] / 1_000
        lat, lng = happened.lat[of], happened.lng[of]
        every = np.broadcast_to(rows, (len(of), len(rows)))
        utility = city.behaviour.utility(user, every, time_s, lat, lng, city.sky.at(time_s))
        metres = distance_m(lat[:, None], lng[:, None], places.lat, places.lng)
        metres = np.where(city.behaviour.is_open(every, time_s[:, None]), metres, np.inf)
        yield part, utility, np.argsort(metres, axis=1, kind="stable")[:, :SEEN]
