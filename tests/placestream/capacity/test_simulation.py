"""Queues against what can be worked out by hand, and against the formulas of queueing theory."""

import numpy as np
import pytest

from placestream.capacity.simulation import Outage, Station, Visit, behind, flow


def test_first_come_first_served_by_hand() -> None:
    """Three at once: one server takes them in turn, two take two."""
    arrivals_s, service_s = np.zeros(3), np.ones(3)
    assert flow(arrivals_s, [Station(1)], [Visit(0, service_s)]).tolist() == [1, 2, 3]
    assert flow(arrivals_s, [Station(2)], [Visit(0, service_s)]).tolist() == [1, 1, 2]


def test_a_station_may_be_visited_twice() -> None:
    """The second visit queues behind whoever came meanwhile; a delay keeps no server busy."""
    visits = [Visit(0, np.array([1.0, 1.0]), delay_s=0.5), Visit(0, np.array([1.0, 1.0]))]
    # First: 0-1, away to 1.5, then behind the second (1-2): 2-3. Second: away to 2.5, then 3-4.
    assert flow(np.array([0.0, 0.5]), [Station(1)], visits).tolist() == [3, 4]


def test_an_outage_stops_what_is_being_served() -> None:
    """Half done at 2, gone until 5: done at 6; who comes meanwhile waits for both."""
    station = Station(1, Outage(2.0, 5.0))
    done = flow(np.array([1.0, 3.0, 9.0]), [station], [Visit(0, np.full(3, 2.0))])
    assert done.tolist() == [6, 8, 11]


@pytest.mark.parametrize("busy", [0.3, 0.7])
def test_mean_times_are_those_of_the_formulas(busy: float) -> None:
    """M/M/1: 1 / (1 - busy) services; M/D/1: half of that waiting (Pollaczek, Khinchine)."""
    rng, n = np.random.default_rng(3), 60_000
    arrivals_s = np.cumsum(rng.exponential(1 / busy, n))
    for services, waits in (
        (rng.exponential(1.0, n), busy / (1 - busy)),
        (np.ones(n), busy / (1 - busy) / 2),
    ):
        took = flow(arrivals_s, [Station(1)], [Visit(0, services)]) - arrivals_s
        assert took.mean() == pytest.approx(1 + waits, rel=0.08)


def test_a_backlog_is_worked_off_with_what_the_load_leaves_free() -> None:
    """Ten a second for 2 s wait; with 20 a second served, 10 are free: 2 s more."""
    arrivals_s = np.arange(0, 20, 0.1)
    found = behind(arrivals_s, 1 / 20, Outage(5.0, 7.0), least=1)
    assert found.most == pytest.approx(20, abs=1)
    assert found.caught_up_s == pytest.approx(4.0, abs=0.2)


def test_who_is_too_slow_never_catches_up() -> None:
    """More comes than can be served: the log ends before the backlog does."""
    found = behind(np.arange(0, 20, 0.1), 1 / 9, Outage(5.0, 7.0), least=1)
    assert found.caught_up_s > 15
