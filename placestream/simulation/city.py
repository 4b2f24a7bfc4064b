"""A simulated city: places, people, weather and what they make of each other.

One seed makes it all; the same plan, end and seed give the same bytes.
"""

import math
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np

from contracts.events import AGE_GROUPS, EVENT_TYPES
from contracts.ids import id64
from placestream.simulation.behaviour import Behaviour, Moods, make_new_tastes
from placestream.simulation.categories import CATEGORIES, GROUPS
from placestream.simulation.live import Life
from placestream.simulation.places import make_neighbourhoods, make_places
from placestream.simulation.plan import Plan
from placestream.simulation.sessions import RATE, Events
from placestream.simulation.source import Description, Event, Message
from placestream.simulation.story import BROWSING, Past, Story, find_story
from placestream.simulation.times import DAY_S, WEEK_S, LocalTime, day_of, iso
from placestream.simulation.users import make_users
from placestream.simulation.walk import Walk
from placestream.simulation.weather import Sky
from placestream.simulation.wire import Ids, catalogue_dicts, interaction_dicts, review_dicts


class City:
    """A `Source` that knows the truth about itself.

    Attributes:
        plan: sizes and place.
        ending_s: Unix seconds at which the history ends (a full second).
        start_s: Unix seconds at which it starts.
        run: prefix of event ids; differs with plan, end and seed.
        neighbourhoods, places, users: in columns.
        behaviour: the true utility, and choice.
        sky: weather, traffic and happenings.
        local: local time.
        ids: ids of rows, and rows of ids.
    """

    def __init__(self, plan: Plan | None = None, *, ending_s: float, seed: int = 17) -> None:
        """Draw the city; its history is played when it is first asked for."""
        self.plan = plan or Plan()
        self.ending_s = math.floor(ending_s)
        self.start_s = self.ending_s - self.plan.days * DAY_S
        self.run = f"{id64(f'{self.plan}|{self.ending_s}|{seed}'):016x}"
        self.local = LocalTime(self.plan.time_zone)
        self.ids = Ids(self.plan.string_ids)
        # A generator for each part: a change in one (more days, a drift) leaves the others alone.
        for_areas, for_places, for_users, for_sky, for_moods, for_habits, for_drift, for_walk = (
            np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(8)
        )
        self.neighbourhoods = make_neighbourhoods(self.plan, for_areas)
        self.places = make_places(self.plan, self.neighbourhoods, for_places)
        self.users = make_users(self.plan, self.neighbourhoods, for_users)
        self.sky = Sky(self.start_s, self.plan.lat, self.local, for_sky)
        first_day = int(day_of(self.local.local_s(np.array([self.start_s])))[0])
        drift = self.plan.drift
        self.behaviour = Behaviour(
            self.places,
            self.users,
            self.local,
            Moods(first_day, len(self.users), len(GROUPS), for_moods),
            make_new_tastes(drift, self.users, for_drift) if drift else None,
            for_habits,
        )
        self._walk = Walk(self.users, self.places, self.behaviour, self.sky, self.local, for_walk)

    @property
    def region(self) -> str:
        """Name of the city."""
        return self.plan.name

    @cached_property
    def size(self) -> int:
        """Messages in all three streams."""
        updates = sum(1 for _ in self.place_updates()) + sum(1 for _ in self.context_updates())
        return updates + len(self.events)

    @property
    def events(self) -> Events:
        """The interactions of the history in columns, ordered by time."""
        return self._played[0]

    def place_updates(self) -> Iterator[Event]:
        """All places at the start; then, each week, ratings and review counts that moved."""
        areas = self.neighbourhoods.names
        start = iso(self.start_s)
        yield from catalogue_dicts(
            self.places, areas, self.ids, self.region, self.plan.time_zone, start
        )
        ratings = self.events.take(self.events.kind == RATE)
        weeks_ms = np.arange(self.start_s + WEEK_S, self.ending_s, WEEK_S) * 1000
        yield from review_dicts(
            ratings, self.places, self.ids, weeks_ms.astype(np.int64), lambda ms: iso(ms / 1000)
        )

    def context_updates(self) -> Iterator[Event]:
        """Weather, traffic and happenings at every full hour of the history."""
        yield from self.sky.updates(self.start_s, self.ending_s)

    def interactions(self) -> Iterator[Event]:
        """What the users did."""
        yield from self._dicts(self.events)

    def describe(self) -> Description:
        """Sizes and span of time."""
        events = self.events
        kinds = np.bincount(events.kind, minlength=len(EVENT_TYPES)).tolist()
        updates = sum(1 for _ in self.place_updates())
        return Description(
            kind="simulated city",
            region=self.region,
            users=len(np.unique(events.user)),
            places=len(self.places),
            interactions=dict(zip(EVENT_TYPES, kinds, strict=True)),
            place_updates=updates,
            context_updates=self.size - updates - len(events),
            first_s=float(events.time_ms[0]) / 1000 if len(events) else self.start_s,
            last_s=float(events.time_ms[-1]) / 1000 if len(events) else self.ending_s,
            notes=("The city and its people are invented; no event comes from a recommendation.",),
        )

    def story(self, at_s: float) -> Story:
        """A user, a spot and three fresh events at `at_s`, among places open then.

        When nearly all the city sleeps, closed places take part.

        Raises:
            NoStory: the city is too small or its history too short.
        """
        rows = np.arange(len(self.places))
        is_open = self.behaviour.is_open(rows, np.full(len(rows), at_s))
        return find_story(
            Past(
                user=self.events.user.astype(np.int64),
                place=self.events.place.astype(np.int64),
                lat=self.places.lat,
                lng=self.places.lng,
                category=self.places.category,
                categories=[c.name for c in CATEGORIES],
                usable=is_open if is_open.mean() > 0.2 else np.ones(len(rows), bool),
                user_id=self.ids.user,
                place_id=self.ids.place,
                age_group=lambda row: AGE_GROUPS[self.users.age[row]],
                steps=BROWSING,
            )
        )

    def live(
        self, rate: float, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> Iterator[Message]:
        """Go on from the end of the history in real time, for ever, about `rate` events a second.

        Args:
            rate: events a second, on average, once the first visits have had time to happen.
            clock: Unix seconds.
            sleep: waits for so many seconds.
        """
        life = Life(self._walk, self.sky, self.region, self._dicts, rate)
        yield from life.messages(self._played[1], self.ending_s, clock, sleep)

    @cached_property
    def _played(self) -> tuple[Events, Events]:
        """The history, and what its last sessions lead to after its end."""
        events = self._walk.history(self.start_s, self.ending_s)
        past = events.time_ms < self.ending_s * 1000
        return events.take(past), events.take(~past)

    def _dicts(self, events: Events) -> Iterator[Event]:
        return interaction_dicts(events, self.ids, self.run, self.users.age)
