"""The five stages on real catalogue and features, with parts that answer."""

from dataclasses import replace

import grpc
import msgspec
import numpy as np
import pytest

from contracts.events import PlaceDocument
from contracts.ids import as_int64, id64
from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.course import STAGES
from inference.model_client import ModelUnavailable
from online_features.context import ContextState
from online_features.request import RANKING_COLUMNS
from tests.inference.asking import PLACES, QUERY, SETTINGS, ask, ids, run
from tests.inference.fakes import (
    NOON_S,
    FakeModels,
    FakeStore,
    events,
    place,
)


def test_the_ranker_orders_what_the_candidate_model_kept() -> None:
    """Of five places the candidate model keeps three, and the ranker puts them in order."""
    models = FakeModels()
    models.prefer("candidates", "p4", "p2", "p1")
    models.prefer("ranker", "p0", "p1", "p2", "p4")
    answer = ask(models=models, settings=SETTINGS.model_copy(update={"candidates": 3}))
    assert ids(answer) == ["p1", "p2", "p4"]  # p0 was not kept, however the ranker likes it
    assert answer.level == pb.DEGRADATION_NONE
    assert answer.causes == ()
    assert answer.model_versions == {"candidates": 7, "ranker": 7}
    assert answer.shortfall == pb.SHORTFALL_UNSPECIFIED
    assert list(answer.stage_s) == list(STAGES)


def test_waiting_for_the_store_counts_towards_features() -> None:
    """The user's read and the places'; the stage of the candidate model tells of that model."""
    store, models = FakeStore(delay_s=0.003), FakeModels(delay_s={"candidates": 0.005})
    stage_s = ask(store=store, models=models).stage_s
    assert stage_s["features"] == pytest.approx(0.006)
    assert stage_s["candidates"] == pytest.approx(0.005)


def test_each_place_carries_what_the_catalogue_and_the_models_said() -> None:
    """Name, category, position, distance, scores, probability and opening."""
    bar = place("bar", 300, name="Bar", category="Bar")
    models = FakeModels(default=2.0)
    (one,) = ask(places=[bar], models=models, query=replace(QUERY, limit=1)).places
    assert (one.place_id, one.name, one.category) == ("bar", "Bar", "Bar")
    assert bar.location is not None
    assert (one.lat, one.lng) == (bar.location.lat, bar.location.lng)
    assert one.distance_m == pytest.approx(300, abs=0.5)
    assert (one.score, one.candidate_score) == (2.0, 2.0)
    assert one.probability == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert one.reasons == ()


def test_opening_on_arrival_is_told_or_unknown() -> None:
    """Open, closed, and a place whose hours nobody knows."""
    hours = {"open": "08:00-20:00", "closed": "18:00-20:00"}
    places = [
        place(name, 300, business_hours={"wed": [span]}, time_zone="UTC")
        for name, span in hours.items()
    ]
    answer = ask(places=[*places, place("unknown", 300)])
    assert {p.place_id: p.open_state for p in answer.places} == {
        "open": pb.OPEN_STATE_OPEN,
        "closed": pb.OPEN_STATE_CLOSED,
        "unknown": pb.OPEN_STATE_UNSPECIFIED,
    }


def test_the_hours_of_the_very_day_come_before_the_weeks() -> None:
    """In the state that is told, and in the filter."""
    week = {"business_hours": {"wed": ["08:00-20:00"]}, "time_zone": "UTC"}
    places = [
        place("as ever", 300, **week),
        place("shut today", 300, **week, special_hours={"2024-05-15": []}),
        place("open today", 300, business_hours={}, time_zone="UTC",
              special_hours={"2024-05-15": ["10:00-14:00"]}),
    ]  # fmt: skip
    states = {p.place_id: p.open_state for p in ask(places=places).places}
    assert states == {
        "as ever": pb.OPEN_STATE_OPEN,
        "shut today": pb.OPEN_STATE_CLOSED,
        "open today": pb.OPEN_STATE_OPEN,
    }
    assert sorted(ids(ask(places=places, query=replace(QUERY, open_now=True)))) == [
        "as ever",
        "open today",
    ]


def test_where_the_ranker_is_undecided_the_candidate_order_holds() -> None:
    """Equal scores keep the order of the stage before."""
    models = FakeModels()
    models.prefer("candidates", "p4", "p0", "p2")
    assert ids(ask(models=models)) == ["p4", "p0", "p2"]


def test_the_ranker_sees_at_least_as_many_as_are_wanted() -> None:
    """A small setting must not cut an answer short."""
    assert len(ask(settings=SETTINGS.model_copy(update={"candidates": 1})).places) == 3


