"""Which inputs of the ranker a reason speaks of: those that change with what it says."""

import numpy as np
from numpy.typing import NDArray

from inference.reason_groups import GROUPS
from inference.reasons import CODES, EXPLORED
from online_features.context import situation
from online_features.definitions import PLACE, USER
from online_features.ranking_columns import COLUMNS, OfRequest
from online_features.request import ranking_features
from tests.inference.fakes import LAT, LNG, NOON_S, catalogue_of, events, place

DAY_S, HALF_S = 86_400.0, 43_200.0
#: Some days ago, one of them the same day of the week.
DAYS = (1.0, 2.0, 7.0)
#: As far as a visit half a day from now has any share in this hour.
NEARLY = 0.05


def row_of(*happened: tuple[str, str, str, float]) -> NDArray[np.float32]:
    """What the ranker sees of the place "p" for the user "u"; its crowd is always the same."""
    catalogue = catalogue_of(place("p", 500, category="Bar"), place("q", 900, category="Museum"))
    user = USER.empty(1)
    log = events(*happened)
    USER.fold(user, np.zeros(len(log), np.int64), log)
    here = situation(LAT, LNG, NOON_S, None, stale_s=1.0)
    rows = catalogue.rows_of(events(("u", "p", "view", 0.0)).place)
    row: NDArray[np.float32] = ranking_features(user, PLACE.empty(1), rows, here, catalogue)[0]
    return row


#: Always from "q" to "p" and back, so that the way there is a habit, too; "q" was last.
AT_Q = [("u", "q", "visit", d * DAY_S - 3_600.0) for d in DAYS]
NEVER = row_of(*AT_Q)
AT_NOON = row_of(*AT_Q, *(("u", "p", "visit", d * DAY_S) for d in DAYS))
AT_NIGHT = row_of(*AT_Q, *(("u", "p", "visit", d * DAY_S + HALF_S) for d in DAYS))


def differing(a: NDArray[np.float32], b: NDArray[np.float32]) -> set[str]:
    """Columns of the place that two rows do not share; what is of the request is not a place's."""
    return {
        name
        for name, kind, moved in zip(COLUMNS, COLUMNS.values(), abs(a - b) > NEARLY, strict=True)
        if moved and not isinstance(kind, OfRequest)
    }


def test_visits_here_are_all_that_visits_here_change() -> None:
    """All columns of the group, and no other but the category's and those of whereabouts."""
    of_kind = set(GROUPS["LIKES_CATEGORY"].columns) | set(GROUPS["SIMILAR_TO_RECENT"].columns)
    whereabouts = {"from_centre_log_km", "from_last_place_log_km"}
    changed = differing(AT_NOON, NEVER) | differing(AT_NIGHT, NEVER)
    assert changed - of_kind - whereabouts == set(GROUPS["VISITED_BEFORE"].columns)


def test_the_usual_hour_is_what_only_visits_at_this_hour_change() -> None:
    """Of the columns of visits here, those that visits at midnight leave as if there were none."""
    at_any_hour = differing(AT_NIGHT, NEVER)
    at_this_hour = differing(AT_NOON, NEVER) - at_any_hour
    assert at_this_hour & set(GROUPS["VISITED_BEFORE"].columns) == set(GROUPS["USUAL_HOUR"].columns)


def test_a_look_changes_what_looks_tell() -> None:
    """At the place itself, and at its like."""
    seen = row_of(*AT_Q, ("u", "p", "view", 60.0))
    looks = set(GROUPS["JUST_LOOKED"].columns) | set(GROUPS["SIMILAR_TO_RECENT"].columns)
    assert differing(seen, NEVER) == looks


def test_every_rule_has_its_group() -> None:
    """And only an explored slot, which no model put there, has none."""
    assert set(GROUPS) == set(CODES) - {EXPLORED}
    for group in GROUPS.values():
        assert len(group.column_at) == len(group.columns) > 0
        assert len(group.part_at) == len(group.parts)


def test_a_narrower_reason_lies_in_the_wider_and_is_judged_before_it() -> None:
    """Else its weight could not be taken off."""
    nested = {code: group for code, group in GROUPS.items() if group.beyond}
    assert nested
    for code, wide in nested.items():
        narrow = GROUPS[wide.beyond]
        assert set(narrow.columns) <= set(wide.columns)
        assert set(narrow.parts) <= set(wide.parts)
        assert CODES.index(wide.beyond) < CODES.index(code)
