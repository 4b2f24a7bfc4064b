"""The true utility: each of its parts does what it says, and choices follow it."""

from dataclasses import replace

import numpy as np
import pytest

from placestream.simulation import City, Drift, Plan
from placestream.simulation.behaviour import CLOSED, Behaviour
from placestream.simulation.categories import CATEGORIES, hour_appeal
from placestream.simulation.places import distance_m
from placestream.simulation.weather import CLOUDY, RAIN, Outside

ENDING_S = 1_718_000_000
NOON_S = 1_717_866_000.0  # Saturday 2024-06-08 12:00 in Chicago


def calm(rows: int, **change: float) -> Outside:
    """Twenty degrees, cloudy, no traffic, nothing on; some of it changed."""
    values = {"temp": 20.0, "condition": CLOUDY, "congestion": 0.0, "happening": 0} | change
    return Outside(
        temp=np.full(rows, values["temp"], np.float32),
        condition=np.full(rows, int(values["condition"])),
        congestion=np.full(rows, values["congestion"], np.float32),
        happening=np.full(rows, int(values["happening"])),
    )


class Bench:
    """Utility of all places for all users at their homes, at one moment."""

    def __init__(self, city: City, time_s: float = NOON_S) -> None:
        self.city, self.time_s = city, time_s
        self.users = np.arange(len(city.users))
        self.places = np.tile(np.arange(len(city.places)), (len(self.users), 1))

    def utility(self, outside: Outside | None = None, north_degrees: float = 0.0) -> np.ndarray:
        """float32[U, P]."""
        u = self.city.users
        rows = len(self.users)
        return self.city.behaviour.utility(
            self.users,
            self.places,
            np.full(rows, self.time_s),
            u.home_lat + north_degrees,
            u.home_lng,
            calm(rows) if outside is None else outside,
        )


@pytest.fixture(scope="module")
def bench(city: City) -> Bench:
    return Bench(city)


def test_distance_costs_one_unit_for_each_reach(bench: Bench) -> None:
    """A place due south loses as many units as reaches are added on the way."""
    south = bench.city.places.lat.min()
    place = int(bench.city.places.lat.argmin())
    users = np.array([0, 1, 2])
    lat = np.full(3, south)
    lng = np.full(3, bench.city.places.lng[place])

    def worth(north_m: float) -> np.ndarray:
        return bench.city.behaviour.utility(
            users,
            np.full((3, 1), place),
            np.full(3, NOON_S),
            lat + north_m / 111_195.0,
            lng,
            calm(3),
        )[:, 0]

    lost = worth(0.0) - worth(1_000.0)
    np.testing.assert_allclose(lost, 1_000.0 / bench.city.users.reach_m[users], rtol=1e-3)


def test_rain_moves_people_indoors_and_nearer(bench: Bench) -> None:
    """Rain costs the open air more than any roof, and far places more than near ones."""
    change = bench.utility(calm(len(bench.users), condition=RAIN)) - bench.utility()
    open_air = np.array([c.open_air for c in CATEGORIES])[bench.city.places.category]
    assert change[:, open_air == 1].max() < change[:, open_air == 0].min(axis=1).max()
    roofs = np.flatnonzero(open_air == 0)
    assert change[:, open_air == 1].mean() < change[:, roofs].mean() - 2
    away = np.hypot(
        bench.city.places.lat[roofs] - bench.city.users.home_lat[:, None],
        bench.city.places.lng[roofs] - bench.city.users.home_lng[:, None],
    )
    first_user = np.argsort(away[0])
    assert change[0, roofs[first_user[0]]] > change[0, roofs[first_user[-1]]]


def test_traffic_shortens_trips(bench: Bench) -> None:
    """A jam takes from every place, and most from the farthest."""
    lost = bench.utility() - bench.utility(calm(len(bench.users), congestion=0.8))
    assert (lost >= -1e-3).all()
    away = np.hypot(
        bench.city.places.lat - bench.city.users.home_lat[0],
        (bench.city.places.lng - bench.city.users.home_lng[0])
        * np.cos(np.radians(bench.city.plan.lat)),
    )
    assert lost[0, away.argmax()] == lost[0].max()


