"""Life after the history, on a clock that the test moves."""

import itertools

import pytest

from placestream.simulation import City, Message, Plan
from placestream.simulation.times import HOUR_S, iso

ENDING_S = 1_718_000_000


class Clock:
    """Unix seconds that pass only while someone sleeps, at least `nap_s` each time."""

    def __init__(self, now_s: float, nap_s: float = 0.0) -> None:
        self.now_s, self._nap_s = now_s, nap_s

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += max(seconds, self._nap_s)


def live(
    city: City, rate: float, since_s: float, for_s: float, nap_s: float = 0.0
) -> list[tuple[float, Message]]:
    """Messages with the moment at which each came out, over `for_s` seconds."""
    clock = Clock(since_s, nap_s)
    stream = ((clock.now_s, m) for m in city.live(rate, clock, clock.sleep))
    return list(itertools.takewhile(lambda out: out[0] < since_s + for_s, stream))


@pytest.fixture
def town() -> City:
    """A town whose history is its own, since life changes it."""
    return City(Plan(users=200, places=100, days=2), ending_s=ENDING_S, seed=3)


def test_nothing_comes_before_its_time(town: City) -> None:
    """Each event carries a time that has come, and comes within a turn of it."""
    out = live(town, 1.0, ENDING_S, 600)
    for now_s, message in out:
        assert message.event["timestamp"] <= iso(now_s)
        if message.stream == "interactions":
            assert message.event["timestamp"] >= iso(now_s - 0.3)


def test_the_rate_is_reached_once_visits_come_through(town: City) -> None:
    """In the night and by day, once visits had time to come, events come as often as asked for."""
    rate = 0.1
    for since_s in (ENDING_S, ENDING_S + 14 * HOUR_S):
        out = live(town, rate, since_s, 3 * HOUR_S, nap_s=5.0)
        late = [m for now_s, m in out if now_s >= since_s + HOUR_S and m.stream == "interactions"]
        expected = rate * 2 * HOUR_S
        # Visits that began before these two hours come in for those that end after them; what is
        # left differs like a Poisson number in clumps of a session's few events.
        assert abs(len(late) - expected) < 5 * (expected * 4) ** 0.5


def test_a_rate_beyond_what_people_can_do_is_met(town: City) -> None:
    """Two hundred people give views and clicks by the dozen a second, and none comes twice."""
    out = live(town, 40.0, ENDING_S + 14 * HOUR_S, 60, nap_s=1.0)
    ids = [m.event["event_id"] for _, m in out if m.stream == "interactions"]
    assert len(ids) > 0.4 * 40 * 60  # most visits and ratings still lie ahead
    assert len(set(ids)) == len(ids)


def test_weather_goes_on_by_the_hour(town: City) -> None:
    """Every full hour since the end of the history has its update, once, also if late."""
    start_s = ENDING_S + 2 * HOUR_S  # life begins two hours after the history ended
    out = live(town, 0.1, start_s, 2 * HOUR_S, nap_s=2.0)
    told = [m.event["timestamp"] for _, m in out if m.stream == "context"]
    first = ENDING_S // HOUR_S + 1
    assert told == [iso((first + hour) * HOUR_S) for hour in range(4)]


def test_what_the_history_began_is_finished(town: City) -> None:
    """Visits whose click lies in the history still come, under the same session."""
    begun = {e["context"]["session_id"] for e in town.interactions()}
    out = live(town, 0.01, ENDING_S, 6 * HOUR_S, nap_s=5.0)
    ids = {e["event_id"] for e in town.interactions()}
    events = [m.event for _, m in out if m.stream == "interactions"]
    assert any(e["context"]["session_id"] in begun for e in events)
    assert ids.isdisjoint(e["event_id"] for e in events)


def test_a_city_without_history_can_live() -> None:
    """`days=0` gives live events at once."""
    city = City(Plan(users=50, places=30, days=0), ending_s=ENDING_S)
    out = live(city, 5.0, ENDING_S, 60)
    assert sum(m.stream == "interactions" for _, m in out) > 50
