"""Habits: which of a user's past occasions resemble this one.

Each weight says of the past visits how much their occasion was like the present (the hour, the
weekday, the time since the visit before, the place or kind of place come from); what share of a
weight a very place has is a column of the ranker. The gap since the visit before carries most:
half an hour after work leads elsewhere than the morning after.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from online_features.definitions import NEVER_S
from online_features.geo import distance_m
from online_features.pairs import Asks, filled, picked
from online_features.past_sums import Column
from online_features.rings import DAY_S, HOUR_S

#: Gaps are alike when their logarithms are, within about a factor of two.
GAP_SIGMA, GAP_FLOOR_H = 0.7, 0.2
#: A past visit began near here if its own previous place lies within about so many metres.
NEAR_M = 300.0
#: Weekdays from this one on (Monday 0, UTC) are the weekend.
_WEEKEND = 5


@dataclass(frozen=True)
class Occasions:
    """The past visits of r requests as occasions: what went before each, and how like now it is."""

    asks: Asks

    @cached_property
    def before_row(self) -> NDArray[np.int64]:
        """Catalogue row of the visit before each past visit, [r, history]; -1 none or unknown."""
        at = self._before
        rows = np.where(self.asks.been, self.asks.past_rows, -1)
        return np.where(at >= 0, picked(rows, np.maximum(at, 0)), -1)

    @cached_property
    def _before(self) -> NDArray[np.int64]:
        """Position in the history of the visit before each event, [r, history]; -1 none."""
        been = self.asks.been
        width = been.shape[1]
        at = np.where(been, np.arange(width), width)
        after = np.minimum.accumulate(at[:, ::-1], axis=1)[:, ::-1]
        older = np.concatenate([after[:, 1:], np.full((len(been), 1), width)], axis=1)
        return np.where(older < width, older, -1)

    @cached_property
    def gap_s(self) -> Column:
        """Seconds between each past visit and the one before it, [r, history]; NaN none."""
        time_s, at = self.asks.past.time_s, self._before
        earlier = picked(time_s, np.maximum(at, 0))
        return np.where(at >= 0, time_s - earlier, np.nan)

    @cached_property
    def gap_now_s(self) -> Column:
        """Seconds since the newest visit, [r]; `NEVER_S` for none."""
        age = np.where(self.asks.been, self.asks.past_age_s, NEVER_S)
        least: Column = age.min(axis=1)
        return least

    @cached_property
    def gap_alike(self) -> Column:
        """How like the present gap that of each past visit was, 0 to 1; [r, history]."""
        past = np.log(filled(self.gap_s, NEVER_S) / HOUR_S + GAP_FLOOR_H)
        now = np.log(self.gap_now_s / HOUR_S + GAP_FLOOR_H)[:, None]
        alike = np.exp(-0.5 * ((past - now) / GAP_SIGMA) ** 2)
        return np.where(np.isnan(self.gap_s) | ~self.asks.been, 0.0, alike)

    @cached_property
    def hours_alike(self) -> Column:
        """Visits around this hour, generously, [r, history]."""
        alike: Column = self.asks.been * self.asks.around(2.5)
        return alike

    @cached_property
    def same_start(self) -> Column:
        """Visits that came from the place visited last, [r, history]."""
        last = self.asks.last_row[:, None]
        same: Column = self.asks.been & (self.before_row == last) & (last >= 0)
        return same.astype(np.float64)

    @cached_property
    def same_start_kind(self) -> Column:
        """Visits that came from a place of the category of the one visited last, [r, history]."""
        category = self.asks.catalogue.category
        last, before = self.asks.last_row[:, None], self.before_row
        same = (category[before] == category[last]) & (category[last] >= 0)
        known: Column = self.asks.been & same & (before >= 0) & (last >= 0)
        return known.astype(np.float64)

    @cached_property
    def began_near(self) -> Column:
        """How near here the past visits began, 0 to 1, around this hour; [r, history]."""
        catalogue, at = self.asks.catalogue, self.asks.at
        known = self.before_row >= 0
        lat = np.where(known, catalogue.lat[self.before_row], np.nan)
        lng = np.where(known, catalogue.lng[self.before_row], np.nan)
        metres = distance_m(np.asarray(at.lat)[:, None], np.asarray(at.lng)[:, None], lat, lng)
        near = np.exp(-filled(metres, 1e9) / NEAR_M)
        return self.hours_alike * near

    @cached_property
    def like_day(self) -> Column:
        """Visits on the same kind of day (weekday or weekend) at this hour, [r, history]."""
        today = weekend(self.asks.now_s)[:, None]
        same = self.asks.been & (weekend(self.asks.past.time_s) == today)
        return np.where(same, self.asks.around(1.5), 0.0)

    @cached_property
    def gap_before_s(self) -> Column:
        """Gap between the two newest visits, [r]; `NEVER_S` with fewer."""
        newest = self.asks.newest[:, None]
        gap = picked(self.gap_s, newest)[:, 0]
        before: Column = filled(gap, NEVER_S)
        return before

    @cached_property
    def novelty(self) -> Column:
        """Distinct places over visits among the kept ones, [r]; 1 without visits."""
        rows = np.sort(np.where(self.asks.been, self.asks.past_rows, -1), axis=1)
        other = (rows[:, 1:] != rows[:, :-1]).sum(axis=1) + (rows[:, 0] >= 0)
        visits = self.asks.been.sum(axis=1)
        return np.where(visits > 0, other / np.maximum(visits, 1), 1.0)

    @cached_property
    def weights(self) -> Column:
        """All of `WEIGHTS`, float64[len(WEIGHTS), r, history]."""
        return np.stack([weight(self) for weight in WEIGHTS.values()], dtype=np.float64)

    @cached_property
    def totals(self) -> Column:
        """Sums of each weight over a request's history, float64[len(WEIGHTS), r]."""
        totals: Column = self.weights.sum(axis=2)
        return totals

    def fading(self, days: float) -> Column:
        """Visits, fading over days; [r, history]."""
        return np.where(self.asks.been, np.exp(-self.asks.past_age_s / (days * DAY_S)), 0.0)


def weekend(time_s: Column) -> Column:
    """Whether moments lie on a Saturday or Sunday, UTC; bool, same shape."""
    # 1970-01-01 was a Thursday.
    late: Column = (np.asarray(time_s) // DAY_S + 3) % 7 >= _WEEKEND
    return late


#: Weights of past events, [r, history], by name.
WEIGHTS: Mapping[str, Callable[[Occasions], Column]] = {
    "been": lambda o: o.asks.been,
    "taste": lambda o: o.asks.taste_weight,
    "taste_this_hour": lambda o: o.asks.taste_weight * o.asks.hour_weight,
    "intent": lambda o: o.asks.intent_weight,
    "gap": lambda o: o.gap_alike * o.hours_alike,
    "start": lambda o: o.same_start,
    "start_gap": lambda o: o.same_start * o.gap_alike,
    "start_kind": lambda o: o.same_start_kind,
    "began_near": lambda o: o.began_near,
    "hour": lambda o: o.asks.been * o.asks.around(1.0),
    "hours": lambda o: o.hours_alike * o.fading(60.0),
    "day_hour": lambda o: o.like_day,
    "week_hour": lambda o: o.asks.been * o.asks.around(2.0, 168.0),
    "1d": lambda o: o.fading(1.0),
    "7d": lambda o: o.fading(7.0),
    "30d": lambda o: o.fading(30.0),
}
