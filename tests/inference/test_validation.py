"""Every bad request is refused with the field's name and one stable reason."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import MAX_ID_BYTES
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.topics import Topics
from inference.checks import MAX_TEXT_CHARS, MAX_VIOLATIONS, BadRequest
from inference.paging import PageTokens
from inference.query import FeaturesQuery, Query
from inference.validation import (
    DEFAULT_LIMIT,
    MAX_CATEGORIES,
    MAX_EXCLUDED,
    MAX_FEATURE_PLACES,
    MAX_LIMIT,
    MAX_WRITTEN,
    parse_features,
    parse_recommend,
)

MAX_RADIUS_M = 50_000.0
INTERACTIONS = Topics(prefix="mine", partitions=4).interactions
PAGES = PageTokens("mine", lambda: 1_700_000_000.0)
LONG_ID = "é" * (MAX_ID_BYTES // 2) + "x"  # 129 bytes, 65 characters
LONG_TEXT = "x" * (MAX_TEXT_CHARS + 1)


def valid() -> pb.RecommendRequest:
    return pb.RecommendRequest(user_id="12345", location=pb.LatLng(lat=40.7, lng=-74.0))


def parsed(request: pb.RecommendRequest) -> Query:
    return parse_recommend(
        request,
        max_radius_m=MAX_RADIUS_M,
        interactions=INTERACTIONS,
        new_id=lambda: "made",
        pages=PAGES,
    )


def position(
    partition: int = 0, offset: int = 0, topic: str = INTERACTIONS.name
) -> pb.EventPosition:
    return pb.EventPosition(topic=topic, partition=partition, offset=offset)


def refused(request: pb.RecommendRequest) -> list[tuple[str, str]]:
    with pytest.raises(BadRequest) as caught:
        parsed(request)
    return [(v.field, v.reason) for v in caught.value.violations]


def test_a_least_request_gets_defaults() -> None:
    """User and location are enough."""
    query = parsed(valid())
    assert query == Query("12345", 40.7, -74.0, DEFAULT_LIMIT, "made")


def test_a_full_request_keeps_what_it_says() -> None:
    """Every field of the message has its place in the query."""
    request = pb.RecommendRequest(
        user_id="u",
        location=pb.LatLng(lat=-90, lng=180),
        limit=MAX_LIMIT,
        radius_m=MAX_RADIUS_M,
        filters=pb.Filters(
            categories=["Café"],
            min_price_level=2,
            max_price_level=4,
            open_now=True,
            min_rating=5,
            max_distance_m=900,
            exclude_place_ids=["p", "q"],
            familiarity=pb.FAMILIARITY_KNOWN,
        ),
        context=pb.RequestContext(region="nyc"),
        request_id="mine",
        explain=True,
        written=[position(2, 7), position(0, 5), position(2, 6)],
        diversity=0,
        explore_slots=2,
    )
    assert parsed(request) == Query(
        user_id="u",
        lat=-90,
        lng=180,
        limit=MAX_LIMIT,
        request_id="mine",
        radius_m=MAX_RADIUS_M,
        categories=("Café",),
        min_price_level=2,
        max_price_level=4,
        open_now=True,
        min_rating=5,
        max_distance_m=900,
        exclude=("p", "q"),
        only_known=True,
        region="nyc",
        explain=True,
        written=((2, 7), (0, 5)),
        diversity=0,
        explore_slots=2,
    )


@pytest.mark.parametrize(
    ("field", "reason", "spoil"),
    [
        ("user_id", "REQUIRED", lambda r: setattr(r, "user_id", "")),
        ("user_id", "TOO_LONG", lambda r: setattr(r, "user_id", LONG_ID)),
        ("user_id", "BAD_ID", lambda r: setattr(r, "user_id", "a\nb")),
        ("location", "REQUIRED", lambda r: r.ClearField("location")),
        ("location.lat", "NOT_FINITE", lambda r: setattr(r.location, "lat", math.nan)),
        ("location.lat", "OUT_OF_RANGE", lambda r: setattr(r.location, "lat", 90.001)),
        ("location.lat", "OUT_OF_RANGE", lambda r: setattr(r.location, "lat", -90.001)),
        ("location.lng", "NOT_FINITE", lambda r: setattr(r.location, "lng", -math.inf)),
        ("location.lng", "OUT_OF_RANGE", lambda r: setattr(r.location, "lng", 180.001)),
        ("location.lng", "OUT_OF_RANGE", lambda r: setattr(r.location, "lng", -180.001)),
        ("limit", "OUT_OF_RANGE", lambda r: setattr(r, "limit", -1)),
        ("limit", "OUT_OF_RANGE", lambda r: setattr(r, "limit", MAX_LIMIT + 1)),
        ("radius_m", "NOT_FINITE", lambda r: setattr(r, "radius_m", math.inf)),
        ("radius_m", "OUT_OF_RANGE", lambda r: setattr(r, "radius_m", -1.0)),
        ("radius_m", "OUT_OF_RANGE", lambda r: setattr(r, "radius_m", MAX_RADIUS_M + 1)),
        (
            "filters.categories",
            "TOO_MANY",
            lambda r: r.filters.categories.extend(["c"] * (MAX_CATEGORIES + 1)),
        ),
        ("filters.categories[1]", "REQUIRED", lambda r: r.filters.categories.extend(["c", ""])),
        ("filters.categories[0]", "TOO_LONG", lambda r: r.filters.categories.append(LONG_TEXT)),
        (
            "filters.max_price_level",
            "OUT_OF_RANGE",
            lambda r: setattr(r.filters, "max_price_level", 5),
        ),
        (
            "filters.max_price_level",
            "OUT_OF_RANGE",
            lambda r: setattr(r.filters, "max_price_level", -1),
        ),
        (
            "filters.min_price_level",
            "OUT_OF_RANGE",
            lambda r: setattr(r.filters, "min_price_level", -1),
        ),
        (
            "filters.min_price_level",
            "OUT_OF_RANGE",
            lambda r: setattr(r.filters, "min_price_level", 5),
        ),
        (
            "filters.min_price_level",
            "OUT_OF_RANGE",
            lambda r: r.MergeFrom(
                pb.RecommendRequest(filters=pb.Filters(min_price_level=3, max_price_level=2))
            ),
        ),
        (
            "filters.max_distance_m",
            "NOT_FINITE",
            lambda r: setattr(r.filters, "max_distance_m", math.nan),
        ),
        (
            "filters.max_distance_m",
            "OUT_OF_RANGE",
            lambda r: setattr(r.filters, "max_distance_m", MAX_RADIUS_M + 1),
        ),
        ("filters.min_rating", "NOT_FINITE", lambda r: setattr(r.filters, "min_rating", math.nan)),
        ("filters.min_rating", "OUT_OF_RANGE", lambda r: setattr(r.filters, "min_rating", 5.1)),
        (
            "filters.exclude_place_ids",
            "TOO_MANY",
            lambda r: r.filters.exclude_place_ids.extend(["p"] * (MAX_EXCLUDED + 1)),
        ),
        (
            "filters.exclude_place_ids[2]",
            "TOO_LONG",
            lambda r: r.filters.exclude_place_ids.extend(["p", "q", LONG_ID]),
        ),
        (
            "filters.exclude_place_ids[0]",
            "REQUIRED",
            lambda r: r.filters.exclude_place_ids.append(""),
        ),
        (
            "filters.exclude_place_ids[0]",
            "BAD_ID",
            lambda r: r.filters.exclude_place_ids.append("\x00"),
        ),
        ("filters.familiarity", "UNKNOWN_VALUE", lambda r: setattr(r.filters, "familiarity", 9)),
        ("context.device", "TOO_LONG", lambda r: setattr(r.context, "device", LONG_TEXT)),
        ("context.session_id", "TOO_LONG", lambda r: setattr(r.context, "session_id", LONG_TEXT)),
        (
            "context.search_query",
            "TOO_LONG",
            lambda r: setattr(r.context, "search_query", LONG_TEXT),
        ),
        ("context.region", "TOO_LONG", lambda r: setattr(r.context, "region", LONG_TEXT)),
        ("diversity", "OUT_OF_RANGE", lambda r: setattr(r, "diversity", 1.01)),
        ("diversity", "OUT_OF_RANGE", lambda r: setattr(r, "diversity", -0.01)),
        ("diversity", "NOT_FINITE", lambda r: setattr(r, "diversity", math.nan)),
        ("explore_slots", "OUT_OF_RANGE", lambda r: setattr(r, "explore_slots", -1)),
        ("explore_slots", "OUT_OF_RANGE", lambda r: setattr(r, "explore_slots", 11)),
        ("request_id", "TOO_LONG", lambda r: setattr(r, "request_id", LONG_ID)),
        ("request_id", "BAD_ID", lambda r: setattr(r, "request_id", "a\tb")),
        (
            "written",
            "TOO_MANY",
            lambda r: r.written.extend([position()] * (MAX_WRITTEN + 1)),
        ),
        ("written[0].topic", "REQUIRED", lambda r: r.written.append(position(topic=""))),
        (
            "written[1].topic",
            "UNKNOWN_VALUE",
            lambda r: r.written.extend([position(), position(topic="mine.places.v1")]),
        ),
        ("written[0].partition", "OUT_OF_RANGE", lambda r: r.written.append(position(4))),
        ("written[0].partition", "OUT_OF_RANGE", lambda r: r.written.append(position(-1))),
        ("written[0].offset", "OUT_OF_RANGE", lambda r: r.written.append(position(0, -1))),
    ],
)
def test_each_bad_field_is_named(
    field: str, reason: str, spoil: Callable[[pb.RecommendRequest], Any]
) -> None:
    """One thing wrong: one violation, with the path of the field."""
    request = valid()
    spoil(request)
    assert refused(request) == [(field, reason)]


def test_limits_themselves_are_allowed() -> None:
    """The largest of everything is still valid."""
    request = valid()
    request.user_id = "x" * MAX_ID_BYTES
    request.filters.categories.extend(["c" * MAX_TEXT_CHARS] * MAX_CATEGORIES)
    request.filters.exclude_place_ids.extend(["p"] * MAX_EXCLUDED)
    request.context.search_query = "x" * MAX_TEXT_CHARS
    assert len(parsed(request).exclude) == MAX_EXCLUDED


def test_the_service_explores_as_it_is_set_unless_the_request_says() -> None:
    """Also none, where the service would."""

    def slots(**said: Any) -> int:
        request = valid()
        request.MergeFrom(pb.RecommendRequest(**said))
        return parse_recommend(
            request,
            max_radius_m=MAX_RADIUS_M,
            interactions=INTERACTIONS,
            new_id=lambda: "made",
            pages=PAGES,
            explore_slots=3,
        ).explore_slots

    assert (slots(), slots(explore_slots=0), slots(explore_slots=5)) == (3, 0, 5)


def test_all_that_is_wrong_is_told_together_but_not_without_end() -> None:
    """Several fields are named in order, and their number fits the trailers of a response."""
    request = valid()
    request.user_id = ""
    request.limit = -3
    assert refused(request) == [("user_id", "REQUIRED"), ("limit", "OUT_OF_RANGE")]
    request.filters.exclude_place_ids.extend([""] * MAX_EXCLUDED)
    assert len(refused(request)) == MAX_VIOLATIONS


def test_features_need_a_user_or_a_place() -> None:
    """Either alone is enough, none is refused."""
    with pytest.raises(BadRequest) as caught:
        parse_features(pb.GetFeaturesRequest())
    assert [(v.field, v.reason) for v in caught.value.violations] == [("user_id", "REQUIRED")]
    assert parse_features(pb.GetFeaturesRequest(user_id="u")) == FeaturesQuery("u", ())
    assert parse_features(pb.GetFeaturesRequest(place_ids=["p"])) == FeaturesQuery("", ("p",))


@pytest.mark.parametrize(
    ("field", "reason", "request_"),
    [
        ("user_id", "TOO_LONG", pb.GetFeaturesRequest(user_id=LONG_ID)),
        ("place_ids[1]", "REQUIRED", pb.GetFeaturesRequest(place_ids=["p", ""])),
        (
            "place_ids",
            "TOO_MANY",
            pb.GetFeaturesRequest(place_ids=["p"] * (MAX_FEATURE_PLACES + 1)),
        ),
    ],
)
def test_bad_feature_requests_are_named(
    field: str, reason: str, request_: pb.GetFeaturesRequest
) -> None:
    """The second method checks its fields alike."""
    with pytest.raises(BadRequest) as caught:
        parse_features(request_)
    assert [(v.field, v.reason) for v in caught.value.violations] == [(field, reason)]


def _filled(message: Any, data: st.DataObject) -> Any:
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=150)
    numbers = st.floats() | st.sampled_from([0.0, 1.0, 90.0, 180.0])
    message.user_id, message.request_id = data.draw(text), data.draw(text)
    if data.draw(st.booleans()):
        message.location.lat, message.location.lng = data.draw(numbers), data.draw(numbers)
    message.limit = data.draw(st.integers(-(2**31), 2**31 - 1) | st.integers(0, 10))
    message.radius_m = data.draw(numbers)
    message.filters.min_rating = data.draw(numbers)
    message.filters.familiarity = data.draw(st.integers(-5, 5))
    message.filters.exclude_place_ids.extend(data.draw(st.lists(text, max_size=5)))
    return message


@given(st.data())
def test_any_request_is_either_refused_or_within_limits(data: st.DataObject) -> None:
    """No value that came through is outside of what the pipeline expects."""
    request = _filled(pb.RecommendRequest(), data)
    try:
        query = parsed(request)
    except BadRequest:
        return
    assert abs(query.lat) <= 90
    assert abs(query.lng) <= 180
    assert 1 <= query.limit <= MAX_LIMIT
    assert query.radius_m is None or 0 < query.radius_m <= MAX_RADIUS_M
    assert 0 <= query.min_rating <= 5
    assert all(0 < len(i.encode()) <= MAX_ID_BYTES for i in (query.user_id, *query.exclude))
