"""Broken data are told from data that merely changed; each defect by the check that is about it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from online_features.columns import RATE, VISIT
from online_features.training_log import TrainingLog
from retrain.training_data.suite import (
    ODDS_FACTOR,
    SPREAD_FACTOR,
    Check,
    checks,
)
from retrain.training_data.tables import tables_of
from retrain.training_data.validate import validate
from tests.retrain.training_data.conftest import ENDING_S, MOST, Read, read_city

Failed = Callable[[TrainingLog, Sequence[Check]], list[str]]
DAY_S = 86_400.0


def test_the_same_data_are_fit(city: Read, suite: tuple[Check, ...], failed: Failed) -> None:
    """All that the suite asks for holds for what it was made of."""
    assert failed(city.events, suite) == []


def test_the_first_training_is_asked_only_what_holds_anywhere(city: Read, failed: Failed) -> None:
    """Without a reference no check names one, and a good archive passes."""
    asked = checks(None, now_s=ENDING_S, max_age_s=DAY_S, mean_shift=1.0)
    assert not [check for check in asked if "last good training" in check.why]
    assert failed(city.events, asked) == []


def test_another_city_of_other_people_is_no_defect(
    suite: tuple[Check, ...], tmp_path: Path
) -> None:
    """Other tastes, places and habits are drift at most, which is the detectors' business."""
    other = read_city(tmp_path, days=10, seed=2)
    validation = validate(tables_of(other.events, other.catalogue, MOST), suite)
    assert validation.failures == ()


def rated_out_of_100(events: TrainingLog) -> TrainingLog:
    return replace(events, rating=events.rating * 20)


def dwelt_in_ms(events: TrainingLog) -> TrainingLog:
    return replace(events, dwell_s=events.dwell_s * 1_000)


def swapped_coordinates(events: TrainingLog) -> TrainingLog:
    return replace(events, lat=events.lng, lng=events.lat)


def no_visits(events: TrainingLog) -> TrainingLog:
    return events.take(events.kind != VISIT)


def no_ratings_given(events: TrainingLog) -> TrainingLog:
    return replace(events, rating=np.full_like(events.rating, np.nan))


def unknown_places(events: TrainingLog) -> TrainingLog:
    return replace(events, place=events.place + np.uint64(1))


def nobody(events: TrainingLog) -> TrainingLog:
    user = events.user.copy()
    user[:3] = 0
    return replace(events, user=user)


def copied(events: TrainingLog) -> TrainingLog:
    return events.take(np.arange(len(events)).repeat(2))


def a_day_is_missing(events: TrainingLog) -> TrainingLog:
    back = (events.time_s[-1] - events.time_s) / DAY_S
    return events.take((back < 2) | (back >= 3))


def stopped_days_ago(events: TrainingLog) -> TrainingLog:
    return events.take(events.time_s < ENDING_S - 2 * DAY_S)


def from_the_future(events: TrainingLog) -> TrainingLog:
    return replace(events, time_s=events.time_s + 3 * DAY_S)


@pytest.mark.parametrize(
    ("defect", "named"),
    [
        (rated_out_of_100, "interactions.rating.range"),
        (rated_out_of_100, "interactions.rating.mean"),
        (rated_out_of_100, "interactions.rating.spread"),
        (dwelt_in_ms, "interactions.dwell_log_s.mean"),
        (swapped_coordinates, "interactions.away_log_km.mean"),
        (no_visits, "interactions.is_visit.mean"),
        (no_ratings_given, "interactions.rating.mean"),
        (unknown_places, "interactions.place_known.nulls"),
        (nobody, "interactions.user.nulls"),
        (copied, "interactions.event_hash.copies"),
        (a_day_is_missing, "days.events.gaps"),
        (stopped_days_ago, "interactions.time_s.freshness"),
        (from_the_future, "interactions.time_s.freshness"),
    ],
)
def test_a_defect_is_found_by_the_check_that_is_about_it(
    city: Read,
    suite: tuple[Check, ...],
    failed: Failed,
    defect: Callable[[TrainingLog], TrainingLog],
    named: str,
) -> None:
    """One defect at a time, in otherwise good data."""
    about = [check for check in suite if check.name == named]
    assert len(about) == 1
    assert failed(city.events, about) == []
    assert failed(defect(city.events), about) == [named]


def test_any_age_will_do_where_age_is_not_asked_for(city: Read, failed: Failed) -> None:
    """0 switches freshness off: an archive from the past can be trained on by intent."""
    asked = checks(None, now_s=ENDING_S + 400 * DAY_S, max_age_s=0, mean_shift=1.0)
    assert failed(city.events, asked) == []


def test_no_comparison_where_none_is_asked_for(city: Read) -> None:
    """0 spreads switch the comparison of means and spreads off, for a change made by intent."""
    asked = checks(city.profile, now_s=ENDING_S, max_age_s=0, mean_shift=0)
    assert {check.about for check in asked} == {
        "nulls", "range", "copies", "volume", "gaps", "freshness",
    }  # fmt: skip


def test_bounds_follow_from_the_reference(city: Read) -> None:
    """Amounts: mean +- shift spreads, spread within its factor; shares: odds within theirs."""
    asked = checks(city.profile, now_s=ENDING_S, max_age_s=0, mean_shift=2.0)
    by_name = {check.name: check.bounds for check in asked}
    known = city.profile["columns"]["interactions"]
    mean, std = known["away_log_km"]["mean"], known["away_log_km"]["std"]
    assert by_name["interactions.away_log_km.mean"] == pytest.approx(
        {"min_value": mean - 2 * std, "max_value": mean + 2 * std}
    )
    assert by_name["interactions.away_log_km.spread"] == pytest.approx(
        {"min_value": std / SPREAD_FACTOR, "max_value": std * SPREAD_FACTOR}
    )
    share, bounds = known["is_visit"]["mean"], by_name["interactions.is_visit.mean"]
    for bound, factor in (("min_value", 1 / ODDS_FACTOR), ("max_value", ODDS_FACTOR)):
        odds = bounds[bound] / (1 - bounds[bound])
        assert odds == pytest.approx(factor * share / (1 - share))


def test_names_are_unique(suite: tuple[Check, ...]) -> None:
    """A name finds one check: events, metrics and the report rely on it."""
    assert len({check.name for check in suite}) == len(suite)


def test_a_rating_that_nobody_gave_is_in_the_reference_of_rates(city: Read) -> None:
    """The profile counts what is known: as many ratings as there are rate events."""
    known = city.profile["columns"]["interactions"]["rating"]["known"]
    assert known == int((city.events.kind == RATE).sum())
