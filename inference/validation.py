"""Every bad request is refused with the name of the field and one stable reason."""

from collections.abc import Callable, Sequence

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.topics import Topic
from inference.checks import OUT_OF_RANGE, REQUIRED, TOO_MANY, UNKNOWN_VALUE, Checks
from inference.paging import BadToken, Page, PageTokens
from inference.query import FeaturesQuery, Query

DEFAULT_LIMIT = 10
MAX_LIMIT = 100
MAX_CATEGORIES = 50
MAX_EXCLUDED = 500
MAX_FEATURE_PLACES = 200
MAX_WRITTEN = 16
#: A home page; all of it has one deadline.
MAX_BATCH = 16
MAX_EXPLORE_SLOTS = 10
#: Kafka's largest offset.
MAX_OFFSET = 2**63 - 1


def parse_recommend(
    request: pb.RecommendRequest,
    *,
    max_radius_m: float,
    interactions: Topic,
    new_id: Callable[[], str],
    pages: PageTokens,
    explore_slots: int = 0,
) -> Query:
    """Check a request and return it as the pipeline wants it.

    Args:
        request: as it came.
        max_radius_m: largest radius that may be asked for.
        interactions: the topic whose events may be waited for.
        new_id: makes the id of a request that brings none.
        pages: reads page tokens.
        explore_slots: of a request that does not say.

    Raises:
        BadRequest: names each field that is wrong.
    """
    checks = Checks()
    checks.an_id("user_id", request.user_id)
    _location(checks, request)
    checks.within("limit", request.limit, 0, MAX_LIMIT)
    checks.within("radius_m", request.radius_m, 0, max_radius_m)
    if request.HasField("filters"):
        _filters(checks, request.filters, max_radius_m)
    if request.HasField("context"):
        for field in ("device", "session_id", "search_query", "region"):
            checks.text(f"context.{field}", getattr(request.context, field))
    if request.request_id:
        checks.an_id("request_id", request.request_id)
    _written(checks, request.written, interactions)
    checks.within("diversity", request.diversity, 0, 1)
    checks.within("explore_slots", request.explore_slots, 0, MAX_EXPLORE_SLOTS)
    page = _page(checks, request, pages)
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
        page=page,
        explore_slots=(
            request.explore_slots if request.HasField("explore_slots") else explore_slots
        ),
    )


def _location(checks: Checks, request: pb.RecommendRequest) -> None:
    if not request.HasField("location"):
        checks.blame("location", REQUIRED, "must be set")
        return
    checks.within("location.lat", request.location.lat, -90, 90)
    checks.within("location.lng", request.location.lng, -180, 180)


def _page(checks: Checks, request: pb.RecommendRequest, pages: PageTokens) -> Page | None:
    if not request.page_token:
        return None
    try:
        return pages.read(request)
    except BadToken as error:
        checks.blame("page_token", error.reason, str(error))
        return None


def _filters(checks: Checks, filters: pb.Filters, max_radius_m: float) -> None:
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


def _least_price(checks: Checks, filters: pb.Filters) -> None:
    least, most = filters.min_price_level, filters.max_price_level
    if 1 <= most <= 4 and least > most:
        text = f"must not lie above filters.max_price_level, which is {most}"
        checks.blame("filters.min_price_level", OUT_OF_RANGE, text)
    else:
        checks.within("filters.min_price_level", least, 0, 4)


def _written(checks: Checks, written: Sequence[pb.EventPosition], interactions: Topic) -> None:
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


def check_batch(request: pb.BatchRecommendRequest) -> None:
    """Check the number of a batch's requests; each is checked when it is answered.

    Raises:
        BadRequest: none, or too many.
    """
    checks, size = Checks(), len(request.requests)
    if not size:
        checks.blame("requests", REQUIRED, "must not be empty")
    elif size > MAX_BATCH:
        text = f"must hold at most {MAX_BATCH} values, not {size}"
        checks.blame("requests", TOO_MANY, text)
    checks.done()


def parse_features(request: pb.GetFeaturesRequest) -> FeaturesQuery:
    """Check a request for features.

    Raises:
        BadRequest: names each field that is wrong.
    """
    checks = Checks()
    if not request.user_id and not request.place_ids:
        checks.blame("user_id", REQUIRED, "must be set, or place_ids")
    if request.user_id:
        checks.an_id("user_id", request.user_id)
    checks.each("place_ids", request.place_ids, MAX_FEATURE_PLACES, checks.an_id)
    checks.done()
    return FeaturesQuery(request.user_id, tuple(request.place_ids))
