"""Outcomes join answers as they stream by: the rule of training, late ones, bounds of memory."""

from dataclasses import replace

import numpy as np

from contracts.events import Impression
from models.outcomes import Windows, join
from online_features.columns import CLICK
from retrain.outcome_join import HOLD_S, Joined, Outcome, OutcomeJoin, Waiting
from tests.models.answers import naming, shown_of
from tests.models.logs import log_of
from tests.retrain.answers_and_outcomes import done, served

HOUR_S = 3_600.0
WINDOWS = Windows(click_s=HOUR_S / 2, visit_s=4 * HOUR_S)
#: Far enough for all that was served in a test to be settled.
END = done("nobody", "nowhere", "click", 1_000 * HOUR_S)


def all_settled(joining: OutcomeJoin) -> dict[str, Waiting]:
    joining.happened([END])
    return {answer.request_id: answer for answer in joining.advance().settled}


def test_the_stream_credits_what_training_credits() -> None:
    """Random answers and outcomes, named and not, arriving out of order: flag by flag the same.

    Three answers of ten are a further page of the one before, under its name.
    """
    rng = np.random.default_rng(1)
    times_s = np.sort(rng.uniform(0, 24 * HOUR_S, 300))
    answers: list[tuple[str, float, list[str]]] = []
    called: list[str] = []
    for i, t in enumerate(times_s.tolist()):
        is_page = i > 0 and rng.random() < 0.3
        user = answers[-1][0] if is_page else f"u{rng.integers(12)}"
        called.append(called[-1] if is_page else f"r{i}")
        answers.append((user, t, rng.choice(list("abcdefgh"), 4, replace=False).tolist()))
    rows, names = [], {}
    for i, t in enumerate(np.sort(rng.uniform(0, 26 * HOUR_S, 1_500))):
        kind = str(rng.choice(["click", "visit"]))
        rows.append((f"u{rng.integers(12)}", str(rng.choice(list("abcdefgh"))), kind, float(t)))
        lately = np.flatnonzero((times_s > t - WINDOWS.visit_s) & (times_s < t))
        if len(lately) and rng.random() < 0.4:
            names[i] = called[rng.choice(lately)] if rng.random() < 0.9 else "nobody's"
    log = naming(log_of(rows), names)
    shown = replace(shown_of(answers), request_id=np.array(called, object))
    found = join(log, shown, WINDOWS)
    expected = np.zeros((len(answers), 4, 2), bool)
    is_click = log.kind[found.event] == CLICK
    expected[shown.answer[found.row], shown.position[found.row], is_click.astype(int)] = True

    joining = OutcomeJoin(WINDOWS, most=10_000)
    coming: list[tuple[float, Impression | Outcome]] = [
        (t + rng.uniform(0, HOLD_S / 2), served(name, user, t, places))
        for name, (user, t, places) in zip(called, answers, strict=True)
    ]
    coming += [
        (t + rng.uniform(0, HOLD_S / 2), done(u, p, k, t, request_id=names.get(i)))  # type: ignore[arg-type]
        for i, (u, p, k, t) in enumerate(rows)
    ]
    settled: list[Waiting] = []
    for _, event in sorted(coming, key=lambda both: both[0]):
        if isinstance(event, Impression):
            joining.shown([event])
        else:
            joining.happened([event])
        settled += joining.advance().settled
    joining.happened([END])
    settled += joining.advance().settled
    assert len(settled) == len(answers)
    settled.sort(key=lambda answer: answer.time_s)
    flags = np.stack([np.stack([answer.chosen, answer.clicked], axis=1) for answer in settled])
    assert expected.sum() > 100
    assert (flags == expected).all()


def test_an_outcome_may_come_before_its_answer() -> None:
    """Another topic, another delay: within the hold it waits."""
    joining = OutcomeJoin(WINDOWS, most=10)
    joining.happened([done("u", "a", "visit", 30)])
    assert joining.advance().fates == {}
    joining.shown([served("r", "u", 0, "ab")])
    assert all_settled(joining)["r"].chosen.tolist() == [True, False]


