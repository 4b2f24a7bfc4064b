"""Distances on the sphere."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from online_features.compiled import compiled

EARTH_RADIUS_M = 6_371_008.8


def distance_m(
    lat1: ArrayLike, lng1: ArrayLike, lat2: ArrayLike, lng2: ArrayLike
) -> NDArray[np.float64]:
    """Great-circle distance in metres by the haversine formula; degrees in, shapes broadcast."""
    phi1, phi2 = np.radians(lat1), np.radians(lat2)
    half_phi = (phi2 - phi1) / 2
    half_lambda = np.radians(np.subtract(lng2, lng1)) / 2
    h = np.sin(half_phi) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin(half_lambda) ** 2
    result: NDArray[np.float64] = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(h, 1.0)))
    return result


@compiled
def metres_between(lat1: float, lng1: float, lat2: float, lng2: float) -> float:
    """`distance_m` of two points, for compiled loops."""
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    half_phi, half_lambda = (phi2 - phi1) / 2, math.radians(lng2 - lng1) / 2
    h = math.sin(half_phi) ** 2 + math.cos(phi1) * math.cos(phi2) * math.sin(half_lambda) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(h, 1.0)))


def unit_vector(lat: float, lng: float) -> NDArray[np.float64]:
    """A point on the sphere of radius 1, float64[3]; degrees in."""
    phi, lam = math.radians(lat), math.radians(lng)
    return np.array([math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)])
