"""Which outcomes an answer of the past may already be joined to, by hand."""

import pytest

from models.impressions import Joined
from models.outcomes import Windows
from tests.models.answers import shown_of
from tests.models.logs import START_S, log_of

HOUR = 3_600.0


def _joined(until_h: float) -> Joined:
    """By hours. Of v an answer at 2 and a visit to a place that it showed at 3; of u the same at 30
    and 31, and an answer at 40 that a visit to another place follows.
    """
    log = log_of(
        [
            ("v", "a", "visit", 3 * HOUR),
            ("u", "b", "visit", 31 * HOUR),
            ("u", "z", "visit", 41 * HOUR),
        ]
    )
    shown = shown_of([(user, at * HOUR, "abc") for user, at in (("v", 2), ("u", 30), ("u", 40))])
    return Joined.of(log, shown, Windows(1_800, 24 * HOUR), START_S + until_h * HOUR)


@pytest.mark.parametrize(
    ("until_h", "answers"), [(26.0, []), (26.1, [0]), (54.0, [0]), (54.1, [0, 1])]
)
def test_labels_wait_for_their_window(until_h: float, answers: list[int]) -> None:
    """The one of hour 2 has its label at hour 26; at that very moment it still may change."""
    first = _joined(until_h).settled_choices()
    assert first.answer.tolist() == first.event.tolist() == answers
    assert first.row.tolist() == [0, 4][: len(answers)]


def test_nothing_at_or_after_the_cut_is_joined() -> None:
    """Neither its answers nor its events are there to be seen."""
    joined = _joined(until_h=31.0)
    assert (len(joined.log), len(joined.shown)) == (1, 2)
    assert joined.facts() == {
        "answers": 2,
        "waiting_for_their_window": 1,
        "clicked": 0,
        "visited": 1,
        "outcomes_of_unknown_answers": 0,
    }