def test_one_topic_may_be_read_hours_ahead_of_the_other() -> None:
    """Outcomes wait for answers that are still to be read, unless there is no more to read."""
    joining = OutcomeJoin(WINDOWS, most=10)
    joining.happened([done("u", "a", "visit", 30), done("v", "z", "click", 10 * HOUR_S)])
    assert joining.advance(drained=False).fates == {}
    joining.shown([served("r", "u", 0, "ab")])
    assert joining.advance(drained=False).fates == {}
    joining.shown([served("s", "w", HOUR_S, "ab")])
    assert joining.advance(drained=False).fates == {"joined": 1}
    joining.happened([done("v", "z", "click", 10 * HOUR_S + HOLD_S)])
    assert joining.advance(drained=True).fates == {"unprompted": 1}


def test_outcomes_that_wait_are_bounded_too() -> None:
    """Where nobody is served any more they meet their fate early."""
    joining = OutcomeJoin(WINDOWS, most=2)
    joining.happened([done("u", "a", "visit", i) for i in range(5)])
    assert joining.advance(drained=False).fates == {"unprompted": 3}


def test_every_outcome_meets_a_fate() -> None:
    """Joined, never shown, naming nobody, after its window, after its answer was settled."""
    joining = OutcomeJoin(WINDOWS, most=10)
    joining.shown([served("r", "u", 0, "ab")])
    joining.happened(
        [
            done("u", "a", "click", 10),
            done("u", "z", "visit", 20),
            done("u", "a", "visit", 30, request_id="other"),
            done("u", "b", "click", WINDOWS.click_s + 1),
        ]
    )
    joining.happened([done("v", "a", "view", 2 * HOUR_S)])
    fates = joining.advance().fates
    assert fates == {"joined": 1, "unprompted": 1, "unknown": 1, "too_late": 1}
    all_settled(joining)
    joining.happened([done("u", "b", "visit", 40)])
    assert joining.advance().fates["late"] == 1
    assert len(joining) == 0


def test_clicks_are_over_before_visits() -> None:
    """An answer's click-through is known after half an hour, all else after four."""
    joining = OutcomeJoin(WINDOWS, most=10)
    joining.shown([served("r", "u", 0, "ab")])

    def at(after_s: float) -> tuple[int, int]:
        joining.happened([done("v", "z", "click", after_s)])
        joined = joining.advance()
        return len(joined.clicks_over), len(joined.settled)

    assert at(WINDOWS.click_s + HOLD_S) == (0, 0)
    assert at(WINDOWS.click_s + HOLD_S + 1) == (1, 0)
    assert at(WINDOWS.visit_s + HOLD_S + 1) == (0, 1)


def test_the_first_choice_is_told_once_and_at_once() -> None:
    """A model's errors need not wait for the end of the window."""
    joining = OutcomeJoin(WINDOWS, most=10)
    joining.shown([served("r", "u", 0, "abc")])
    joining.happened([done("u", "b", "visit", 60), done("u", "c", "visit", 90)])
    joining.happened([done("v", "z", "click", 90 + HOLD_S)])
    first = joining.advance()
    assert [(answer.request_id, answer.first) for answer in first.chosen] == [("r", 1)]
    assert first.settled == []


def test_bad_ratings_count_as_ratings_and_as_no_choice() -> None:
    """Stars and stays are kept where they are told."""
    joining = OutcomeJoin(WINDOWS, most=10)
    joining.shown([served("r", "u", 0, "ab")])
    joining.happened(
        [
            done("u", "a", "rate", 60, rating=2.0),
            done("u", "b", "visit", 70, dwell_s=600.0),
            done("u", "b", "rate", 80, rating=3.0),
        ]
    )
    answer = all_settled(joining)["r"]
    assert answer.chosen.tolist() == [False, True]
    assert (answer.ratings, answer.dwells_s) == ([2.0, 3.0], [600.0])


