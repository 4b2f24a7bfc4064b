"""The crowds of the past, walked, against the states that the replay folds."""

import numpy as np
import pytest

from models.crowd_history import CrowdHistory
from online_features.crowds import crowd_of
from online_features.replay import Queries, point_in_time
from tests.models.conftest import Data


@pytest.mark.parametrize("frozen", [False, True])
def test_the_walk_tells_what_the_states_tell(data: Data, frozen: bool) -> None:
    """All places at forty moments; as they pass, and long after what is known has ended."""
    log, catalogue = data.log, data.catalogue
    before = np.sort(np.random.default_rng(3).integers(0, len(log), 40))
    times = log.time_s[before]
    if frozen:
        before = np.full(40, before[10])
    places = len(catalogue)
    queries = Queries(
        np.repeat(before, places),
        np.zeros(40 * places, np.uint64),
        np.tile(catalogue.hash, 40),
    )
    states = np.concatenate([found for _, _, found in point_in_time(log, queries)])
    history, moved = CrowdHistory(log, catalogue), 0
    for i in range(40):
        expected = crowd_of(states[i * places : (i + 1) * places], times[i])
        np.testing.assert_array_equal(history.at(int(before[i]), times[i]), expected)
        moved += int(expected.any())
    assert moved > 20
