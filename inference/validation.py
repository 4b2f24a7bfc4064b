"""Every bad request is refused with the name of the field and one stable reason."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contracts.ids import MAX_ID_BYTES, BadId, canonical_id
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.topics import Topic
from inference.query import FeaturesQuery, Query

DEFAULT_LIMIT = 10
MAX_LIMIT = 100
MAX_CATEGORIES = 50
MAX_EXCLUDED = 500
MAX_FEATURE_PLACES = 200
MAX_WRITTEN = 16
MAX_EXPLORE_SLOTS = 10
#: Kafka's largest offset.
MAX_OFFSET = 2**63 - 1
#: As long as the events allow for texts (`contracts.events.ShortText`).
MAX_TEXT_CHARS = 512

REQUIRED = "REQUIRED"
NOT_FINITE = "NOT_FINITE"
OUT_OF_RANGE = "OUT_OF_RANGE"
TOO_LONG = "TOO_LONG"
TOO_MANY = "TOO_MANY"
BAD_ID = "BAD_ID"
UNKNOWN_VALUE = "UNKNOWN_VALUE"
NOT_A_MESSAGE = "NOT_A_MESSAGE"

#: The details of an error travel in HTTP/2 trailers, of which a client takes 8 KiB by default.
MAX_VIOLATIONS = 8


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong: dotted path of the field, stable reason, text for a person."""

    field: str
    reason: str
    text: str


class BadRequest(ValueError):
    """A request that nobody can answer.

    Attributes:
        violations: what is wrong, at most `MAX_VIOLATIONS`, in the order of the fields.
    """

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{v.field}: {v.text}" for v in violations))
        self.violations = tuple(violations)


