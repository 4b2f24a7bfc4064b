"""Served answers and outcomes written out by hand, for the join and what is told of it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from contracts.events import Impression, Location, ServedPlace
from retrain.outcome_join import Kind, Outcome
from tests.models.logs import START_S


def served(
    name: str,
    user: str,
    after_s: float,
    places: Sequence[str],
    probability: Sequence[float | None] | None = None,
    *,
    variant: str = "stable",
    version: int = 1,
) -> Impression:
    """An answer `after_s` after START_S; the scores fall with the position."""
    told = [0.5 / (1 + i) for i in range(len(places))] if probability is None else probability
    return Impression(
        request_id=name,
        user_id=user,
        timestamp=datetime.fromtimestamp(START_S + after_s, UTC),
        location=Location(0, 0),
        variant=variant,
        degradation="none",
        models={"candidates": version, "ranker": version},
        feature_set="1",
        places=[
            ServedPlace(place, i, -float(i), p)
            for i, (place, p) in enumerate(zip(places, told, strict=True))
        ],
    )


def done(
    user: str,
    place: str,
    kind: Kind,
    after_s: float,
    *,
    rating: float | None = None,
    dwell_s: float | None = None,
    request_id: str | None = None,
) -> Outcome:
    """An outcome `after_s` after START_S."""
    return Outcome(START_S + after_s, user, place, kind, rating, dwell_s, request_id)
