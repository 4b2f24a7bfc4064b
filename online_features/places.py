"""Merging partial updates of a place into its whole document."""

from typing import Any

import msgspec

from contracts.events import (
    MAX_NESTING,
    BadEvent,
    PlaceDocument,
    PlaceFields,
    PlaceUpdate,
    checked_id,
    checked_time_s,
    decode,
)
from online_features.holiday import calendar
from online_features.opening import special_days, week_spans, zone

_UPDATE = msgspec.json.Decoder(PlaceUpdate)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_DOCUMENT = msgspec.json.Decoder(PlaceDocument)


def read_update(value: bytes, received_s: float) -> tuple[str, float, dict[str, Any]]:
    """Check one update.

    Returns:
        Canonical place id, Unix seconds of the update (of its receipt, if it states none), and
        its `updates` as they were sent, unknown fields included.

    Raises:
        BadEvent: names the field.
    """
    update = decode(_UPDATE, value)
    place_id = checked_id("place_id", update.place_id)
    time_s = received_s
    if update.timestamp is not None:
        time_s = checked_time_s("timestamp", update.timestamp, received_s)
    _check_opening(update.updates)
    updates = decode(_OBJECT, value)["updates"]
    if not _flatter_than(updates, MAX_NESTING):
        raise BadEvent("updates", f"is nested more than {MAX_NESTING} deep")
    for name in ("place_id", "version", "updated_s"):
        if name in updates:
            raise BadEvent(f"updates.{name}", "is placestream's own and cannot be set")
    return place_id, time_s, updates


def _check_opening(updates: PlaceFields) -> None:
    if updates.business_hours is not None:
        week_spans(updates.business_hours)
    if updates.special_hours is not None:
        special_days(updates.special_hours)
    if updates.holiday_calendar is not None:
        calendar(updates.holiday_calendar)
    if updates.time_zone is not None:
        zone(updates.time_zone)


def _flatter_than(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_flatter_than(part, depth - 1) for part in inner)


def merge(
    document: bytes | None, place_id: str, time_s: float, updates: dict[str, Any], offset: int
) -> bytes | None:
    """Apply an update to a document as a JSON merge patch (RFC 7396: `null` removes a field).

    Args:
        document: the whole place so far, `None` for a new or closed one.
        time_s: Unix seconds of the update.
        offset: its offset, which becomes the document's version.

    Returns:
        The new document, or `None` if the update is older than what the document holds.
    """
    whole = {} if document is None else _OBJECT.decode(document)
    if time_s < whole.get("updated_s", 0.0):
        return None
    merged = _merge_patch(whole, updates)
    merged |= {"place_id": place_id, "version": offset, "updated_s": time_s}
    return msgspec.json.encode(merged)


def document_of(value: bytes) -> PlaceDocument:
    """Read a whole document.

    Raises:
        BadEvent: names the field.
    """
    return decode(_DOCUMENT, value)


def _merge_patch(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge_patch(result.get(name), value)
    return result
