"""Slots of an answer that explore: who gets them, and the chance that is told of each."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.answer import Answer
from tests.inference.asking import QUERY, SETTINGS, ask, ids, run
from tests.inference.fakes import FakeModels, FakeStore, events, place

PLACES = [place(f"p{i:02}", 100.0 * (i + 1)) for i in range(12)]
IDS = [p.place_id for p in PLACES]
EXPLORING = replace(QUERY, limit=4, explore_slots=2)
GONE = ConnectionError("refused")


def ranked() -> FakeModels:
    """Models that like the places in their order."""
    models = FakeModels()
    models.prefer("candidates", *IDS)
    models.prefer("ranker", *IDS)
    return models


def seen_often(*place_ids: str) -> FakeStore:
    """These were looked at by a hundred people each, and nobody clicked."""
    return FakeStore(
        events(*((f"v{n}", p, "view", 3_600.0) for p in place_ids for n in range(100)))
    )


def test_the_last_slots_explore() -> None:
    """The best keep their places and their certainty; scores still never rise."""
    answer = ask(places=PLACES, models=ranked(), query=EXPLORING)
    assert ids(answer)[:2] == IDS[:2]
    assert not set(ids(answer)[2:]) & set(IDS[:2])
    assert len(set(ids(answer))) == 4
    assert [p.propensity for p in answer.places[:2]] == [1.0, 1.0]
    assert all(0 < p.propensity < 1 for p in answer.places[2:])
    assert np.all(np.diff([p.score for p in answer.places]) <= 0)


def test_the_logged_chance_is_the_frequency() -> None:
    """Over many answers, each place is shown as often as its chance says."""
    times, store = 400, seen_often("p02", "p03")
    answers = [
        answer
        for answer, _ in run(
            places=PLACES, models=ranked(), store=store, query=EXPLORING, times=times
        )
    ]
    shown = Counter(p.place_id for answer in answers for p in answer.places[2:])
    chance = {p.place_id: p.propensity for answer in answers for p in answer.places[2:]}
    assert len(chance) > 5
    for place_id, propensity in chance.items():
        error = np.sqrt(propensity * (1 - propensity) / times)
        assert shown[place_id] / times == pytest.approx(propensity, abs=5 * error)
    assert shown["p02"] < min(shown[p] for p in IDS[4:])  # all know it, and nobody cares


def test_the_same_seed_is_the_same_answer() -> None:
    """Randomness comes from outside."""

    def said() -> list[Answer]:
        return [a for a, _ in run(places=PLACES, models=ranked(), query=EXPLORING, times=3)]

    first, again = said(), said()
    assert [ids(a) for a in first] == [ids(a) for a in again]
    assert len({tuple(ids(a)) for a in first}) > 1


def test_nothing_explores_unless_it_is_asked_for() -> None:
    """The default is off."""
    assert SETTINGS.explore_slots == 0
    answer = ask(places=PLACES, models=ranked(), query=replace(QUERY, limit=4))
    assert ids(answer) == IDS[:4]


def test_at_most_half_of_an_answer_explores() -> None:
    """However many slots are asked for; an answer of one is the best."""
    for limit, certain in ((5, 3), (1, 1)):
        query = replace(QUERY, limit=limit, explore_slots=10)
        answer = ask(places=PLACES, models=ranked(), query=query)
        assert [p.propensity == 1.0 for p in answer.places] == [True] * certain + [False] * (
            limit - certain
        )


def test_closed_places_are_not_explored() -> None:
    """And where that leaves no choice, the answer is as ever."""
    shut = {"business_hours": {}, "time_zone": "UTC"}
    some = [*PLACES[:5], *(place(f"shut{i}", 50.0 * i, **shut) for i in range(5))]
    answers = run(places=some, models=ranked(), query=EXPLORING, times=20)
    assert all(p.startswith("p") for answer, _ in answers for p in ids(answer))
    few = [*PLACES[:3], *some[5:]]
    answer = ask(places=few, models=ranked(), query=EXPLORING)
    assert ids(answer)[:3] == IDS[:3]
    assert [p.propensity for p in answer.places] == [1.0] * 4


def test_without_a_ranker_nothing_is_explored() -> None:
    """There is nothing to learn from such an answer."""
    models = ranked()
    models.errors = {"ranker": GONE}
    answer = ask(places=PLACES, models=models, query=EXPLORING)
    assert answer.level == pb.DEGRADATION_CANDIDATE_ORDER
    assert ids(answer) == IDS[:4]
    assert {p.propensity for p in answer.places} == {1.0}


def test_an_explored_place_says_so_first() -> None:
    """With how often it was shown, read from what the draw rested on."""
    store, query = seen_often(*IDS[2:7]), replace(EXPLORING, explain=True)
    for answer, _ in run(places=PLACES, models=ranked(), store=store, query=query, times=30):
        for one in answer.places:
            codes = [reason.code for reason in one.reasons]
            assert codes.count("EXPLORED") == (1 if one.propensity < 1 else 0)
            if one.propensity < 1:
                often = "shown 100 times" if one.place_id in IDS[2:7] else "not shown yet"
                text = f"To find out who likes it: {often} in four weeks"
                assert one.reasons[0].text == text