def test_the_ranker_is_told_what_the_candidate_model_knows() -> None:
    """Of each place its own parts, in whichever order they were told; none where it failed."""
    models = FakeModels()
    models.prefer("candidates", "p4", "p2", "p1")
    ask(models=models)
    (_, near, _), (_, ranked, _) = models.asked
    position = {place: i for i, place in enumerate(near["place_ids"][0].tolist())}
    expected = [position[place] for place in ranked["place_id"].tolist()]
    assert ranked["parts"][:, 0].tolist() == expected
    assert len(set(expected)) == len(PLACES)
    models = FakeModels(errors={"candidates": ConnectionError("gone")})
    ask(models=models)
    assert np.isnan(models.asked[-1][1]["parts"]).all()


def test_the_answer_holds_the_features_that_the_ranker_saw() -> None:
    """Row by row in the order of the answer, for the impressions."""
    models = FakeModels()
    models.prefer("ranker", "p3", "p0", "p1")
    answer = ask(models=models)
    inputs = next(inputs for model, inputs, _ in models.asked if model == "ranker")
    seen = {int(i): row for i, row in zip(inputs["place_id"], inputs["features"], strict=True)}
    assert answer.features is not None
    for place_id, row in zip(ids(answer), answer.features, strict=True):
        hashed = int(as_int64(np.array([id64(place_id)], np.uint64))[0])
        assert row.tolist() == seen[hashed].tolist()
    km = np.expm1(answer.features[:, RANKING_COLUMNS.index("distance_log_km")])
    assert km == pytest.approx([2.0, 0.5, 1.0], abs=0.01)


def test_the_user_is_read_once_and_places_in_one_go() -> None:
    """One read for the user, one for all kept places, one for the region of the nearest."""
    store, models = FakeStore(), FakeModels()
    models.prefer("candidates", "p4")
    regions = ("uptown", *["downtown"] * 4)
    ask(
        store=store,
        models=models,
        places=[in_region(p, region) for p, region in zip(PLACES, regions, strict=True)],
    )
    assert [(kind, len(rest)) for kind, *rest in store.asked] == [
        ("user", 1),
        ("places", 5),
        ("context", 1),
    ]
    assert store.asked[-1] == ("context", "uptown")


def test_the_weather_is_that_of_the_nearest_though_it_is_not_chosen() -> None:
    """The user stands beside it, whatever the candidate model makes of it."""
    store, models = FakeStore(), FakeModels()
    models.prefer("candidates", "far")
    places = [place("near", 100, region="uptown"), place("far", 400, region="downtown")]
    one = SETTINGS.model_copy(update={"candidates": 1})
    ask(store=store, models=models, places=places, settings=one, query=replace(QUERY, limit=1))
    assert ("places", "far") in store.asked
    assert ("context", "uptown") in store.asked


def in_region(document: PlaceDocument, region: str) -> PlaceDocument:
    """The same place in a region."""
    return msgspec.structs.replace(document, region=region)


def test_weather_reaches_the_ranker_and_goes_stale() -> None:
    """Fresh weather counts, old weather is neutral, the caller's region wins."""
    column = RANKING_COLUMNS.index("weather_rain")
    for age_s, expected in ((60.0, 1.0), (SETTINGS.context_stale_s + 1, 0.0)):
        store = FakeStore(weather=ContextState(NOON_S - age_s, 10.0, "rain", 0.5))
        answer = ask(store=store, query=replace(QUERY, region="downtown"))
        assert answer.features is not None
        assert set(answer.features[:, column].tolist()) == {expected}
        assert ("context", "downtown") in store.asked


def test_a_known_user_is_told_how_old_the_features_are() -> None:
    """The age of the newest event; none for a stranger."""
    known = ask(store=FakeStore(events(("u", "p0", "view", 42.0))))
    assert known.user_known
    assert known.feature_age_s == pytest.approx(42.0)
    stranger = ask()
    assert not stranger.user_known
    assert stranger.feature_age_s is None
    assert stranger.level == pb.DEGRADATION_NONE


def test_history_reaches_the_candidate_model() -> None:
    """Newest first, with ages in seconds."""
    models = FakeModels()
    ask(models=models, store=FakeStore(events(("u", "p0", "view", 90.0), ("u", "p1", "view", 9.0))))
    _, inputs, _ = models.asked[0]
    newest = as_int64(np.array([id64("p1"), id64("p0")], np.uint64))
    assert inputs["history_ids"][0, :2].tolist() == newest.tolist()
    assert inputs["history_age_s"][0, :2] == pytest.approx([9.0, 90.0])
    assert inputs["place_ids"].shape == inputs["distance_m"].shape == (1, 5)


def test_reasons_come_only_when_asked_for() -> None:
    """A place visited yesterday says so, where the ranker looks at that."""
    store = FakeStore(events(("u", "p3", "visit", 86_400.0)))
    visits = RANKING_COLUMNS.index("visits_here_log")
    models = FakeModels(rule=lambda features, _: features[:, visits])
    silent = ask(store=store, models=models)
    assert [p.reasons for p in silent.places] == [(), (), ()]
    told = ask(store=store, models=models, query=replace(QUERY, explain=True))
    visited = [
        p.place_id for p in told.places if "VISITED_BEFORE" in [reason.code for reason in p.reasons]
    ]
    assert visited == ["p3"]