def test_heat_sells_ice_cream(bench: Bench) -> None:
    """Ten degrees more raise ice cream against every other roofed category."""
    gain = bench.utility(calm(len(bench.users), temp=32)) - bench.utility(
        calm(len(bench.users), temp=22)
    )
    mean = np.array([gain[:, bench.city.places.category == c].mean() for c in range(26)])
    names = [c.name for c in CATEGORIES]
    roofed = [i for i, c in enumerate(CATEGORIES) if c.open_air < 0.5]
    assert names[max(roofed, key=lambda i: mean[i])] == "Ice Cream Shop"


def test_a_closed_place_loses_a_fixed_amount(city: City) -> None:
    """Between two moments of one hour, half an hour apart, only opening and closing differs."""
    first = Bench(city, NOON_S - 3_600 * 1.5)  # 10:30
    later = Bench(city, NOON_S - 3_600 * 2)  # 10:00
    change = first.utility() - later.utility()
    rows = np.arange(len(city.places))
    now = city.behaviour.is_open(rows, np.full(len(rows), first.time_s))
    before = city.behaviour.is_open(rows, np.full(len(rows), later.time_s))
    expected = CLOSED * (before.astype(float) - now)
    assert (now != before).any()
    np.testing.assert_allclose(change, np.tile(expected, (len(city.users), 1)), atol=1e-4)


def test_favourites_gain_the_users_loyalty(bench: Bench) -> None:
    """Taking the favourites away lowers exactly them, by the user's loyalty."""
    behaviour = bench.city.behaviour
    with_favourites = bench.utility()
    favourites, behaviour.favourites = behaviour.favourites, np.full((len(bench.users), 1), -1)
    try:
        gain = with_favourites - bench.utility()
    finally:
        behaviour.favourites = favourites
    expected = behaviour.is_favourite(bench.users, bench.places)
    loyalty = bench.city.users.loyalty[:, None] * expected
    np.testing.assert_allclose(gain, loyalty, atol=1e-4)


def test_no_place_has_no_worth(city: City) -> None:
    """-1 stands for no place and is never chosen."""
    places = np.array([[-1, 3, -1, 7]])
    utility = city.behaviour.utility(
        np.array([0]), places, np.array([NOON_S]), np.array([41.6]), np.array([-93.6]), calm(1)
    )
    assert np.isneginf(utility[0, [0, 2]]).all()
    assert np.isfinite(utility[0, [1, 3]]).all()
    chosen = Behaviour.choose(np.repeat(utility, 50, axis=0), 2, np.random.default_rng(0))
    assert set(chosen.ravel().tolist()) == {1, 3}


def test_first_choices_follow_the_softmax() -> None:
    """Frequencies of first choices lie within five standard errors of the probabilities."""
    utility = np.array([[1.0, 0.0, -1.0, 2.0]], np.float32)
    draws = 40_000
    probability = Behaviour.probability(utility)[0]
    np.testing.assert_allclose(probability, np.exp(utility[0]) / np.exp(utility[0]).sum(), 1e-5)
    rng = np.random.default_rng(8)
    first = Behaviour.choose(np.repeat(utility, draws, axis=0), 2, rng)[:, 0]
    found = np.bincount(first, minlength=4) / draws
    error = np.sqrt(probability * (1 - probability) / draws)
    assert (np.abs(found - probability) < 5 * error).all()


def test_moods_pass() -> None:
    """What a user fancies today says much about tomorrow and little about next month."""
    city = City(Plan(users=2_000, places=50, days=40), ending_s=ENDING_S, seed=1)
    rows = np.arange(2_000)

    def mood(day: int) -> np.ndarray:
        time_s = np.full(2_000, city.start_s + day * 86_400)
        utility = city.behaviour.utility(
            rows, np.zeros((2_000, 1), int), time_s, *_at_place(city, 2_000), calm(2_000)
        )
        liking = city.behaviour.liking(rows, np.zeros((2_000, 1), int), time_s)
        return np.asarray(utility - liking)[:, 0]

    favourite = city.behaviour.is_favourite(rows, np.zeros((2_000, 1), int))[:, 0]
    today, tomorrow, later = (mood(d)[~favourite] for d in (1, 2, 31))
    error = 1 / np.sqrt(len(today))  # of a correlation of nothing
    assert abs(np.corrcoef(today, tomorrow)[0, 1] - 0.75) < 5 * error
    assert abs(np.corrcoef(today, later)[0, 1]) < 5 * error


