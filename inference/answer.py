"""An answer as the pipeline leaves it, and as the protocol tells it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contracts.ids import id64
from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.course import MODEL_STAGES, OWN_WRITES
from inference.paging import Page
from inference.query import Query
from inference.reasons import Reason
from online_features.request import ARRIVAL_SPEED_M_S


@dataclass(frozen=True, slots=True)
class AnsweredPlace:
    """One place of an answer; the fields are those of `RecommendedPlace`."""

    place_id: str
    name: str
    category: str
    lat: float
    lng: float
    distance_m: float
    score: float
    probability: float | None
    candidate_score: float | None
    open_state: int
    reasons: tuple[Reason, ...] = ()
    propensity: float = 1.0


@dataclass(frozen=True)
class Answer:
    """What the service says, and how it came to be.

    Attributes:
        places: best first.
        features: float32[places, RANKING_COLUMNS] that the ranker was asked with; None where
            it was not asked.
        parts: float32[places, PARTS], what the candidate model told the ranker of them; NaN where
            nothing, None where the ranker was not asked.
        level: value of `pb.Degradation`.
        causes: what forced the degradation, for a person.
        shortfall: value of `pb.Shortfall`.
        model_versions: model name to the version that answered.
        user_known: whether anything is known of the user.
        feature_age_s: age of the user's newest known event.
        radius_m: radius that was searched in the end.
        radius_widened: whether that is more than the one begun with.
        taken_out: what took places within it out, and how many each.
        seed: of what was random in it, and in the pages before.
        more: whether there may be a further page.
        stage_s: seconds spent in each stage, in order.
        answered_s: Unix seconds.
        read_your_writes: value of `pb.ReadYourWrites`.
        variant: version label of the models that were asked.
        reasons_by: value of `pb.ReasonsBy`.
    """

    places: tuple[AnsweredPlace, ...]
    features: NDArray[np.float32] | None
    level: pb.Degradation.ValueType
    causes: tuple[str, ...]
    shortfall: pb.Shortfall.ValueType
    model_versions: dict[str, int]
    user_known: bool
    feature_age_s: float | None
    radius_m: float
    answered_s: float
    stage_s: dict[str, float] = field(default_factory=dict)
    radius_widened: bool = False
    taken_out: tuple[tuple[str, int], ...] = ()
    seed: int = 0
    more: bool = False
    read_your_writes: pb.ReadYourWrites.ValueType = pb.READ_YOUR_WRITES_UNSPECIFIED
    parts: NDArray[np.float32] | None = None
    variant: str = ""
    reasons_by: pb.ReasonsBy.ValueType = pb.REASONS_BY_UNSPECIFIED

    @property
    def took_ms(self) -> float:
        """Time in all stages, but for the wait for the caller's own events, milliseconds."""
        return 1e3 * sum(s for stage, s in self.stage_s.items() if stage != OWN_WRITES)

    @property
    def models_ms(self) -> float:
        """Time in the stages of the two models, milliseconds.

        A candidate model that is done within 2 ms waits there for the user's side of the features.
        """
        return 1e3 * sum(self.stage_s.get(stage, 0.0) for stage in MODEL_STAGES)

    @property
    def level_name(self) -> str:
        """The level in a word: `none`, `partial`, `candidate_order` or `popularity`."""
        return pb.Degradation.Name(self.level).removeprefix("DEGRADATION_").lower()


def following(query: Query, answer: Answer) -> Page:
    """The page after this answer."""
    page = query.page or Page(0, answer.seed, ())
    shown = tuple(id64(place.place_id) for place in answer.places)
    return Page(page.number + 1, page.seed, page.shown + shown)


def response(answer: Answer, request_id: str, next_page_token: str) -> pb.RecommendResponse:
    """The answer as a message."""
    message = pb.RecommendResponse(
        request_id=request_id,
        places=[_place(place) for place in answer.places],
        degradation=answer.level,
        degradation_cause="; ".join(answer.causes),
        shortfall=answer.shortfall,
        model_versions=answer.model_versions,
        variant=answer.variant,
        user_known=answer.user_known,
        radius_m=answer.radius_m,
        radius_widened=answer.radius_widened,
        filtered=[pb.FilterEffect(filter=f, places=n) for f, n in answer.taken_out],
        read_your_writes=answer.read_your_writes,
        next_page_token=next_page_token,
        reasons_by=answer.reasons_by,
    )
    if answer.feature_age_s is not None:
        message.feature_age.FromNanoseconds(round(1e9 * answer.feature_age_s))
    message.answered_at.FromNanoseconds(round(1e9 * answer.answered_s))
    for stage, seconds in answer.stage_s.items():
        message.stages.add(stage=stage).duration.FromNanoseconds(round(1e9 * seconds))
    return message


def _place(place: AnsweredPlace) -> pb.RecommendedPlace:
    message = pb.RecommendedPlace(
        place_id=place.place_id,
        name=place.name,
        category=place.category,
        location=pb.LatLng(lat=place.lat, lng=place.lng),
        distance_m=place.distance_m,
        score=place.score,
        probability=place.probability,
        open_state=pb.OpenState.ValueType(place.open_state),
        reasons=[pb.Reason(code=r.code, text=r.text, weight=r.weight) for r in place.reasons],
        candidate_score=place.candidate_score,
        propensity=place.propensity,
    )
    travel_s = place.distance_m / ARRIVAL_SPEED_M_S
    message.travel_time.FromNanoseconds(round(1e9 * travel_s))
    return message