def test_an_empty_area_is_an_answer_that_says_so() -> None:
    """No place within reach: no error, no model is asked."""
    models = FakeModels()
    answer = ask(places=[], models=models)
    assert answer.places == ()
    assert answer.shortfall == pb.SHORTFALL_NO_PLACES_NEAR
    assert answer.level == pb.DEGRADATION_NONE
    assert answer.radius_m == SETTINGS.max_radius_m
    assert models.asked == []


def test_fewer_places_than_wanted_say_why() -> None:
    """Filtered away, or simply not there."""
    few = ask(query=replace(QUERY, limit=10))
    assert len(few.places) == 5
    assert few.shortfall == pb.SHORTFALL_NO_PLACES_NEAR
    filtered = ask(query=replace(QUERY, categories=("c1",)))
    assert ids(filtered) == ["p1"]
    assert filtered.shortfall == pb.SHORTFALL_FILTERED


def test_the_candidate_models_vectors_vary_an_answer() -> None:
    """Of four bars far apart the second is one that others visit; asked beside the ranker."""
    places = [place(f"bar{i}", 1_200.0 * (i + 1), category="Bar") for i in range(4)]
    models = FakeModels(vectors={f"bar{i}": [float(i < 2), float(i >= 2)] for i in range(4)})
    bars = as_int64(np.array([id64(f"bar{i}") for i in range(4)], np.uint64)).tolist()
    models.scores["ranker"] = dict(zip(bars, (1.0, 0.9, 0.8, 0.0), strict=True))
    query = replace(QUERY, limit=2, diversity=0.7)
    answer = ask(models=models, places=places, query=query)
    assert ids(answer) == ["bar0", "bar2"]
    assert answer.level == pb.DEGRADATION_NONE
    (_, near, _), (_, ranked, _), (what, asked, _) = models.asked
    assert what == "vectors"
    assert asked["place_ids"].tolist() == ranked["place_id"].tolist()
    assert set(asked["place_ids"].tolist()) == set(near["place_ids"][0].tolist())


@pytest.mark.parametrize("diversity", [None, 0.0])
def test_vectors_are_asked_for_only_where_they_count(diversity: float | None) -> None:
    """An answer that is not to be varied asks what it always asked."""
    models = FakeModels(vectors={})
    ask(models=models, query=replace(QUERY, diversity=diversity))
    assert [what for what, _, _ in models.asked] == ["candidates", "ranker"]


def test_an_older_model_varies_by_category_alone() -> None:
    """A version without the signature is not asked for it, and that is no degradation."""
    models = FakeModels(vectors=None)
    answer = ask(models=models, query=replace(QUERY, diversity=0.5))
    assert [what for what, _, _ in models.asked] == ["candidates", "ranker"]
    assert (answer.level, answer.causes) == (pb.DEGRADATION_NONE, ())


@pytest.mark.parametrize("trouble", ["late", "gone"])
def test_vectors_that_do_not_come_cost_the_variety_alone(trouble: str) -> None:
    """The places are told apart by category, in time, and the answer says so."""
    places = [place(f"bar{i}", 10.0 * i, category="Bar") for i in range(4)]
    places.append(place("museum", 2_000, category="Museum"))
    gone = ModelUnavailable("candidates", grpc.StatusCode.FAILED_PRECONDITION, "no such signature")
    models = FakeModels(
        vectors={},
        delay_s={"vectors": 3_600.0} if trouble == "late" else {},
        errors={"vectors": gone} if trouble == "gone" else {},
    )
    models.prefer("ranker", "bar0", "bar1", "bar2", "bar3", "museum")
    ((answer, took_s),) = run(models=models, places=places, query=replace(QUERY, diversity=1.0))
    assert ids(answer)[:2] == ["bar0", "museum"]
    assert answer.level == pb.DEGRADATION_PARTIAL
    assert "place vectors" in answer.causes[0]
    assert took_s < 0.5


def test_the_caller_says_how_varied() -> None:
    """Four bars before one museum: by score alone, by a light hand, as different as can be."""
    places = [place(f"bar{i}", 10.0 * i, category="Bar") for i in range(4)]
    places.append(place("museum", 2_000, category="Museum"))
    models = FakeModels()
    models.prefer("ranker", "bar0", "bar1", "bar2", "bar3", "museum")

    def said(diversity: float | None) -> list[str]:
        return ids(ask(models=models, places=places, query=replace(QUERY, diversity=diversity)))

    assert said(0.0) == ["bar0", "bar1", "bar2"]
    assert said(None) == ["bar0", "bar1", "bar2"]
    assert said(1.0)[:2] == ["bar0", "museum"]
