"""Columns of the ranker that read habits: which of this user's past occasions resemble this one.

Each column weighs the past visits by how much their occasion was like the present (the hour, the
weekday, the time since the visit before, the place or kind of place come from) and says which
share of the weight this very place has. The gap since the visit before carries most: half an
hour after work leads elsewhere than the morning after.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from online_features.definitions import NEVER_S
from online_features.geo import distance_m
from online_features.pairs import Column, Pairs, filled, log1p, picked
from online_features.rings import DAY_S, HOUR_S

#: Shares are of so much weight more than there is, so that one old visit is no certainty.
PRIOR = 0.3
#: Shares are told as log(share + LEAST): what matters between 1 % and 10 % is the factor.
LEAST = 0.01
#: Gaps are alike when their logarithms are, within about a factor of two.
GAP_SIGMA, GAP_FLOOR_H = 0.7, 0.2
#: A past visit began near here if its own previous place lies within about so many metres.
NEAR_M = 300.0
#: Weekdays from this one on (Monday 0, UTC) are the weekend.
_WEEKEND = 5


@dataclass(frozen=True)
class Occasions:
    """The past visits of r requests as occasions: what went before each, and how like now it is."""

    pairs: Pairs

    @cached_property
    def before_row(self) -> NDArray[np.int64]:
        """Catalogue row of the visit before each past visit, [r, history]; -1 none or unknown."""
        at = self._before
        rows = np.where(self.pairs.been, self.pairs.past_rows, -1)
        return np.where(at >= 0, picked(rows, np.maximum(at, 0)), -1)

    @cached_property
    def _before(self) -> NDArray[np.int64]:
        """Position in the history of the visit before each event, [r, history]; -1 none."""
        been = self.pairs.been
        width = been.shape[1]
        at = np.where(been, np.arange(width), width)
        after = np.minimum.accumulate(at[:, ::-1], axis=1)[:, ::-1]
        older = np.concatenate([after[:, 1:], np.full((len(been), 1), width)], axis=1)
        return np.where(older < width, older, -1)

    @cached_property
    def gap_s(self) -> Column:
        """Seconds between each past visit and the one before it, [r, history]; NaN none."""
        time_s, at = self.pairs.past.time_s, self._before
        earlier = picked(time_s, np.maximum(at, 0))
        return np.where(at >= 0, time_s - earlier, np.nan)

    @cached_property
    def gap_now_s(self) -> Column:
        """Seconds since the newest visit, [r]; `NEVER_S` for none."""
        age = np.where(self.pairs.been, self.pairs.past_age_s, NEVER_S)
        least: Column = age.min(axis=1)
        return least

    @cached_property
    def gap_alike(self) -> Column:
        """How like the present gap that of each past visit was, 0 to 1; [r, history]."""
        past = np.log(filled(self.gap_s, NEVER_S) / HOUR_S + GAP_FLOOR_H)
        now = np.log(self.gap_now_s / HOUR_S + GAP_FLOOR_H)[:, None]
        alike = np.exp(-0.5 * ((past - now) / GAP_SIGMA) ** 2)
        return np.where(np.isnan(self.gap_s) | ~self.pairs.been, 0.0, alike)

    @cached_property
    def hours_alike(self) -> Column:
        """Visits around this hour, generously, [r, history]."""
        alike: Column = self.pairs.been * self.pairs.around(2.5)
        return alike

    @cached_property
    def same_start(self) -> Column:
        """Visits that came from the place visited last, [r, history]."""
        last = self.pairs.last_row[:, None]
        same: Column = self.pairs.been & (self.before_row == last) & (last >= 0)
        return same.astype(np.float64)

    @cached_property
    def same_start_kind(self) -> Column:
        """Visits that came from a place of the category of the one visited last, [r, history]."""
        category = self.pairs.catalogue.category
        last, before = self.pairs.last_row[:, None], self.before_row
        same = (category[before] == category[last]) & (category[last] >= 0)
        known: Column = self.pairs.been & same & (before >= 0) & (last >= 0)
        return known.astype(np.float64)

    @cached_property
    def began_near(self) -> Column:
        """How near here the past visits began, 0 to 1, around this hour; [r, history]."""
        catalogue, at = self.pairs.catalogue, self.pairs.at
        known = self.before_row >= 0
        lat = np.where(known, catalogue.lat[self.before_row], np.nan)
        lng = np.where(known, catalogue.lng[self.before_row], np.nan)
        metres = distance_m(np.asarray(at.lat)[:, None], np.asarray(at.lng)[:, None], lat, lng)
        near = np.exp(-filled(metres, 1e9) / NEAR_M)
        return self.hours_alike * near

    @cached_property
    def like_day(self) -> Column:
        """Visits on the same kind of day (weekday or weekend) at this hour, [r, history]."""
        today = _weekend(np.asarray(self.pairs.at.now_s))[:, None]
        same = self.pairs.been & (_weekend(self.pairs.past.time_s) == today)
        return np.where(same, self.pairs.around(1.5), 0.0)

    @cached_property
    def visits_here(self) -> Column:
        """How many of the kept visits were here, [n]."""
        count: Column = self.pairs.here.sum(self.pairs.been.astype(np.float64))
        return count

    @cached_property
    def first_here_s(self) -> Column:
        """Age of the oldest kept visit here, seconds, [n]; 0 for none."""
        age = np.where(self.pairs.been, self.pairs.past_age_s, 0.0)
        oldest: Column = -self.pairs.here.least(-age, 0.0)
        return oldest

    @cached_property
    def gap_before_s(self) -> Column:
        """Gap between the two newest visits, [r]; `NEVER_S` with fewer."""
        newest = self.pairs.newest[:, None]
        gap = picked(self.gap_s, newest)[:, 0]
        before: Column = filled(gap, NEVER_S)
        return before

    @cached_property
    def novelty(self) -> Column:
        """Distinct places over visits among the kept ones, [r]; 1 without visits."""
        rows = np.sort(np.where(self.pairs.been, self.pairs.past_rows, -1), axis=1)
        other = (rows[:, 1:] != rows[:, :-1]).sum(axis=1) + (rows[:, 0] >= 0)
        visits = self.pairs.been.sum(axis=1)
        return np.where(visits > 0, other / np.maximum(visits, 1), 1.0)

    def fading(self, days: float) -> Column:
        """Visits, fading over days; [r, history]."""
        return np.where(self.pairs.been, np.exp(-self.pairs.past_age_s / (days * DAY_S)), 0.0)

    def share(self, weight: Column) -> Column:
        """log(share + LEAST) of this place in some weights [r, history], [n]."""
        total = self.pairs.spread(weight.sum(axis=1)) + PRIOR
        return np.log(self.pairs.here.sum(weight) / total + LEAST)


def _weekend(time_s: Column) -> Column:
    # 1970-01-01 was a Thursday.
    weekend: Column = (np.asarray(time_s) // DAY_S + 3) % 7 >= _WEEKEND
    return weekend


def _overdue(o: Occasions) -> Column:
    """log of the time since the last visit here over the mean between visits here; 0: too few."""
    since = o.pairs.since_here
    between = np.maximum(o.first_here_s - since, 0.0)
    mean = between / np.maximum(o.visits_here - 1, 1)
    late = np.log1p(since / HOUR_S) - np.log1p(mean / HOUR_S)
    return np.where(o.visits_here >= 2, late, 0.0)


def _to_user(o: Occasions, of_request: Column) -> Column:
    return o.pairs.spread(of_request)


#: Columns in the order in which the ranker has them.
HABITS: dict[str, Callable[[Occasions], Column]] = {
    # this very place's share of occasions like now
    "habit_gap": lambda o: o.share(o.gap_alike * o.hours_alike),
    "habit_start": lambda o: o.share(o.same_start),
    "habit_start_gap": lambda o: o.share(o.same_start * o.gap_alike),
    "habit_start_kind": lambda o: o.share(o.same_start_kind),
    "habit_began_near": lambda o: o.share(o.began_near),
    "habit_hour": lambda o: o.share(o.pairs.been * o.pairs.around(1.0)),
    "habit_hours": lambda o: o.share(o.hours_alike * o.fading(60.0)),
    "habit_day_hour": lambda o: o.share(o.like_day),
    "habit_week_hour": lambda o: o.share(o.pairs.been * o.pairs.around(2.0, 168.0)),
    "habit_1d": lambda o: o.share(o.fading(1.0)),
    "habit_7d": lambda o: o.share(o.fading(7.0)),
    "habit_30d": lambda o: o.share(o.fading(30.0)),
    "habit_all": lambda o: o.share(o.pairs.been.astype(np.float64)),
    # how sure that is, and whether it is time again
    "habit_hour_log": lambda o: log1p(o.pairs.here.sum(o.pairs.been * o.pairs.around(1.0))),
    "habit_week_hour_log": lambda o: log1p(
        o.pairs.here.sum(o.pairs.been * o.pairs.around(2.0, 168.0))
    ),
    "habit_overdue": _overdue,
    "habit_since_log": lambda o: np.log1p(o.pairs.since_here / 600.0),
    "habit_first_log": lambda o: np.log1p(o.first_here_s / DAY_S),
    # the user's side: how much there is to go by, and how often it leads to new places
    "user_gap_log": lambda o: _to_user(o, np.log1p(o.gap_now_s / 600.0)),
    "user_gap_before_log": lambda o: _to_user(o, np.log1p(o.gap_before_s / 600.0)),
    "user_hour_log": lambda o: _to_user(o, log1p((o.pairs.been * o.pairs.around(1.0)).sum(axis=1))),
    "user_starts_log": lambda o: _to_user(o, log1p(o.same_start.sum(axis=1))),
    "user_novelty": lambda o: _to_user(o, o.novelty),
    "hour_sin": lambda o: np.sin(2 * np.pi * o.pairs.now_s / DAY_S),
    "hour_cos": lambda o: np.cos(2 * np.pi * o.pairs.now_s / DAY_S),
    "weekend": lambda o: _weekend(o.pairs.now_s),
}
