"""Down the ladder when parts fail or hang, within the deadline, and up again by itself."""

from typing import Any

import grpc
import pytest

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.deadline import FAILURES_TO_REST, RESERVE_MAX_S, REST_S
from inference.model_client import BadModelAnswer, ModelUnavailable
from online_features.request import RANKING_COLUMNS
from tests.inference.asking import SETTINGS, ask, ids, run
from tests.inference.fakes import (
    FakeModels,
    FakeStore,
    events,
    place,
)
from tests.inference.leaping import now_s

MODELS = ("candidates", "ranker")
GONE = ModelUnavailable("a model", grpc.StatusCode.UNAVAILABLE, "nobody listens")


def test_without_the_ranker_the_candidate_order_holds() -> None:
    """One step down: scores of the candidate stage, no probability."""
    models = FakeModels(errors={"ranker": GONE})
    models.prefer("candidates", "p2", "p0", "p1")
    answer = ask(models=models)
    assert ids(answer) == ["p2", "p0", "p1"]
    assert answer.level == pb.DEGRADATION_CANDIDATE_ORDER
    assert answer.causes == ("the ranker failed: UNAVAILABLE",)
    assert answer.model_versions == {"candidates": 7}
    assert all(p.probability is None for p in answer.places)
    assert all(p.candidate_score is not None for p in answer.places)


def test_without_the_candidate_model_the_ranker_still_orders() -> None:
    """The nearest popular places go to the ranker, and the answer says that not all took part."""
    models = FakeModels(errors={"candidates": BadModelAnswer("candidates", "holds NaN")})
    models.prefer("ranker", "p4", "p3")
    answer = ask(models=models)
    assert ids(answer)[:2] == ["p4", "p3"]
    assert answer.level == pb.DEGRADATION_PARTIAL
    assert answer.causes == ("the candidate model failed: candidates: holds NaN",)
    assert all(p.candidate_score is None and p.probability is not None for p in answer.places)


def test_without_any_model_popularity_by_distance_orders() -> None:
    """The last step: a crowded place further off beats a quiet one, and near beats far."""
    crowd = [(f"v{i}", "p3", "visit", 86_400.0) for i in range(200)]
    answer = ask(
        store=FakeStore(events(*crowd)), models=FakeModels(errors=dict.fromkeys(MODELS, GONE))
    )
    assert ids(answer) == ["p3", "p0", "p1"]
    assert answer.level == pb.DEGRADATION_POPULARITY
    assert len(answer.causes) == 2
    assert answer.model_versions == {}


def test_without_the_store_the_models_still_answer() -> None:
    """The user is unknown, features are defaults, and the answer says why."""
    store = FakeStore(events(("u", "p0", "visit", 86_400.0)), error=ConnectionError("refused"))
    models = FakeModels()
    models.prefer("ranker", "p1")
    answer = ask(store=store, models=models)
    assert ids(answer)[0] == "p1"
    assert answer.level == pb.DEGRADATION_PARTIAL
    assert answer.causes == ("the feature store failed: ConnectionError",)
    assert not answer.user_known
    assert answer.features is not None
    assert not answer.features[:, RANKING_COLUMNS.index("visits_here_log")].any()


def test_with_nothing_but_the_catalogue_there_is_still_an_answer() -> None:
    """No store, no model: reviews by distance."""
    places = [place("far", 2_000, review_count=500), place("near", 100), place("mid", 900)]
    answer = ask(
        places=places,
        store=FakeStore(error=ConnectionError("refused")),
        models=FakeModels(errors=dict.fromkeys(MODELS, GONE)),
    )
    # (1 + log(501) / 2) / (1 + 2000 / 800) = 1.17 against 1 / 1.125 and 1 / 2.125.
    assert ids(answer) == ["far", "near", "mid"]
    assert answer.level == pb.DEGRADATION_POPULARITY


@pytest.mark.parametrize("deadline_s", [0.02, 0.2, 2.0])
@pytest.mark.parametrize("slow", ["store", "candidates", "ranker", "everything"])
def test_no_part_however_slow_outlasts_the_deadline(slow: str, deadline_s: float) -> None:
    """A part that hangs costs its share; the answer comes within the budget, degraded."""
    everything = slow == "everything"
    store = FakeStore(delay_s=3_600.0 if everything or slow == "store" else 0.0)
    hanging = MODELS if everything else [m for m in MODELS if m == slow]
    models = FakeModels(delay_s=dict.fromkeys(hanging, 3_600.0))
    answer, took_s = run(store=store, models=models, deadline_s=deadline_s)[0]
    reserve_s = min(RESERVE_MAX_S, deadline_s / 10)
    assert took_s <= deadline_s - reserve_s + 1e-9
    assert len(answer.places) == 3
    expected = {
        "store": pb.DEGRADATION_PARTIAL,
        "candidates": pb.DEGRADATION_PARTIAL,
        "ranker": pb.DEGRADATION_CANDIDATE_ORDER,
        "everything": pb.DEGRADATION_POPULARITY,
    }
    assert answer.level == expected[slow]
    assert all("no answer within" in cause for cause in answer.causes)


def test_a_hanging_store_is_left_after_redis_own_time_limit() -> None:
    """A generous caller does not make two reads wait longer than the time-out of Redis each."""
    timeout_s = SETTINGS.redis_timeout_ms / 1_000
    _, took_s = run(store=FakeStore(delay_s=3_600.0), deadline_s=60.0)[0]
    assert took_s == pytest.approx(2 * timeout_s)


def test_a_caller_with_no_time_left_gets_what_needs_no_other_part() -> None:
    """A deadline that has passed still finds the nearest places in the catalogue."""
    answer = ask(deadline_s=0.0)
    assert ids(answer) == ["p0", "p1", "p2"]
    assert answer.level == pb.DEGRADATION_POPULARITY


def test_an_outage_costs_time_only_at_first_and_ends_by_itself() -> None:
    """After some failures the hanging ranker is left alone, and asked again after a rest."""
    models = FakeModels(delay_s={"ranker": 3_600.0})
    answers = run(models=models, times=FAILURES_TO_REST + 3, deadline_s=0.1)
    assert all(took_s > 0.05 for _, took_s in answers[:FAILURES_TO_REST])
    assert all(took_s == 0 for _, took_s in answers[FAILURES_TO_REST:])
    assert {answer.level for answer, _ in answers} == {pb.DEGRADATION_CANDIDATE_ORDER}


def test_recovery_needs_no_restart() -> None:
    """Models that were gone for a while stand behind the answers again."""
    models = FakeModels(errors=dict.fromkeys(MODELS, GONE))

    class Recovering(FakeModels):
        async def predict(self, *args: Any, **kwargs: Any) -> Any:
            if now_s() > 1_000 + 6 * REST_S:
                models.errors.clear()
            return await models.predict(*args, **kwargs)

    answers = run(models=Recovering(), times=10, pause_s=REST_S)
    levels = [answer.level for answer, _ in answers]
    assert levels[0] == pb.DEGRADATION_POPULARITY
    assert levels[-1] == pb.DEGRADATION_NONE
