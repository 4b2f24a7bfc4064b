"""Who is judged apart."""

import numpy as np
import pytest

from models.quality.ranks import Ranks
from models.quality.requests import Cuts, Requests
from models.quality.slices import slices_of
from tests.models.quality.towns import visits_of

# User 0 has 1, 2, 3, ... known visits at hours 0, 1, 2, 12, ...; place 3 is new to all at the end.
LOG = visits_of(
    [(0, 0, 0), (0, 1, 1), (0, 0, 2), (0, 1, 12), (0, 2, 13), (0, 0, 14), (0, 0, 15), (0, 3, 30)],
    places=4,
)
REQUESTS = Requests.of(LOG, Cuts(1, 1, 8))


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("all", [1, 2, 3, 4, 5, 6, 7]),
        ("repeat", [2, 3, 5, 6]),
        ("new", [1, 4, 7]),
        ("discover", [1, 4, 7]),
        ("fresh", [1, 2, 4, 5, 6]),  # not after gaps of 10 and 15 hours
        ("fresh_discover", [1, 4]),
        ("user_1_2", [1, 2]),
        ("user_3_5", [3, 4, 5]),
        ("user_6_up", [6, 7]),
        ("place_0", [1, 4, 7]),
        ("place_1_2", [2, 3, 5]),
        ("place_3_5", [6]),
    ],
)
def test_a_slice_holds_its_requests(name: str, at: list[int]) -> None:
    """Positions of the log, worked out by hand."""
    found = {part.name: REQUESTS.at[part.rows].tolist() for part in slices_of(REQUESTS)}
    assert found[name] == at


def test_empty_slices_are_left_out() -> None:
    """No place has six known visits; nobody with none can ask."""
    names = {part.name for part in slices_of(REQUESTS)}
    assert "place_6_up" not in names
    assert "user_0" not in names


def test_discover_slices_read_the_ranks_among_new_places() -> None:
    """The others those among all."""
    ranks = Ranks(np.arange(7.0), -np.arange(7.0))
    by_name = {part.name: part.ranks(ranks).tolist() for part in slices_of(REQUESTS)}
    assert by_name["new"] == [0, 3, 6]
    assert by_name["discover"] == [0, -3, -6]
