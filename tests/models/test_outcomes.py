"""Outcomes and the answers that they came of: who gets which, and from when on it is known."""

import numpy as np
import pytest

from contracts.ids import id64
from contracts.settings import Settings
from models.outcomes import (
    Outcomes,
    Windows,
    first_choices,
    join,
    newest,
    next_choices,
)
from online_features.columns import CLICK
from online_features.impressions import ImpressionLog
from online_features.training_log import TrainingLog
from tests.models.answers import naming, shown_of
from tests.models.logs import START_S, Row, log_of

HOUR = 3_600.0
WINDOWS = Windows(click_s=HOUR, visit_s=24 * HOUR)


def credited(
    log: TrainingLog, shown: ImpressionLog, windows: Windows = WINDOWS
) -> list[tuple[int, int, int]]:
    """(position of the event, answer, position of the place in it) of each outcome."""
    found = join(log, shown, windows)
    answer = shown.answer[found.row]
    return list(
        zip(found.event.tolist(), answer.tolist(), shown.position[found.row].tolist(), strict=True)
    )


def test_a_visit_and_a_click_belong_to_the_answer_that_showed_the_place() -> None:
    """By user, place and time, where nothing names the answer; what was not shown is nobody's."""
    shown = shown_of([("u", 0, "abc"), ("v", 10, "abc")])
    log = log_of(
        [
            ("u", "b", "click", 60),
            ("u", "b", "visit", 600),
            ("u", "z", "visit", 700),
            ("w", "a", "visit", 800),
            ("v", "c", "visit", 900),
        ]
    )
    assert credited(log, shown) == [(0, 0, 1), (1, 0, 1), (4, 1, 2)]


def test_an_outcome_before_its_answer_is_none() -> None:
    """Even if it names the answer: what was done before was not led to. At the moment itself, it
    was: the features know only what came before that."""
    shown = shown_of([("u", 100, "a")])
    log = log_of([("u", "a", "visit", 99), ("u", "a", "visit", 100)])
    assert credited(log, shown) == [(1, 0, 0)]
    assert credited(naming(log, {0: "r0"}), shown) == [(1, 0, 0)]


@pytest.mark.parametrize(("kind", "window_s"), [("visit", 24 * HOUR), ("click", HOUR)])
def test_the_windows_end_is_within(kind: str, window_s: float) -> None:
    """A moment later is too late, and an answer that is named does not wait longer."""
    shown = shown_of([("u", 0, "a")])
    at_end = log_of([("u", "a", kind, window_s)])
    too_late = log_of([("u", "a", kind, np.nextafter(START_S + window_s, np.inf) - START_S)])
    assert credited(at_end, shown) == [(0, 0, 0)]
    assert too_late.time_s[0] > at_end.time_s[0]
    assert credited(too_late, shown) == []
    assert credited(naming(too_late, {0: "r0"}), shown) == []


def test_of_two_answers_with_the_place_the_newest_gets_the_visit() -> None:
    """One visit is one choice, made with the last list in hand; the first one led to nothing."""
    shown = shown_of([("u", 0, "ab"), ("u", 300, "ba"), ("u", 900, "ab")])
    log = log_of([("u", "a", "visit", 600)])
    assert credited(log, shown) == [(0, 1, 1)]


def test_a_name_goes_before_newness() -> None:
    """The client says which answer the user acted on; it knows better than the order of time."""
    shown = shown_of([("u", 0, "ab"), ("u", 300, "ba")])
    log = naming(log_of([("u", "a", "visit", 600)]), {0: "r0"})
    assert credited(log, shown) == [(0, 0, 0)]


def test_an_unknown_name_is_nobodys_outcome() -> None:
    """The user acted on an answer that never arrived here: no other gets it, and it is counted."""
    shown = shown_of([("u", 0, "ab")])
    log = naming(log_of([("u", "a", "visit", 600), ("u", "b", "visit", 900)]), {0: "lost", 1: ""})
    assert credited(log, shown) == [(1, 0, 1)]
    assert join(log, shown, WINDOWS).unknown == 1


def test_a_name_of_an_answer_that_did_not_show_the_place_says_nothing() -> None:
    """A client that puts its session's last answer on everything: user, place and time decide."""
    shown = shown_of([("u", 0, "ab"), ("u", 300, "cd"), ("v", 400, "a")])
    log = log_of([("u", "a", "visit", 600), ("u", "b", "visit", 700)])
    assert credited(naming(log, {0: "r1", 1: "r2"}), shown) == [(0, 0, 0), (1, 0, 1)]


def test_a_request_id_used_twice_means_its_newest_answer() -> None:
    """A client that tries again under the same id gets two answers."""
    shown = shown_of([("u", 0, "ab"), ("u", 300, "ab"), ("u", 900, "ab")])
    shown.request_id[:] = "again"
    log = naming(log_of([("u", "a", "visit", 600)]), {0: "again"})
    assert credited(log, shown) == [(0, 1, 0)]


def test_good_ratings_without_a_visit_are_choices_and_views_are_not() -> None:
    """As for the moments of choice: a rating of 3 says that the user was there."""
    shown = shown_of([("u", 0, "abcd")])
    log = log_of(
        [
            ("u", "a", "view", 10),
            ("u", "b", "rate", 20, 3.0),
            ("u", "c", "rate", 30, 2.0),
            ("u", "d", "visit", 40),
            ("u", "d", "rate", 50, 5.0),
        ]
    )
    assert credited(log, shown) == [(1, 0, 1), (3, 0, 3)]


