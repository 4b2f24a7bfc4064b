"""The served system against the training's own judge, and the service's own rules."""

import numpy as np
import pytest

from contracts.settings import Settings
from inference.ordering import pick
from inference.person import REST_S
from models import dataset
from models.holdout import Holdout
from models.holdout import Reach as HoldoutReach
from models.quality.baselines.nearby import Nearest
from models.quality.leaks import Leak, check_no_leak
from models.quality.newcomers import play_newcomers
from models.quality.ranks import rank_all
from models.quality.requests import Cuts, Questions, Requests
from models.scoring import Scorer
from online_features.context import ContextLog
from placestream.evaluation.contestants import serve
from placestream.evaluation.material import Material
from placestream.evaluation.served import ANSWER, Answers, Reach, Served, ask
from tests.placestream.evaluation.conftest import NEAREST, SUM

EVERYTHING = Reach(2_000, 50_000, 60)


def _served(material: Material, scorer: Scorer, reach: Reach = EVERYTHING) -> Served:
    return Served(material, scorer, reach, stale_s=3_600)


def test_features_are_those_that_the_trainings_holdout_replays(material: Material) -> None:
    """Two ways to the ranker's matrix, request by request and place by place, score alike."""
    data = dataset.build(
        material.events,
        material.catalogue,
        ContextLog([]),
        seed=3,
        max_events=10**9,
        stale_s=3_600,
    )
    holdout = Holdout(
        material.events,
        material.catalogue,
        ContextLog([]),
        data.test,
        HoldoutReach(2_000, 50_000, 60),
        stale_s=3_600,
        seed=1,
        requests=25,
    )
    expected = holdout.answer(SUM)
    requests = Requests.at_positions(material.visits, holdout.moments.before, cut=0)
    found = _served(material, SUM).rank(ask(material, requests.questions("stream")))
    for i in range(len(requests)):
        known = dict(zip(expected.rows[i].tolist(), expected.scores[i].tolist(), strict=True))
        for row, score in zip(found.rows[i].tolist(), found.scores[i].tolist(), strict=True):
            if row >= 0:
                assert score == pytest.approx(known[row], abs=1e-3)


def test_what_the_ranker_saw_is_what_it_scored(material: Material, requests: Requests) -> None:
    """The answers of `rank` in the ranker's order; asked again on those inputs it says the same."""
    served, asked = _served(material, SUM), ask(material, requests.questions("stream"))
    seen, answers = served.seen(asked), served.rank(asked)
    for found, expected in ((seen.rows, answers.rows), (seen.scores, answers.scores)):
        np.testing.assert_allclose(np.sort(found, axis=1), np.sort(expected, axis=1), rtol=1e-6)
    assert (np.diff(np.where(seen.rows >= 0, seen.scores, -1e9), axis=1) <= 0).all()
    held = seen.rows >= 0
    none = np.zeros(held.sum(), np.int64)
    again = SUM.rank(seen.features[held], seen.parts[held], none, none, none)["score"]
    np.testing.assert_allclose(again, seen.scores[held], rtol=1e-5)


def test_nearest_first_ranks_as_the_baseline_does(material: Material, requests: Requests) -> None:
    """Through all stages, where nothing rests, but for distances that hardly differ."""
    asked = ask(material, requests.questions("frozen"))
    ranks = _served(material, NEAREST).rank(asked).ranker_ranks(requests.target)
    expected = rank_all(Nearest().fit(material.visits), requests, "frozen").all
    assert ranks == pytest.approx(expected, abs=1)


def test_a_place_just_visited_rests(material: Material, requests: Requests) -> None:
    """It is no candidate for three hours, as in the service, and is one after."""
    answers = _served(material, NEAREST).rank(ask(material, requests.questions("stream")))
    origin = requests.questions("stream").origin
    resting = requests.gap_s < REST_S
    assert resting.any()
    listed = (answers.rows == origin[:, None]).any(axis=1)
    assert not listed[resting].any()
    assert listed[requests.gap_s > REST_S].all()


def test_asked_for_new_places_it_leaves_out_the_known(
    material: Material, requests: Requests
) -> None:
    """Those in the user's state; what is older is taken out by `without`."""
    asked = ask(material, requests.questions("stream"), only_new=True)
    answers = _served(material, NEAREST).rank(asked).without(*requests.known_places())
    rows, places = requests.known_places()
    for i in range(len(requests)):
        assert not set(answers.rows[i].tolist()) & set(places[rows == i].tolist())


