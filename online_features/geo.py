"""Distances on the sphere and the H3 cells that places are found by."""

import math

import h3
import numpy as np
from numpy.typing import ArrayLike, NDArray

EARTH_RADIUS_M = 6_371_008.8
#: Resolution of the cells by the largest radius they are used for, metres.
RESOLUTIONS = ((5_000.0, 8), (30_000.0, 6), (math.inf, 4))
_EDGE_M = {r: h3.average_hexagon_edge_length(r, unit="m") for _, r in RESOLUTIONS}
# Cells are up to a quarter smaller, in length, than their resolution's average.
_SMALLEST = 0.75


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


def cells_of(lat: float, lng: float) -> list[int]:
    """The cell of a point at each resolution of `RESOLUTIONS`."""
    finest = h3.latlng_to_cell(lat, lng, RESOLUTIONS[0][1])
    return [h3.str_to_int(h3.cell_to_parent(finest, r)) for _, r in RESOLUTIONS]


def cells_within(lat: float, lng: float, radius_m: float) -> tuple[int, list[int]]:
    """Index in `RESOLUTIONS`, and the cells that together cover a circle."""
    level = next(i for i, (largest, _) in enumerate(RESOLUTIONS) if radius_m <= largest)
    resolution = RESOLUTIONS[level][1]
    edge_m = _EDGE_M[resolution]
    # k rings reach at least 1.5 * k edges from the centre cell's middle, and the point may lie
    # one edge away from that.
    rings = math.ceil((radius_m + edge_m) / (1.5 * edge_m * _SMALLEST))
    origin = h3.latlng_to_cell(lat, lng, resolution)
    return level, [h3.str_to_int(cell) for cell in h3.grid_disk(origin, rings)]
