"""Reasons that the ranker had its say on: rankers of which it is known what they lean on."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.signatures import PARTS
from inference.answer import Answer
from inference.course import REASONS, STAGES
from inference.deadline import FAILURES_TO_REST, Budget
from inference.explaining import LEAST_S
from inference.leaning import LEAST_PLACES
from inference.model_client import BadModelAnswer, Prediction
from inference.pipeline import Pipeline
from online_features.crowds import Crowds
from online_features.request import RANKING_COLUMNS
from tests.inference.asking import QUERY, SETTINGS, ask, run
from tests.inference.fakes import NOON_S, FakeModels, FakeStore, catalogue_of, events, place
from tests.inference.leaping import leap, now_s

DAY_S = 86_400.0
EXPLAINED = replace(QUERY, explain=True)
#: At 200 m, 700 m, ... 2,200 m: the first is near, the usual one is at 1,200 m.
NEAR_ONE = [
    place(f"p{i}", 200.0 + 500.0 * i, category=f"c{i}", time_zone="UTC")
    for i in range(LEAST_PLACES)
]
#: The user was at p0 twice, the day before and the one before that, six hours from now.
VISITS = [("u", "p0", "visit", d * DAY_S + 21_600.0) for d in (1.0, 2.0)]
#: What holds of p0, in the order of the rules, with nobody asked what it weighs.
CHEAP = {"VISITED_BEFORE": None, "NEAR": None}
Rule = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]


def leaning_on(**weights: float) -> Rule:
    """A linear ranker, by ranking column."""
    at = [RANKING_COLUMNS.index(column) for column in weights]

    def score(features: NDArray[np.float32], parts: NDArray[np.float32]) -> NDArray[np.float32]:
        del parts
        result: NDArray[np.float32] = features[:, at] @ np.array(list(weights.values()), np.float32)
        return result

    return score


def told(answer: Answer, place_id: str = "p0") -> dict[str, float | None]:
    """Reasons of a place with their weights, in order."""
    (one,) = (p for p in answer.places if p.place_id == place_id)
    return {reason.code: reason.weight for reason in one.reasons}


def ranker_calls(models: FakeModels) -> list[dict[str, NDArray[Any]]]:
    return [inputs for model, inputs, _ in models.asked if model == "ranker"]


def explained(rule: Rule | None, **asked: Any) -> Answer:
    """Ask why, of a user who was at p0, which is near."""
    asked = {"places": NEAR_ONE, "store": FakeStore(events(*VISITS)), "query": EXPLAINED} | asked
    return ask(models=FakeModels(rule=rule), **asked)


def test_a_reason_weighs_what_the_score_falls_without_it() -> None:
    """Two visits for none, 2 log(1 + 2); and 200 m for 1,200 m, 3 (log(1 + 1.2) - log(1 + 0.2))."""
    answer = explained(leaning_on(visits_here_log=2.0, distance_log_km=-3.0))
    assert answer.reasons_by == pb.REASONS_BY_MODEL
    assert told(answer) == {
        "VISITED_BEFORE": pytest.approx(2 * np.log(3), rel=1e-4),
        "NEAR": pytest.approx(3 * np.log(2.2 / 1.2), rel=1e-3),
    }
    assert list(told(answer)) == ["VISITED_BEFORE", "NEAR"]


def test_the_order_is_the_rankers_own() -> None:
    """The same place and the same facts, of a ranker that cares more for distance."""
    answer = explained(leaning_on(visits_here_log=1.0, distance_log_km=-9.0))
    assert list(told(answer)) == ["NEAR", "VISITED_BEFORE"]


@pytest.mark.parametrize("weight", [0.0, -2.0])
def test_what_is_true_and_not_leaned_on_is_not_said(weight: float) -> None:
    """A ranker that does not look at visits, or holds them against a place."""
    answer = explained(leaning_on(visits_here_log=weight, distance_log_km=-9.0))
    assert list(told(answer)) == ["NEAR"]


def test_what_the_usual_candidate_has_too_is_no_reason() -> None:
    """All are near: that sets none apart, but the nearest of them."""
    near = [place(f"p{i}", 100.0 + 50.0 * i) for i in range(LEAST_PLACES)]
    answer = explained(leaning_on(distance_log_km=-1.0), places=near)
    said = {p.place_id: [r.code for r in p.reasons] for p in answer.places}
    assert said == {"p0": ["NEAR"], "p1": ["NEAR"], "p2": []}


def test_visits_at_this_hour_are_told_apart_from_visits() -> None:
    """Two visits at noon: what the hour weighs and what the visits weigh beyond it."""
    store = FakeStore(events(*(("u", "p0", "visit", d * DAY_S) for d in (1.0, 2.0))))
    rule = leaning_on(visits_here_log=2.0, visits_here_this_hour=5.0)
    assert told(explained(rule, store=store)) == {
        "USUAL_HOUR": pytest.approx(5.0, rel=1e-4),
        "VISITED_BEFORE": pytest.approx(2 * np.log(3), rel=1e-4),
    }


def test_parts_count_with_the_columns_that_say_the_same() -> None:
    """A ranker that takes the distance from the candidate model alone."""
    at = PARTS.index("metres_near")
    models = FakeModels(rule=lambda features, parts: -parts[:, at])
    answer = ask(models=models, places=NEAR_ONE, query=EXPLAINED)
    # The candidate model tells of each place its position, of which the median is 2.
    (called, _) = ranker_calls(models)
    own = float(called["parts"][called["place_id"].tolist().index(_hash("p0")), at])
    assert told(answer) == {"NEAR": pytest.approx(2.0 - own)}


def _hash(place_id: str) -> int:
    catalogue = catalogue_of(place(place_id))
    return int(catalogue.hash.astype(np.int64)[0])


def test_one_call_tells_of_all_places_and_reasons() -> None:
    """A copy for each reason that holds: two of p0, none of the others."""
    models = FakeModels(rule=leaning_on(visits_here_log=1.0))
    ask(models=models, places=NEAR_ONE, store=FakeStore(events(*VISITS)), query=EXPLAINED)
    first, second = ranker_calls(models)
    assert len(first["place_id"]) == LEAST_PLACES
    assert second["place_id"].tolist() == [_hash("p0")] * 2


def test_nobody_who_does_not_ask_pays_for_it() -> None:
    """One call of the ranker, and the five stages."""
    models = FakeModels(rule=leaning_on(visits_here_log=1.0))
    answer = ask(models=models, places=NEAR_ONE, store=FakeStore(events(*VISITS)))
    assert len(ranker_calls(models)) == 1
    assert list(answer.stage_s) == list(STAGES)
    assert answer.reasons_by == pb.REASONS_BY_UNSPECIFIED


def test_the_time_of_reasons_is_a_stage_of_its_own() -> None:
    """The call takes 7 ms there, and no other stage has them."""
    models = FakeModels(rule=leaning_on(visits_here_log=1.0), delay_s={"ranker": 0.007})
    answer = ask(models=models, places=NEAR_ONE, store=FakeStore(events(*VISITS)), query=EXPLAINED)
    assert list(answer.stage_s) == [*STAGES, REASONS]
    assert answer.stage_s[REASONS] == pytest.approx(0.007)
    assert answer.stage_s["ranking"] == pytest.approx(0.007)


def test_places_that_do_not_fit_into_the_call_keep_what_holds() -> None:
    """Three copies at the most: p0 and p1 have two reasons each."""
    visits = [*VISITS, ("u", "p1", "visit", DAY_S + 21_600.0)]
    far = [place(f"p{i}", 2_000.0) for i in range(2, LEAST_PLACES)]
    models = FakeModels(rule=leaning_on(visits_here_log=1.0))
    answer = ask(
        models=models,
        places=[place("p0", 100.0), place("p1", 110.0), *far],
        store=FakeStore(events(*visits)),
        query=replace(EXPLAINED, limit=LEAST_PLACES),
        settings=SETTINGS.model_copy(update={"candidates": 3}),
    )
    assert [len(call["place_id"]) for call in ranker_calls(models)] == [LEAST_PLACES, 2]
    assert set(told(answer)) == {"VISITED_BEFORE"}
    assert told(answer, "p1") == {"VISITED_BEFORE": None, "NEAR": None}
    assert answer.reasons_by == pb.REASONS_BY_MODEL


def test_with_too_few_places_none_is_the_usual_one() -> None:
    """All that holds is said, and the ranker is not asked again."""
    models = FakeModels(rule=leaning_on(visits_here_log=1.0))
    few, store = NEAR_ONE[: LEAST_PLACES - 1], FakeStore(events(*VISITS))
    answer = ask(models=models, places=few, store=store, query=EXPLAINED)
    assert len(ranker_calls(models)) == 1
    assert told(answer) == CHEAP
    assert answer.reasons_by == pb.REASONS_BY_FEATURES


def test_an_answer_without_places_was_judged_by_nothing() -> None:
    """There is nothing to say why of."""
    assert ask(places=[], query=EXPLAINED).reasons_by == pb.REASONS_BY_UNSPECIFIED


@pytest.mark.parametrize("gone", ["candidates", "ranker"])
def test_a_degraded_answer_says_what_holds(gone: str) -> None:
    """Whoever of the two models is away, the ranker is not asked for more."""
    errors: dict[str, Exception] = {gone: BadModelAnswer(gone, "holds NaN")}
    models = FakeModels(rule=leaning_on(visits_here_log=1.0), errors=errors)
    answer = ask(models=models, places=NEAR_ONE, store=FakeStore(events(*VISITS)), query=EXPLAINED)
    assert len(ranker_calls(models)) == 1
    assert told(answer) == CHEAP
    assert answer.reasons_by == pb.REASONS_BY_FEATURES


@pytest.mark.parametrize(("deadline_s", "calls"), [(1.9 * LEAST_S, 1), (2.3 * LEAST_S, 2)])
def test_the_ranker_is_asked_where_there_is_time(deadline_s: float, calls: int) -> None:
    """A tenth of the deadline is kept back, and half of the rest is what the call may take."""
    models = FakeModels(rule=leaning_on(visits_here_log=1.0))
    store = FakeStore(events(*VISITS))
    answer = ask(
        models=models, places=NEAR_ONE, store=store, query=EXPLAINED, deadline_s=deadline_s
    )
    assert len(ranker_calls(models)) == calls
    assert answer.level == pb.DEGRADATION_NONE


def test_a_busy_service_does_not_ask_twice() -> None:
    """Not even where the area holds no more places than it still looks at."""

    async def main() -> Answer:
        pipeline = Pipeline(
            SETTINGS,
            catalogue_of(*NEAR_ONE),
            Crowds(),
            FakeStore(events(*VISITS)),
            models,
            clock=lambda: NOON_S,
            monotonic=now_s,
            new_seed=lambda: 1,
        )
        return await pipeline.recommend(EXPLAINED, Budget.of(1.0, 1.0, now_s), share=0.5)

    models = FakeModels(rule=leaning_on(visits_here_log=1.0))
    answer = leap(main())
    assert len(ranker_calls(models)) == 1
    assert told(answer) == CHEAP
    assert answer.level == pb.DEGRADATION_NONE


@dataclass
class SpoiledReasons(FakeModels):
    """Models whose ranker answers well, but for copies of places.

    Attributes:
        late_s: how long it takes for these.
        error: what it raises for them.
        other: the version that answers them, if not the same.
    """

    late_s: float = 0.0
    error: Exception | None = None
    other: int = 0

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, tuple[int, ...]],
        timeout_s: float,
        signature: str = "",
    ) -> Prediction:
        said = await super().predict(model, inputs, outputs, timeout_s, signature)
        if model != "ranker" or len(inputs["place_id"]) == LEAST_PLACES:
            return said
        await asyncio.sleep(self.late_s)
        if self.error is not None:
            raise self.error
        return replace(said, version=self.other or said.version)


@pytest.mark.parametrize(
    "spoiled",
    [
        SpoiledReasons(late_s=3_600.0),
        SpoiledReasons(error=BadModelAnswer("ranker", "holds NaN")),
        SpoiledReasons(error=ZeroDivisionError("a fault of ours")),
        SpoiledReasons(other=8),
    ],
    ids=["late", "nonsense", "fault", "other version"],
)
def test_reasons_never_cost_an_answer(spoiled: SpoiledReasons) -> None:
    """In time, by the ranker's order, whole, and with all reasons that hold."""
    spoiled.rule = leaning_on(visits_here_log=1.0)
    store = FakeStore(events(*VISITS))
    ((answer, took_s),) = run(models=spoiled, places=NEAR_ONE, store=store, query=EXPLAINED)
    assert took_s < 1.0
    assert (answer.level, answer.causes) == (pb.DEGRADATION_NONE, ())
    assert answer.reasons_by == pb.REASONS_BY_FEATURES
    assert told(answer) == CHEAP


def test_a_ranker_that_fails_on_reasons_is_given_a_rest_from_them() -> None:
    """And goes on ordering all the while."""
    models = SpoiledReasons(
        rule=leaning_on(visits_here_log=1.0), error=BadModelAnswer("ranker", "holds NaN")
    )
    times = FAILURES_TO_REST + 2
    store = FakeStore(events(*VISITS))
    answers = run(models=models, places=NEAR_ONE, store=store, query=EXPLAINED, times=times)
    assert len(ranker_calls(models)) == times + FAILURES_TO_REST
    assert {answer.level for answer, _ in answers} == {pb.DEGRADATION_NONE}
