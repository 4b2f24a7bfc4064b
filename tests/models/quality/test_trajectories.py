"""Trajectories of 24 h, as published."""

import numpy as np

from models.quality.requests import Cuts
from models.quality.trajectories import find_trajectories, frequent, trajectory_of
from models.quality.visits import VisitLog
from tests.models.quality.towns import visits_of


def test_a_gap_of_more_than_a_day_begins_a_new_one() -> None:
    """24 h apart is the same still, 25 h is not; users do not mix."""
    log = visits_of([(0, 0, 0), (1, 0, 1), (0, 1, 24), (0, 0, 49), (1, 1, 49)], places=2)
    number = trajectory_of(log)
    assert number[0] == number[2] != number[3]
    assert number[1] != number[4]
    assert len(set(number.tolist())) == 4


def test_rare_places_go_first_then_rare_users() -> None:
    """User 1's third visit is at a rare place, so that two are left, under the least of three."""
    rows = [(0, 0, h) for h in range(3)] + [(1, 0, 3), (1, 0, 4), (1, 1, 5)]
    assert frequent(visits_of(rows, places=2), least=3).tolist() == [0, 1, 2]


def test_the_last_check_in_of_each_is_predicted(town: VisitLog) -> None:
    """It lies in the judged part, has company, and user and place were seen in training."""
    found = find_trajectories(town, (0.8, 0.1, 0.1))
    kept = town.take(found.kept)
    number = trajectory_of(kept)
    assert len(found.at) > 10
    for at, start in zip(found.at.tolist(), found.start.tolist(), strict=True):
        mine = np.flatnonzero(number == number[at])
        assert (mine[0], mine[-1]) == (start, at)
        assert at >= found.cuts.known
        assert kept.user[at] in kept.user[: found.cuts.train]
        assert kept.place[at] in kept.place[: found.cuts.train]


def test_cuts_are_those_of_the_log_before_single_ones_were_dropped(town: VisitLog) -> None:
    """The same moments part both."""
    busy = town.take(frequent(town))
    cuts = Cuts.of(len(busy), (0.8, 0.1, 0.1))
    found = find_trajectories(town, (0.8, 0.1, 0.1))
    kept = town.take(found.kept)
    assert kept.time_s[found.cuts.known - 1] < busy.time_s[cuts.known]
    assert kept.time_s[found.cuts.known] >= busy.time_s[cuts.known]


def test_single_check_ins_are_dropped(town: VisitLog) -> None:
    """Every trajectory kept has at least two."""
    kept = town.take(find_trajectories(town, (0.8, 0.1, 0.1)).kept)
    assert np.bincount(trajectory_of(kept)).min() >= 2