class _Checks:
    """Collects what is wrong."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def blame(self, field: str, reason: str, text: str) -> None:
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(Violation(field, reason, text))

    def within(self, field: str, value: float, least: float, most: float) -> None:
        if not math.isfinite(value):
            self.blame(field, NOT_FINITE, "must be a finite number")
        elif not least <= value <= most:
            self.blame(field, OUT_OF_RANGE, f"must lie within {least:g} and {most:g}")

    def text(self, field: str, value: str) -> None:
        if len(value) > MAX_TEXT_CHARS:
            self.blame(field, TOO_LONG, f"must have at most {MAX_TEXT_CHARS} characters")

    def an_id(self, field: str, value: str) -> None:
        if not value:
            self.blame(field, REQUIRED, "must not be empty")
        elif len(value.encode()) > MAX_ID_BYTES:
            self.blame(field, TOO_LONG, f"must have at most {MAX_ID_BYTES} bytes")
        else:
            try:
                canonical_id(value)
            except BadId as error:
                self.blame(field, BAD_ID, str(error))

    def each(
        self, field: str, values: Sequence[str], most: int, check: Callable[[str, str], object]
    ) -> None:
        if len(values) > most:
            self.blame(field, TOO_MANY, f"must hold at most {most} values, not {len(values)}")
            return
        for i, value in enumerate(values):
            check(f"{field}[{i}]", value)

    def done(self) -> None:
        if self.violations:
            raise BadRequest(self.violations)


def parse_recommend(
    request: pb.RecommendRequest,
    *,
    max_radius_m: float,
    interactions: Topic,
    new_id: Callable[[], str],
    explore_slots: int = 0,
) -> Query:
    """Check a request and return it as the pipeline wants it.

    Args:
        request: as it came.
        max_radius_m: largest radius that may be asked for.
        interactions: the topic whose events may be waited for.
        new_id: makes the id of a request that brings none.
        explore_slots: of a request that does not say.

    Raises:
        BadRequest: names each field that is wrong.
    """
    checks = _Checks()
    checks.an_id("user_id", request.user_id)
    _location(checks, request)
    checks.within("limit", request.limit, 0, MAX_LIMIT)
    checks.within("radius_m", request.radius_m, 0, max_radius_m)
    _filters(checks, request.filters, max_radius_m)
    for field in ("device", "session_id", "search_query", "region"):
        checks.text(f"context.{field}", getattr(request.context, field))
    if request.request_id:
        checks.an_id("request_id", request.request_id)
    _written(checks, request.written, interactions)
    checks.within("diversity", request.diversity, 0, 1)
    checks.within("explore_slots", request.explore_slots, 0, MAX_EXPLORE_SLOTS)
    checks.done()
    filters = request.filters
    return Query(
        user_id=request.user_id,
        lat=request.location.lat,
        lng=request.location.lng,
        limit=request.limit or DEFAULT_LIMIT,
        request_id=request.request_id or new_id(),
        radius_m=request.radius_m or None,
        categories=tuple(filters.categories),
        min_price_level=filters.min_price_level,
        max_price_level=filters.max_price_level,
        open_now=filters.open_now,
        min_rating=filters.min_rating,
        exclude=tuple(filters.exclude_place_ids),
        only_new=filters.familiarity == pb.FAMILIARITY_NEW,
        only_known=filters.familiarity == pb.FAMILIARITY_KNOWN,
        max_distance_m=filters.max_distance_m or None,
        region=request.context.region,
        explain=request.explain,
        written=_newest(request.written),
        diversity=request.diversity if request.HasField("diversity") else None,
        explore_slots=(
            request.explore_slots if request.HasField("explore_slots") else explore_slots
        ),
    )


def _location(checks: _Checks, request: pb.RecommendRequest) -> None:
    if not request.HasField("location"):
        checks.blame("location", REQUIRED, "must be set")
        return
    checks.within("location.lat", request.location.lat, -90, 90)
    checks.within("location.lng", request.location.lng, -180, 180)


def _filters(checks: _Checks, filters: pb.Filters, max_radius_m: float) -> None:
    def category(field: str, value: str) -> None:
        if not value:
            checks.blame(field, REQUIRED, "must not be empty")
        checks.text(field, value)

    checks.each("filters.categories", filters.categories, MAX_CATEGORIES, category)
    checks.within("filters.max_price_level", filters.max_price_level, 0, 4)
    _least_price(checks, filters)
    checks.within("filters.max_distance_m", filters.max_distance_m, 0, max_radius_m)
    checks.within("filters.min_rating", filters.min_rating, 0, 5)
    checks.each("filters.exclude_place_ids", filters.exclude_place_ids, MAX_EXCLUDED, checks.an_id)
    if filters.familiarity not in pb.Familiarity.values():
        checks.blame(
            "filters.familiarity", UNKNOWN_VALUE, f"has no value {int(filters.familiarity)}"
        )


def _least_price(checks: _Checks, filters: pb.Filters) -> None:
    least, most = filters.min_price_level, filters.max_price_level
    if 1 <= most <= 4 and least > most:
        text = f"must not lie above filters.max_price_level, which is {most}"
        checks.blame("filters.min_price_level", OUT_OF_RANGE, text)
    else:
        checks.within("filters.min_price_level", least, 0, 4)


def _written(checks: _Checks, written: Sequence[pb.EventPosition], interactions: Topic) -> None:
    if len(written) > MAX_WRITTEN:
        text = f"must hold at most {MAX_WRITTEN} values, not {len(written)}"
        checks.blame("written", TOO_MANY, text)
        return
    for i, position in enumerate(written):
        field = f"written[{i}]"
        if position.topic != interactions.name:
            text = f"must be {interactions.name}"
            checks.blame(f"{field}.topic", UNKNOWN_VALUE if position.topic else REQUIRED, text)
        checks.within(f"{field}.partition", position.partition, 0, interactions.partitions - 1)
        checks.within(f"{field}.offset", position.offset, 0, MAX_OFFSET)


def _newest(written: Sequence[pb.EventPosition]) -> tuple[tuple[int, int], ...]:
    """The highest offset of each partition: a shard that is past it is past all before it."""
    newest: dict[int, int] = {}
    for position in written:
        newest[position.partition] = max(position.offset, newest.get(position.partition, 0))
    return tuple(newest.items())


def parse_features(request: pb.GetFeaturesRequest) -> FeaturesQuery:
    """Check a request for features.

    Raises:
        BadRequest: names each field that is wrong.
    """
    checks = _Checks()
    if not request.user_id and not request.place_ids:
        checks.blame("user_id", REQUIRED, "must be set, or place_ids")
    if request.user_id:
        checks.an_id("user_id", request.user_id)
    checks.each("place_ids", request.place_ids, MAX_FEATURE_PLACES, checks.an_id)
    checks.done()
    return FeaturesQuery(request.user_id, tuple(request.place_ids))
