"""Which moments become choice sets: who judges, who lags, who is a stranger."""

from dataclasses import replace

import numpy as np
import pytest

from models import set_plan
from models.moments import Moments
from models.set_plan import LAGGING, MOST_LAG_S, PAUSE_S, SKIPPED
from online_features.rings import HOUR_S
from tests.models.conftest import Data

COUNT, VALIDATION = 1_000, 800


def _moments(count: int = COUNT) -> Moments:
    at = np.arange(count, dtype=np.float64)
    return Moments(
        before=np.arange(count),
        user=np.ones(count, np.uint64),
        place=np.zeros(count, np.int64),
        time_s=HOUR_S * at,
        known_s=HOUR_S * at,
        lat=at,
        lng=at,
    )


def test_the_newest_of_the_validation_part_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """All else but the log's beginning teaches, the older part of the validation included."""
    monkeypatch.setattr(set_plan, "MOST_HELD", 50)
    learn, judge = set_plan._chosen(_moments(), VALIDATION, COUNT, np.random.default_rng(1))
    assert judge.tolist() == list(range(950, 1_000))
    assert learn.tolist() == list(range(int(SKIPPED * VALIDATION), 950))


def test_a_small_validation_part_judges_whole() -> None:
    """Then only the train part teaches."""
    learn, judge = set_plan._chosen(_moments(), VALIDATION, COUNT, np.random.default_rng(1))
    assert judge.tolist() == list(range(VALIDATION, COUNT))
    assert learn.max() == VALIDATION - 1


def test_what_became_known_after_the_judged_began_does_not_teach() -> None:
    """A look that led to a visit only later would tell of that time."""
    moments = _moments()
    known_s = moments.known_s.copy()
    known_s[700] = moments.time_s[VALIDATION] + 1
    moments = replace(moments, known_s=known_s)
    learn, _ = set_plan._chosen(moments, VALIDATION, COUNT, np.random.default_rng(1))
    assert 700 not in learn
    assert 701 in learn


def test_some_moments_lag_and_none_runs_ahead(data: Data) -> None:
    """What they know is what there was some days before."""
    log = data.log
    before = np.arange(0, len(log), 7)
    moments = replace(_moments(len(before)), before=before, time_s=log.time_s[before])
    known = set_plan._lagging(log, moments, np.random.default_rng(1))
    lags = known < before
    assert (known <= before).all()
    assert lags.mean() == pytest.approx(LAGGING, rel=0.3)
    behind_s = moments.time_s[lags] - log.time_s[known[lags]]
    assert (behind_s <= MOST_LAG_S).all()
    assert (behind_s > 0).all()


def test_outings_begin_after_a_pause() -> None:
    """The first of each user, and what follows half a day without one."""
    pause_h = PAUSE_S / HOUR_S
    moments = replace(
        _moments(5),
        user=np.array([1, 2, 1, 1, 2], np.uint64),
        time_s=HOUR_S * np.array([0, 1, pause_h, pause_h + 1, pause_h]),
    )
    assert set_plan._begins(moments).tolist() == [True, True, True, False, False]


def test_as_many_are_drawn_as_asked_for() -> None:
    """Only marked ones; all of them where they are fewer."""
    marked = np.arange(20_000) % 4 == 0
    drawn = set_plan._drawn(marked, 1_000, np.random.default_rng(1))
    assert drawn.sum() == pytest.approx(1_000, rel=0.15)
    assert not (drawn & ~marked).any()
    assert (set_plan._drawn(marked, 6_000, np.random.default_rng(1)) == marked).all()
