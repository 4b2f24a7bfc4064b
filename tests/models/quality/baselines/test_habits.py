"""The user's own past."""

from dataclasses import replace

import numpy as np
import pytest

from models.quality.baselines.habits import Habit, History
from models.quality.requests import Cuts, Requests
from tests.models.quality.towns import visits_of

# User 0: place 0 a week ago at this hour, place 1 a day and twelve hours ago; asks at hour 168.
LOG = visits_of([(0, 0, 0), (1, 2, 10), (1, 2, 11), (0, 1, 132), (0, 3, 168)], places=4)
REQUESTS = Requests.of(LOG, Cuts(2, 4, 5))
HABIT = Habit(recency_days=10.0, hour_width_h=2.0, hour_weight=3.0)


def test_a_visit_counts_by_its_age_and_hour() -> None:
    """exp(-7/10) * (1 + 3) at this hour; exp(-1.5/10) * (1 + 3 exp(-18)) half a day off."""
    counts = HABIT.counts(REQUESTS.questions("stream"))[0]
    expected = [np.exp(-0.7) * 4, np.exp(-0.15) * (1 + 3 * np.exp(-18)), 0, 0]
    assert counts == pytest.approx(expected)


def test_hours_are_apart_around_the_clock() -> None:
    """23:00 and 01:00 are two hours apart: 1 + 3 exp(-1/2)."""
    log = visits_of([(0, 0, 23), (0, 1, 25)], places=2)
    same = Habit(1e12, 2.0, 3.0)
    # The first visit is at 21:46 plus 23 h of some day; only the difference counts.
    counts = same.counts(Requests.of(log, Cuts(1, 1, 2)).questions("stream"))
    assert counts[0, 0] == pytest.approx(1 + 3 * np.exp(-0.5))


def test_the_known_come_before_the_popular() -> None:
    """Places 0 and 1 are the user's; of the others, 2 is popular and 3 unheard of."""
    history = History(recency_days=1.0, hour_width_h=1.0, hour_weight=1.0).fit(LOG.first(4))
    scores = history.score(REQUESTS.questions("stream"))[0]
    assert sorted(np.argsort(-scores)[:2].tolist()) == [0, 1]
    assert np.argsort(-scores)[2:].tolist() == [2, 3]


def test_who_has_no_past_sees_what_is_popular() -> None:
    """Nothing is known yet at position 0; place 2 had two visits in the fit."""
    history = History(recency_days=1.0, hour_width_h=1.0, hour_weight=1.0).fit(LOG.first(4))
    questions = replace(REQUESTS.questions("stream"), known=np.array([0]))
    assert history.score(questions)[0].argmax() == 2


def test_frozen_habits_stop_at_the_cut() -> None:
    """With a cut before the visit of place 1, only place 0 is known."""
    frozen = Requests.at_positions(LOG, np.array([4]), cut=2).questions("frozen")
    assert np.flatnonzero(HABIT.counts(frozen)[0]).tolist() == [0]