def test_only_so_many_candidates_go_on(material: Material, requests: Requests) -> None:
    """A target that is not among them has no rank."""
    asked = ask(material, requests.questions("stream"))
    answers = _served(material, NEAREST, Reach(2_000, 50_000, 7)).rank(asked)
    assert answers.rows.shape == (len(requests), 7)
    found = answers.found(requests.target)
    assert 0 < found.mean() < 1
    assert np.array_equal(np.isfinite(answers.ranks(requests.target)), found)


def test_the_order_served_is_the_services(material: Material, requests: Requests) -> None:
    """The first 20 as `inference.ordering.pick` has them, all others behind by score."""
    answers = _served(material, SUM).rank(ask(material, requests.questions("stream")))
    held = answers.rows[0] >= 0
    rows, scores = answers.rows[0][held], answers.scores[0][held].astype(np.float32)
    first, _ = pick(scores, material.catalogue.category[rows], ANSWER)
    order = np.argsort(-answers.served[0], kind="stable")
    assert answers.rows[0][order][:ANSWER].tolist() == rows[first].tolist()
    behind = answers.scores[0][order][ANSWER : held.sum()]
    assert np.all(np.diff(behind) <= 0)


def test_frozen_features_do_not_know_the_test_part(
    material: Material, cuts: Cuts, requests: Requests
) -> None:
    """Another test part, the same answers; streamed, others."""
    visits = material.visits
    place = visits.place.copy()
    place[cuts.known :] = (place[cuts.known :] + 1) % visits.places
    changed = material.with_visits(
        type(visits)(visits.user, place, visits.time_s, visits.users, visits.lat, visits.lng)
    )
    for mode, same in (("frozen", True), ("stream", False)):
        questions = requests.questions(mode)  # type: ignore[arg-type]
        first, second = (_served(m, SUM).rank(ask(m, questions)) for m in (material, changed))
        assert np.array_equal(first.scores, second.scores) is same


def test_it_does_not_peek(material: Material, requests: Requests) -> None:
    """Nothing after a request changes its answer."""

    def answer(questions: Questions) -> np.ndarray:
        there = material.with_visits(questions.visits)
        return _served(there, SUM).rank(ask(there, questions)).scores

    check_no_leak("served", answer, requests.questions("stream"), 3, seed=1)


def test_a_peek_through_the_features_is_caught(material: Material, requests: Requests) -> None:
    """Planted: states that know one visit too many, the very one that is asked about."""

    def answer(questions: Questions) -> np.ndarray:
        there = material.with_visits(questions.visits)
        ahead = Questions(
            questions.visits,
            questions.known + 1,
            questions.user,
            questions.origin,
            questions.time_s,
        )
        return _served(there, SUM).rank(ask(there, ahead)).scores

    with pytest.raises(Leak):
        check_no_leak("planted", answer, requests.questions("stream"), 3, seed=1)


def test_strangers_have_no_history(
    material: Material, requests: Requests, scorer: Scorer, settings: Settings
) -> None:
    """They are answered all the same, and two of them at one spot and moment alike."""
    newcomers = play_newcomers(requests, seed=1)
    there = material.take(newcomers.kept).with_strangers(newcomers.users)
    questions = newcomers.requests.questions("stream")
    first = questions.take(np.flatnonzero(there.visits.user_past[questions.known] == 0)[:1])
    both = Questions(
        first.visits,
        np.repeat(first.known, 2),
        newcomers.users[:2],
        np.repeat(first.origin, 2),
        np.repeat(first.time_s, 2),
    )
    answers = serve(there, scorer, settings).rank(ask(there, both))
    assert np.isfinite(answers.scores[answers.rows >= 0]).all()
    assert np.array_equal(answers.scores[0], answers.scores[1])


def test_answers_without_places_keep_the_order_of_the_others() -> None:
    """Place 5 goes; 7 moves up for the first request only."""
    answers = Answers(
        np.array([[5, 7], [5, 7]]),
        np.array([[2.0, 1.0], [2.0, 1.0]]),
        np.array([[0.0, -1.0], [0.0, -1.0]]),
    )
    left = answers.without(np.array([0]), np.array([5]))
    assert left.ranks(np.array([7, 7])).tolist() == [1, 2]
    assert not left.found(np.array([5, 5]))[0]


def test_no_request_is_no_answer(material: Material, requests: Requests) -> None:
    """A part in which nobody went to a new place asks none for new places."""
    none = requests.take(np.zeros(len(requests), bool))
    answers = _served(material, NEAREST).rank(ask(material, none.questions("stream")))
    assert answers.rows.shape == (0, EVERYTHING.candidates)
