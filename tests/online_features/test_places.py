"""Merging of place updates."""

from typing import Any

import msgspec
import pytest

from contracts.events import MAX_NESTING, BadEvent
from online_features.places import document_of, merge, read_update


def merged(*updates: dict[str, Any]) -> dict[str, Any]:
    """The document after some updates, a second apart."""
    document = None
    for second, update in enumerate(updates):
        document = merge(document, "p", float(second), update, second) or document
    result: dict[str, Any] = msgspec.json.decode(document or b"{}")
    return result


def test_a_merge_patch_adds_replaces_and_removes() -> None:
    """The example of RFC 7396: objects merge, null removes, everything else replaces."""
    first = {"name": "a", "attributes": {"x": 1, "y": {"z": 2}}, "tags": [1, 2]}
    second = {"name": "b", "attributes": {"x": None, "y": {"w": 3}}, "tags": [3]}
    document = merged(first, second)
    assert document["name"] == "b"
    assert document["attributes"] == {"y": {"z": 2, "w": 3}}
    assert document["tags"] == [3]
    assert document["version"] == 1


def test_an_older_update_changes_nothing() -> None:
    """Time decides, not the order of arrival; equal times, the later arrival."""
    document = merge(None, "p", 100.0, {"name": "new"}, 1)
    assert merge(document, "p", 99.0, {"name": "old"}, 2) is None
    same = merge(document, "p", 100.0, {"name": "newer"}, 3)
    assert same is not None
    assert document_of(same).name == "newer"


def test_an_update_with_no_time_has_that_of_its_receipt() -> None:
    """Integer ids become canonical, unknown fields are kept."""
    body = msgspec.json.encode({"place_id": 5, "updates": {"stars": 3}})
    assert read_update(body, 1_700_000_000.0) == ("5", 1_700_000_000.0, {"stars": 3})


@pytest.mark.parametrize("name", ["place_id", "version", "updated_s"])
def test_fields_of_our_own_cannot_be_set(name: str) -> None:
    """They would forge the order of updates."""
    body = msgspec.json.encode({"place_id": 5, "updates": {name: 1}})
    with pytest.raises(BadEvent, match=name):
        read_update(body, 1_700_000_000.0)


@pytest.mark.parametrize(
    ("updates", "field"),
    [
        ({"business_hours": {"holidays": []}}, "updates.business_hours.holidays"),
        ({"special_hours": {"25.12.": []}}, "updates.special_hours.25.12."),
        ({"holiday_calendar": "XX"}, "updates.holiday_calendar"),
        ({"holiday_calendar": "US-XX"}, "updates.holiday_calendar"),
        # Names that the package `holidays` has, and that are no country's.
        ({"holiday_calendar": "MAR"}, "updates.holiday_calendar"),
        ({"holiday_calendar": "PUBLIC"}, "updates.holiday_calendar"),
        ({"holiday_calendar": "HolidayBase"}, "updates.holiday_calendar"),
        ({"holiday_calendar": "list_supported_countries"}, "updates.holiday_calendar"),
        ({"time_zone": "Mars/Olympus"}, "updates.time_zone"),
    ],
)
def test_opening_that_cannot_be_is_refused(updates: dict[str, Any], field: str) -> None:
    """Before it reaches a document that every service reads."""
    body = msgspec.json.encode({"place_id": 5, "updates": updates})
    with pytest.raises(BadEvent) as caught:
        read_update(body, 1_700_000_000.0)
    assert caught.value.field == field


def test_the_hours_of_a_day_are_taken_back_by_null() -> None:
    """As every field of a merge patch is."""
    day: dict[str, Any] = {"special_hours": {"2026-12-24": []}}
    taken: dict[str, Any] = {"special_hours": {"2026-12-24": None}}
    assert read_update(msgspec.json.encode({"place_id": 5, "updates": taken}), 1.7e9)[2] == taken
    assert merged(day, taken)["special_hours"] == {}


@pytest.mark.parametrize(("depth", "good"), [(MAX_NESTING, True), (MAX_NESTING + 1, False)])
def test_what_is_nested_too_deep_is_refused(depth: int, good: bool) -> None:
    """Merging goes down one call a level; `updates` itself is the first."""
    value = b'{"a":' * (depth - 1) + b"1" + b"}" * (depth - 1)
    body = b'{"place_id": 5, "updates": {"x":' + value + b"}}"
    if good:
        assert read_update(body, 1_700_000_000.0)[0] == "5"
    else:
        with pytest.raises(BadEvent, match="nested"):
            read_update(body, 1_700_000_000.0)
