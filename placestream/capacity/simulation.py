"""Queues as they would form: requests through all stations, and events behind an outage.

A station is a set of equal servers with one queue, first come, first served. Every request goes
from station to station; an event-driven simulation of that is exact for any arrivals and service
times (Law, "Simulation Modeling and Analysis", chapter 1), where a formula would ask for
exponential ones. Time and randomness are handed in.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class Outage:
    """A stretch in which a station serves nobody; what is in service then ends later."""

    begins_s: float
    ends_s: float


@dataclass(frozen=True)
class Station:
    """Equal servers with one queue.

    Attributes:
        servers: how many.
        outage: when all of them stand still.
    """

    servers: int
    outage: Outage | None = None


@dataclass(frozen=True)
class Visit:
    """One step of a request: its service at a station, and what it takes besides.

    Attributes:
        station: number of the station.
        service_s: float64[n], how long each request keeps a server busy.
        delay_s: after that, before the next step: what keeps no server busy.
    """

    station: int
    service_s: Seconds
    delay_s: float = 0.0


def flow(arrivals_s: Seconds, stations: Sequence[Station], visits: Sequence[Visit]) -> Seconds:
    """When each request is done: float64[n].

    Args:
        arrivals_s: float64[n], ascending.
        stations: all of them.
        visits: the steps of every request, in order.
    """
    free = [[0.0] * station.servers for station in stations]
    done = np.empty(len(arrivals_s))
    coming = [(at_s, i, 0) for i, at_s in enumerate(arrivals_s.tolist())]
    heapq.heapify(coming)
    services = [visit.service_s.tolist() for visit in visits]
    while coming:
        now_s, i, step = heapq.heappop(coming)
        if step == len(visits):
            done[i] = now_s
            continue
        visit = visits[step]
        station = stations[visit.station]
        begin_s = max(now_s, heapq.heappop(free[visit.station]))
        end_s = _served(begin_s, services[step][i], station.outage)
        heapq.heappush(free[visit.station], end_s)
        heapq.heappush(coming, (end_s + visit.delay_s, i, step + 1))
    return done


def _served(begin_s: float, service_s: float, outage: Outage | None) -> float:
    """When a service ends that began at a moment, or would have."""
    if outage is None or begin_s >= outage.ends_s:
        return begin_s + service_s
    if begin_s >= outage.begins_s:
        return outage.ends_s + service_s
    left_s = outage.begins_s - begin_s
    if service_s <= left_s:
        return begin_s + service_s
    return outage.ends_s + service_s - left_s


@dataclass(frozen=True)
class Backlog:
    """What an outage leaves behind in a partition.

    Attributes:
        most: events that wait at the worst moment.
        caught_up_s: after the outage has begun, until hardly any wait.
    """

    most: float
    caught_up_s: float


def behind(arrivals_s: Seconds, service_s: float, outage: Outage, *, least: float) -> Backlog:
    """Events of one server's partitions, through an outage.

    Args:
        arrivals_s: float64[n], ascending.
        service_s: of each event.
        outage: when nothing is served.
        least: caught up is who has no more than so many events waiting.
    """
    services = np.full(len(arrivals_s), service_s)
    done = flow(arrivals_s, [Station(1, outage)], [Visit(0, services)])
    looks = np.sort(np.concatenate([arrivals_s, done]))
    waiting = np.searchsorted(arrivals_s, looks, "right") - np.searchsorted(done, looks, "right")
    after = (looks >= outage.ends_s) & (waiting <= least)
    caught_up_s = float(looks[after][0]) if after.any() else np.inf
    return Backlog(float(waiting.max(initial=0)), caught_up_s - outage.begins_s)