def test_what_waits_is_bounded_and_counted() -> None:
    """Two of three have room: the oldest is settled before its time."""
    joining = OutcomeJoin(WINDOWS, most=2)
    joining.shown([served(f"r{i}", "u", i, "a") for i in range(3)])
    joined: Joined = joining.advance()
    assert [answer.request_id for answer in joined.settled] == ["r0"]
    assert (joining.cut_short, len(joining)) == (1, 2)


def test_an_answer_that_comes_twice_counts_once() -> None:
    """A consumer that restarts reads some again."""
    joining = OutcomeJoin(WINDOWS, most=10)
    joining.shown([served("r", "u", 0, "ab")] * 2)
    assert list(all_settled(joining)) == ["r"]


def test_pages_that_share_a_name_are_answers_each() -> None:
    """What names them goes to the newest that showed the place, and each tells its own fate."""
    joining = OutcomeJoin(WINDOWS, most=10)
    joining.shown([served("r", "u", 0, "ab"), served("r", "u", 5, "cd"), served("r", "u", 9, "ca")])
    joining.shown([served("r", "v", 9, "ca")])  # nor need names differ between users
    joining.happened(
        [
            done("u", "b", "visit", 20, request_id="r"),
            done("u", "c", "visit", 7, request_id="r"),
            done("u", "a", "click", 30, request_id="r"),
            done("u", "z", "visit", 40, request_id="r"),
        ]
    )
    joining.happened([END])
    joined = joining.advance()
    assert joined.fates == {"joined": 3, "unprompted": 1}
    assert [answer.chosen.tolist() for answer in joined.settled] == [
        [False, True],
        [True, False],
        [False, False],
        [False, False],
    ]
    assert [answer.clicked.any() for answer in joined.settled] == [False, False, True, False]
    assert len(joining) == 0


def test_two_questions_of_one_batch_may_share_a_name() -> None:
    """Answered at the same moment, with other places; the same sent again counts once."""
    joining = OutcomeJoin(WINDOWS, most=10)
    batch = [served("r", "u", 0, "ab"), served("r", "u", 0, "cd")]
    joining.shown(batch + batch)
    joining.happened([done("u", "d", "visit", 20), END])
    joined = joining.advance()
    assert [answer.chosen.tolist() for answer in joined.settled] == [[False, False], [False, True]]


def test_pages_that_wait_are_bounded_as_answers_are() -> None:
    """However many share a name, which is known as long as one of them waits."""
    joining = OutcomeJoin(WINDOWS, most=2)
    joining.shown([served("r", "u", i, [f"p{i}"]) for i in range(5)])
    assert (len(joining.advance().settled), len(joining), joining.cut_short) == (3, 2, 3)
    named = done("u", "p4", "visit", 20, request_id="r")
    joining.happened([named, replace(named, place_id="p0"), END])
    assert joining.advance().fates == {"joined": 1, "unprompted": 1}
    joining.happened([replace(named, time_s=END.time_s), replace(END, time_s=END.time_s + HOLD_S)])
    assert joining.advance().fates["unknown"] == 1


def test_looks_are_noted_and_meet_no_fate() -> None:
    """A look within the window of clicks marks its place; a later one does not, and what counts as
    an outcome is none of them."""
    joining = OutcomeJoin(WINDOWS, most=100)
    joining.shown([served("a", "u", 0, ["x", "y", "z"])])
    late_s = WINDOWS.click_s + 1
    joining.happened([done("u", "x", "view", 5, dwell_s=3.0), done("u", "y", "view", late_s)])
    joining.happened([done("u", "z", "visit", 60), done("nobody", "x", "click", 1_000 * HOUR_S)])
    joined = joining.advance()
    (answer,) = joined.settled
    assert answer.looked.tolist() == [True, False, False]
    assert answer.dwells_s == []
    assert not answer.clicked.any()
    assert joined.fates == {"joined": 1}
