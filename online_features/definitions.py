"""Every feature that placestream keeps, each stated once (DESIGN D1).

Features that need a place's metadata (category, position, price) are not kept but derived when
read, from the places in a history and the catalogue of that moment: a state then depends on
events alone, so that it can be recomputed exactly, and a mended category counts at once.
"""

from online_features.aggregations import (
    Count,
    Histogram,
    LastK,
    MeanRating,
    Ratio,
    SecondsSinceLatest,
    Sum,
)
from online_features.columns import AGE_CODE, CLICK, RATE, VIEW, VISIT
from online_features.distinct import Distinct
from online_features.feature_set import Feature, FeatureSet
from online_features.keyed import DecayedHistogram, TopPlaces
from online_features.quantiles import Quantiles
from online_features.rings import (
    DAY_S,
    LAST_1H,
    LAST_7D,
    LAST_7D_AND_BEFORE,
    LAST_24H,
    LAST_28D,
    window,
)
from online_features.sphere import Whereabouts

ANY = frozenset({VIEW, CLICK, VISIT, RATE})
VISITED = frozenset({VISIT})
RATED = frozenset({RATE})
LOOKED = frozenset({VIEW, CLICK})
BEEN = frozenset({VISIT, RATE})

#: Unknown for so long that it might as well be for ever.
NEVER_S = 365.0 * DAY_S
TTL_S = 400 * DAY_S
EVERY_WINDOW = (LAST_1H, LAST_24H, LAST_7D, LAST_28D)
VISITS_KEPT = 128
LOOKS_KEPT = 16
#: Habits fade over two months: a season, not a whim.
HABIT_TAU_S = 60.0 * DAY_S
FAVOURITES = TopPlaces(12, HABIT_TAU_S)
CLICKS = Ratio(LAST_28D, CLICK, VIEW, prior=0.1, prior_weight=20.0)

USER = FeatureSet(
    "user",
    [
        Feature("interactions", ANY, Count(EVERY_WINDOW, active=LAST_28D)),
        Feature("visits", VISITED, Count(EVERY_WINDOW)),
        Feature("ratings", RATED, Count(EVERY_WINDOW)),
        Feature("rating_given", RATED, MeanRating(), missing=0.0),
        Feature("since_activity_s", ANY, SecondsSinceLatest(), missing=NEVER_S),
        Feature("since_visit_s", VISITED, SecondsSinceLatest(), missing=NEVER_S),
        Feature("visit_hours", VISITED, DecayedHistogram("hour", 24, HABIT_TAU_S)),
        Feature("visit_weekdays", VISITED, DecayedHistogram("weekday", 7, HABIT_TAU_S)),
        Feature("favourites", BEEN, FAVOURITES),
        Feature("whereabouts", VISITED, Whereabouts(8)),
        Feature("last_visits", BEEN, LastK(VISITS_KEPT)),
        Feature("last_looks", LOOKED, LastK(LOOKS_KEPT)),
    ],
    ttl_s=TTL_S,
)

PLACE = FeatureSet(
    "place",
    [
        Feature("visits", VISITED, Count((LAST_1H, LAST_24H, LAST_7D_AND_BEFORE, LAST_28D))),
        Feature("interactions", ANY, Count((LAST_24H, LAST_7D))),
        Feature("click_ratio", LOOKED, CLICKS),
        Feature("rating", RATED, MeanRating(), missing=0.0),
        Feature("since_visit_s", VISITED, SecondsSinceLatest(), missing=NEVER_S),
        Feature("visit_hours", VISITED, Histogram("hour", 24)),
        Feature("visit_weekdays", VISITED, Histogram("weekday", 7)),
        Feature("visitors", VISITED, Distinct(window("7d", DAY_S, 7))),
        Feature("dwell_s", VISITED, Quantiles("dwell_s", least=60.0, greatest=86_400.0)),
        Feature("dwell_sum_s", VISITED, Sum((LAST_7D,), "dwell_s")),
        Feature("visitor_ages", VISITED, Histogram("age_group", len(AGE_CODE))),
    ],
    ttl_s=TTL_S,
)

FEATURE_SET = f"{USER.version}-{PLACE.version}"
