"""A request after checking: what the pipeline works on."""

from dataclasses import dataclass

from inference.paging import Page


@dataclass(frozen=True)
class Query:
    """What a caller wants, every value within its limits.

    Attributes:
        user_id: canonical id.
        lat, lng: where the user stands, degrees.
        limit: places wanted, 1 to 100.
        radius_m: how far to look; None: the service's radius, widened where the area is thin.
        categories: only these and their kinds; empty: every one.
        min_price_level, max_price_level: lowest and highest price level; 0: any.
        open_now: only places known to be open on arrival.
        min_rating: lowest rating, 0 to 5; 0: any.
        exclude: canonical ids of places never to show.
        only_new: no place that the user has visited.
        only_known: only places that the user has visited.
        max_distance_m: no place farther away; None: any distance.
        region: whose weather and traffic count; empty: that of the nearest place.
        request_id: the caller's, or one that was made for it.
        explain: whether reasons are wanted.
        written: (partition, offset) of events that the answer is to reflect, the highest offset
            of each partition.
        diversity: how varied, 0 to 1; None: the service's light hand.
        page: what the pages before have shown; None for the first page.
        explore_slots: slots for places of which little is known.
    """

    user_id: str
    lat: float
    lng: float
    limit: int
    request_id: str
    radius_m: float | None = None
    categories: tuple[str, ...] = ()
    min_price_level: int = 0
    max_price_level: int = 0
    open_now: bool = False
    min_rating: float = 0.0
    exclude: tuple[str, ...] = ()
    only_new: bool = False
    only_known: bool = False
    max_distance_m: float | None = None
    region: str = ""
    explain: bool = False
    written: tuple[tuple[int, int], ...] = ()
    diversity: float | None = None
    page: Page | None = None
    explore_slots: int = 0

    @property
    def shown(self) -> int:
        """How many places the pages before have shown."""
        return len(self.page.shown) if self.page is not None else 0


@dataclass(frozen=True)
class FeaturesQuery:
    """Whose features a caller wants to see; `user_id` may be empty, or `place_ids`, not both."""

    user_id: str
    place_ids: tuple[str, ...]
