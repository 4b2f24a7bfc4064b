"""People of a simulated city who are shown lists, and do with them what they would do.

The other sources of events know no recommender. These people ask first: where they stand, now;
what they then look at, open, visit and rate follows from the true utility of what they were shown.
(Some of them may ask nobody, as in any city: `Guests.roam`.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from placestream.simulation.city import City
from placestream.simulation.sessions import Events, Starts, play, play_shown
from placestream.simulation.wire import interaction_dicts


@dataclass(frozen=True)
class Shown:
    """What one guest was shown.

    Attributes:
        request_id: of the answer; goes into the events that come of it.
        places: rows of the city's places, best first.
    """

    request_id: str
    places: tuple[int, ...]


class Guests:
    """Guests of a city, as many as are called, one session each.

    A session starts where one of the city's history did: whose it was, and where they stood then.
    """

    def __init__(self, city: City, seed: int, *, pace: float = 1.0) -> None:
        """Take the city.

        Args:
            city: whose people they are.
            seed: of who comes and of all chances.
            pace: how many times as fast as in life a session goes: a visit that follows its click
                ten minutes later follows after ten seconds at 60.
        """
        if not pace > 0:
            raise ValueError(f"pace must be above 0, got {pace}")
        self._city, self._pace = city, pace
        self._rng = np.random.default_rng(seed)
        self._run = f"guests-{seed:x}-{city.run}"
        happened = city.events
        _, first = np.unique(happened.session, return_index=True)
        self._past = first[~np.isnan(happened.lat[first])]
        if not len(self._past):
            raise ValueError("the city's history holds no session with a known location")
        self._begun = 0

    def come(self, n: int, now_s: float) -> Starts:
        """The next n guests, each about to ask at `now_s` (Unix seconds)."""
        of = self._rng.choice(self._past, n)
        happened = self._city.events
        session = np.arange(self._begun, self._begun + n)
        self._begun += n
        return Starts(
            user=happened.user[of].astype(np.int64),
            time_s=np.full(n, now_s),
            lat=happened.lat[of],
            lng=happened.lng[of],
            session=session,
        )

    def play(self, starts: Starts, shown: Sequence[Shown | None]) -> list[dict[str, Any]]:
        """What comes of it: `Interaction` dicts in the order of time; without a list, nothing.

        Args:
            starts: as `come` gave them, [s].
            shown: what each was shown, [s].
        """
        asked = np.array([answer is not None and bool(answer.places) for answer in shown], bool)
        if not asked.any():
            return []
        starts = Starts(*(column[asked] for column in vars(starts).values()))
        answers = [answer for answer in shown if answer is not None and answer.places]
        lists = np.full((len(answers), max(len(a.places) for a in answers)), -1, np.int64)
        for row, answer in enumerate(answers):
            lists[row, : len(answer.places)] = answer.places
        city = self._city
        outcome = play_shown(starts, lists, city.behaviour, city.places, city.sky, self._rng)
        events, at = self._paced(starts, outcome.events)
        told = interaction_dicts(events, city.ids, self._run, city.users.age)
        return [
            event | {"request_id": answers[row].request_id}
            for event, row in zip(told, at.tolist(), strict=True)
        ]

    def roam(self, starts: Starts) -> list[dict[str, Any]]:
        """What comes of guests who ask nobody: they choose among what they know themselves.

        Args and result as of `play`; no event names a request.
        """
        city = self._city
        outcome = play(starts, city.behaviour, city.places, city.sky, self._rng)
        events, _ = self._paced(starts, outcome.events)
        return list(interaction_dicts(events, city.ids, self._run, city.users.age))

    def _paced(self, starts: Starts, events: Events) -> tuple[Events, NDArray[np.int64]]:
        """The events as they happen at this pace, in the order of time, and whose each is."""
        at = np.searchsorted(starts.session, events.session)
        began_ms = 1_000 * starts.time_s[at]
        soon_ms = (began_ms + (events.time_ms - began_ms) / self._pace).astype(np.int64)
        order = np.argsort(soon_ms, kind="stable")
        return replace(events, time_ms=soon_ms).take(order), at[order]
