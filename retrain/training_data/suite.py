"""The expectations, as plain values; `validate` hands them to Great Expectations.

They tell broken data from data that merely changed: a unit that became another one, columns that
were swapped, an ingestion that stopped, a flood of copies. Drift is the detectors' business, so
the bounds against the last good training are wide.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from contracts.events import EARLIEST_S, EVENT_TYPES
from models.train import LEAST_EVENTS
from retrain.training_data.profile import AMOUNTS, SHARES, TABLES, Moments, Profile
from retrain.training_data.tables import DAYS, INTERACTIONS, PLACES

#: A column's spread may be this many times the reference's, or its inverse.
SPREAD_FACTOR = 3.0
#: A spread counts as at least this much, so that a column of one value may get a second one.
LEAST_SPREAD = 0.05
#: The odds of a share may be this many times the reference's, or the inverse: of 15 % visits come
#: at least 3 % and at most 51 %. A share below `RARE` has no lower bound.
ODDS_FACTOR, RARE = 6.0, 0.01
#: Fewer known values than this say nothing of a mean.
LEAST_KNOWN = 200
#: Each of the newest days, and their mean, have at least these shares of the reference's mean day.
LEAST_DAY, LEAST_MEAN_DAY = 0.05, 0.25
#: The catalogue has at least this share of the places that it had.
LEAST_PLACES = 0.5
WEEK_S = 7 * 86_400.0
#: The stream refuses what lies 5 minutes ahead of Kafka's clock, which need not be this one.
AHEAD_S = 3_600.0


@dataclass(frozen=True)
class Check:
    """One expectation.

    Attributes:
        table: which of `tables`.
        column: of it; empty for the table itself.
        about: "nulls", "range", "mean", "spread", "freshness", "volume" or "copies".
        expectation: class of `great_expectations.expectations`.
        bounds: its arguments.
        why: for whoever reads the report.
    """

    table: str
    column: str
    about: str
    expectation: str
    bounds: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""

    @property
    def name(self) -> str:
        """As events, metrics and the report call it."""
        return ".".join(filter(None, (self.table, self.column, self.about)))

    def words(self, value: float | None) -> str:
        """A value of the column for a person; empty if there is none."""
        if value is None or not math.isfinite(value):
            return ""
        if self.column == "time_s":
            return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M} UTC"
        return f"{value:.6g}"


def checks(
    reference: Profile | None, *, now_s: float, max_age_s: float, mean_shift: float
) -> tuple[Check, ...]:
    """The whole suite.

    Args:
        reference: of the last good training; None if there is none, and only what holds for any
            archive is asked for.
        now_s: Unix seconds.
        max_age_s: the newest event may be so old; 0 is any age.
        mean_shift: a mean may move by so many of the reference's spreads; 0 compares nothing.
    """
    found = [*_nulls(), *_ranges(), *_volume(reference), *_freshness(now_s, max_age_s)]
    if reference is not None and mean_shift > 0:
        found += _moments(reference, mean_shift)
    return tuple(found)


def _nulls() -> Iterator[Check]:
    filled = "ExpectColumnValuesToNotBeNull"
    for table, column in (
        (INTERACTIONS, "user"),
        (INTERACTIONS, "place"),
        (INTERACTIONS, "time_s"),
        (PLACES, "place"),
    ):
        yield Check(table, column, "nulls", filled, why="without it a row means nothing")
    yield _between(INTERACTIONS, "place_known", "nulls", "Mean", 0.5, 1, "places of the catalogue")
    yield _between(PLACES, "location_unknown", "nulls", "Mean", 0, 0.5, "nobody is near them")


def _ranges() -> Iterator[Check]:
    for table, column, low, high, mostly in (
        (INTERACTIONS, "kind", 0, len(EVENT_TYPES) - 1, 1.0),
        (INTERACTIONS, "time_s", EARLIEST_S, None, 1.0),
        (INTERACTIONS, "rating", 1, 5, 1.0),
        (INTERACTIONS, "lat", -90, 90, 1.0),
        (INTERACTIONS, "lng", -180, 180, 1.0),
        # A week in one place is a device left behind; some of those are people.
        (INTERACTIONS, "dwell_s", 0, WEEK_S, 0.99),
        (PLACES, "lat", -90, 90, 1.0),
        (PLACES, "lng", -180, 180, 1.0),
        (PLACES, "rating", 0, 5, 1.0),
        (PLACES, "price", 0, 5, 1.0),
        (PLACES, "review_count", 0, None, 1.0),
    ):
        bounds = {"min_value": low, "max_value": high, "mostly": mostly}
        yield Check(table, column, "range", "ExpectColumnValuesToBeBetween", bounds, "its unit")
    yield Check(
        INTERACTIONS,
        "event_hash",
        "copies",
        "ExpectColumnProportionOfUniqueValuesToBeBetween",
        {"min_value": 0.9},
        "a producer that sends the same events again under new positions",
    )


def _volume(reference: Profile | None) -> Iterator[Check]:
    rows = "ExpectTableRowCountToBeBetween"
    yield Check(INTERACTIONS, "", "volume", rows, {"min_value": LEAST_EVENTS}, "too few to learn")
    least = 1 if reference is None else max(1, int(LEAST_PLACES * reference["places"]))
    yield Check(PLACES, "", "volume", rows, {"min_value": least}, "places do not vanish by halves")
    if reference is None:
        return
    day, why = reference["events_a_day"], "has the ingestion stopped, or a part of it?"
    yield _between(DAYS, "events", "volume", "Mean", LEAST_MEAN_DAY * day, None, why)
    yield _between(DAYS, "events", "gaps", "Min", LEAST_DAY * day, None, why)


def _freshness(now_s: float, max_age_s: float) -> Iterator[Check]:
    oldest = now_s - max_age_s if max_age_s else None
    why = "the newest event; older means that the archive stands still"
    yield _between(INTERACTIONS, "time_s", "freshness", "Max", oldest, now_s + AHEAD_S, why)


def _moments(reference: Profile, mean_shift: float) -> Iterator[Check]:
    """Columns that are as they were at the last good training, roughly."""
    for table in TABLES:
        for column, known in reference["columns"][table].items():
            if known["known"] < LEAST_KNOWN:
                continue
            if column in SHARES[table]:
                yield _like_share(table, column, known)
            elif column in AMOUNTS[table]:
                yield from _like_amount(table, column, known, mean_shift)


def _like_share(table: str, column: str, known: Moments) -> Check:
    """Odds within a factor; none may become a few, and all may become almost all."""
    share = min(max(known["mean"], RARE), 1 - RARE)
    odds = share / (1 - share)
    low, high = (o / (1 + o) for o in (odds / ODDS_FACTOR, odds * ODDS_FACTOR))
    low = low if known["mean"] > RARE else 0.0
    high = high if known["mean"] < 1 - RARE else 1.0
    return _between(table, column, "mean", "Mean", low, high, _was(known))


def _like_amount(table: str, column: str, known: Moments, mean_shift: float) -> Iterator[Check]:
    spread = max(known["std"], LEAST_SPREAD)
    low, high = known["mean"] - mean_shift * spread, known["mean"] + mean_shift * spread
    yield _between(table, column, "mean", "Mean", low, high, _was(known))
    least = known["std"] / SPREAD_FACTOR if known["std"] > LEAST_SPREAD else 0.0
    yield _between(table, column, "spread", "Stdev", least, SPREAD_FACTOR * spread, _was(known))


def _was(known: Moments) -> str:
    return f"the last good training had {known['mean']:.4g} ± {known['std']:.4g}"


def _between(
    table: str,
    column: str,
    about: str,
    statistic: str,
    low: float | None,
    high: float | None,
    why: str,
) -> Check:
    bounds = {"min_value": low, "max_value": high}
    return Check(table, column, about, f"ExpectColumn{statistic}ToBeBetween", bounds, why)