def test_labels_wait_for_their_window() -> None:
    """Settled once the log goes past the end of the longest window: one that ends with the log may
    still get an outcome of that very moment."""
    answered_s = np.array([0.0, 9.0, 10.0, 11.0]) * HOUR
    assert WINDOWS.settled(answered_s, 34 * HOUR).tolist() == [True, True, False, False]
    longer = Windows(click_s=30 * HOUR, visit_s=24 * HOUR)
    assert longer.settled(answered_s, 34 * HOUR).tolist() == [True, False, False, False]


def test_a_late_outcome_within_the_window_makes_a_positive_of_a_negative() -> None:
    """Judged when its window is over, an answer's label does not depend on when it is judged."""
    shown = shown_of([("u", 0, "ab")])
    rows: list[Row] = [("x", "z", "visit", 10 * HOUR), ("u", "b", "visit", 23 * HOUR)]
    later = [*rows, ("u", "a", "visit", 24 * HOUR + 1), ("x", "z", "visit", 200 * HOUR)]
    early, settled = log_of(rows[:1]), log_of(later)
    assert credited(early, shown) == []
    assert not WINDOWS.settled(shown.time_s, early.time_s[-1])[0]
    assert credited(settled, shown) == [(1, 0, 1)]
    assert credited(log_of(later[:3]), shown) == [(1, 0, 1)]


def test_the_first_visit_of_an_answer_is_its_choice() -> None:
    """A click is none, and a second visit is the choice of another moment."""
    shown = shown_of([("u", 0, "abc"), ("v", 5, "abc")])
    log = log_of(
        [
            ("u", "a", "click", 60),
            ("v", "b", "click", 70),
            ("u", "c", "visit", 600),
            ("u", "b", "visit", 900),
        ]
    )
    first = first_choices(log, shown, join(log, shown, WINDOWS))
    assert (first.answer.tolist(), first.row.tolist(), first.event.tolist()) == ([0], [2], [2])


def test_the_next_choice_is_that_of_the_newest_answer_before_it() -> None:
    """Wherever it went: r0 was followed by r1 first, r1 by a place not shown, r2 by nothing in
    time, r3 (another user) at its own moment."""
    shown = shown_of([("u", 0, "a"), ("u", 60, "a"), ("u", 700, "a"), ("v", 800, "b")])
    log = log_of(
        [
            ("u", "a", "click", 100),
            ("u", "z", "visit", 600),
            ("v", "b", "visit", 800),
            ("u", "a", "visit", 700 + 24 * HOUR + 1),
        ]
    )
    assert next_choices(log, shown, WINDOWS).tolist() == [-1, 1, -1, 2]


def test_nothing_shown_or_nothing_done_joins_to_nothing() -> None:
    """An installation begins so."""
    nobody, log = shown_of([]), log_of([("u", "a", "visit", 0)])
    assert credited(log, nobody) == []
    assert next_choices(log, nobody, WINDOWS).tolist() == []
    quiet = log.take(slice(0, 0))
    shown = shown_of([("u", 0, "a")])
    assert credited(quiet, shown) == []
    assert next_choices(quiet, shown, WINDOWS).tolist() == [-1]
    nothing = Outcomes(np.zeros(0, np.int64), np.zeros(0, np.int64), 0)
    assert len(first_choices(log, shown, nothing).answer) == 0


def test_the_join_equals_a_search_event_by_event() -> None:
    """On random logs with equal times, names that are true, false and unknown."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        times = np.sort(rng.integers(0, 40, 30))
        shown = shown_of(
            [
                (f"u{rng.integers(3)}", float(t), rng.permutation(list("abcdef"))[:3].tolist())
                for t in times
            ]
        )
        rows: list[Row] = [
            (f"u{rng.integers(3)}", str(rng.choice(list("abcdefg"))), kind, float(t))
            for t in np.sort(rng.integers(0, 60, 60))
            for kind in [str(rng.choice(["view", "click", "visit"]))]
        ]
        names = rng.permutation(60)[:30].tolist()
        log = naming(log_of(rows), {i: f"r{rng.integers(40)}" for i in names})
        windows = Windows(click_s=6, visit_s=15)
        assert credited(log, shown, windows) == _one_by_one(log, shown, windows)


def _one_by_one(
    log: TrainingLog, shown: ImpressionLog, windows: Windows
) -> list[tuple[int, int, int]]:
    found = []
    names = [id64(name) for name in shown.request_id.tolist()]
    for i in range(len(log)):
        if log.kind[i] not in (1, 2):
            continue
        name = log.request[i]
        if name and name not in names:
            continue
        mine = [
            row
            for row, answer in enumerate(shown.answer.tolist())
            if shown.user[answer] == log.user[i] and shown.place[row] == log.place[i]
        ]
        named = [row for row in mine if names[shown.answer[row]] == name]
        window_s = windows.click_s if log.kind[i] == CLICK else windows.visit_s
        before = [
            row for row in (named or mine) if shown.time_s[shown.answer[row]] <= log.time_s[i]
        ]
        if before and log.time_s[i] <= shown.time_s[shown.answer[before[-1]]] + window_s:
            last = before[-1]
            found.append((i, int(shown.answer[last]), int(shown.position[last])))
    return found


def test_newest_of_no_rows_is_none() -> None:
    """And of rows with other keys."""
    key, at = np.array([1]), np.array([5.0])
    assert newest((key[:0],), at[:0], (key,), at).tolist() == [-1]
    assert newest((key,), at, (key + 1,), at).tolist() == [-1]
    assert newest((key,), at, (key,), at).tolist() == [0]


def test_windows_are_settings() -> None:
    """A day for a visit, half an hour for a click."""
    windows = Windows.of(Settings(_env_file=None))
    assert (windows.visit_s, windows.click_s, windows.longest_s) == (86_400, 1_800, 86_400)