def _at_place(city: City, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(rows, city.places.lat[0]), np.full(rows, city.places.lng[0])


def test_drift_changes_tastes_from_its_moment_and_for_its_share() -> None:
    """Before it nothing differs, weather and places never do; after it about the share does."""
    plan = Plan(users=400, places=120, days=8)
    at_s = ENDING_S - 4 * 86_400
    still = City(plan, ending_s=ENDING_S, seed=2)
    moved = City(replace(plan, drift=Drift(at_s, share=0.5)), ending_s=ENDING_S, seed=2)
    assert still.places.names == moved.places.names
    assert list(still.context_updates()) == list(moved.context_updates())
    users, places = np.arange(400), np.tile(np.arange(120), (400, 1))

    def changed(time_s: float) -> np.ndarray:
        at = np.full(400, time_s)
        before = still.behaviour.liking(users, places, at)
        return np.asarray((before != moved.behaviour.liking(users, places, at)).any(axis=1))

    assert not changed(at_s - 1).any()
    error = np.sqrt(0.25 / 400)
    assert abs(changed(at_s).mean() - 0.5) < 5 * error
    before, after = (
        c.events.take(c.events.time_ms < at_s * 1000 - 6 * 3_600_000) for c in (still, moved)
    )
    np.testing.assert_array_equal(before.place, after.place)
    assert (
        len(still.events) != len(moved.events) or (still.events.place != moved.events.place).any()
    )


def test_a_reversal_turns_round_what_people_weigh_from_its_moment_on() -> None:
    """Loyalty, thrift and the hour change their sign, and what was lost by distance is lost by what
    is missing to three reaches; what people like stays, and nothing differs before."""
    plan = Plan(users=300, places=120, days=2)
    turned = replace(plan, drift=Drift(NOON_S, strength=0.0, reversal=1.0))
    still, other = (City(p, ending_s=ENDING_S, seed=2) for p in (plan, turned))
    earlier, too = (Bench(city, NOON_S - 1).utility() for city in (still, other))
    np.testing.assert_array_equal(earlier, too)
    before, after = (Bench(city).utility() for city in (still, other))
    users, places = still.users, still.places
    rows = np.arange(120)[None, :]
    metres = distance_m(
        users.home_lat[:, None], users.home_lng[:, None], places.lat[rows], places.lng[rows]
    )
    effort = metres / users.reach_m[:, None]
    favourite = still.behaviour.is_favourite(np.arange(300), np.tile(rows, (300, 1)))
    dear = np.maximum(places.price[rows] - users.budget[:, None], 0)
    saturday_noon = hour_appeal()[places.category, 1, 12]
    expected = (
        2 * users.thrift[:, None] * dear
        - 2 * users.loyalty[:, None] * favourite
        - 2 * saturday_noon
        + effort
        - np.maximum(3 - effort, 0)
    )
    assert after - before == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"users": 0}, "users"),
        ({"places": 300_000}, "places"),
        ({"days": -1}, "days"),
        ({"sessions_per_day": 0}, "sessions_per_day"),
        ({"lat": 89}, "latitude"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../etc"}, "time_zone"),
    ],
)
def test_a_plan_out_of_range_is_refused_by_name(values: dict[str, float], named: str) -> None:
    """The message says which value it is."""
    with pytest.raises(ValueError, match=named):
        Plan(**values)  # type: ignore[arg-type]


def test_a_drift_out_of_range_is_refused() -> None:
    """Shares lie within 0..1."""
    with pytest.raises(ValueError, match="share"):
        Drift(0.0, share=1.5)
