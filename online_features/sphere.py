"""Where an entity is usually found: a centre and a spread that one far trip does not move."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_features.aggregations import Aggregation, LastK
from online_features.columns import EventColumns
from online_features.geo import distance_m
from online_features.rings import Field, Moments, Rows, States


@dataclass(frozen=True)
class Whereabouts(Aggregation):
    """Centre and radius of the newest k located events.

    The centre is the medoid: the one of the points whose distances to all others sum to the
    least (it needs no averaging of angles, and holds at the poles and the date line). The radius
    is the median of the distances from it, in metres.
    """

    k: int

    @property
    def _points(self) -> LastK:
        return LastK(self.k, (("lat", np.float32), ("lng", np.float32)))

    @property
    def fields(self) -> tuple[Field, ...]:
        return self._points.fields

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("lat", "lng", "radius_m")

    def fold(self, states: States, rows: Rows, events: EventColumns) -> int:
        located = ~(np.isnan(events.lat) | np.isnan(events.lng))
        return self._points.fold(states, rows[located], events.take(located))

    def read(self, states: States, now_s: Moments) -> NDArray[np.floating]:
        lat, lng = states["lat"].astype(np.float64), states["lng"].astype(np.float64)
        filled = states["time_s"] != 0
        apart = distance_m(lat[:, :, None], lng[:, :, None], lat[:, None, :], lng[:, None, :])
        apart = np.where(filled[:, None, :], apart, 0.0)
        total = np.where(filled, apart.sum(axis=2), np.inf)
        centre = np.argmin(total, axis=1)[:, None]
        from_centre = np.take_along_axis(apart, centre[:, :, None], axis=1)[:, 0]
        ordered = np.sort(np.where(filled, from_centre, np.inf), axis=1)
        middle = np.maximum(filled.sum(axis=1) - 1, 0) // 2
        radius = np.take_along_axis(ordered, middle[:, None], axis=1)
        values = [np.take_along_axis(lat, centre, 1), np.take_along_axis(lng, centre, 1), radius]
        known = filled.any(axis=1, keepdims=True)
        return np.where(known, np.concatenate(values, axis=1), np.nan)
