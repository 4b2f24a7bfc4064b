"""What came of served answers: clicks, visits and good ratings, each credited to what it followed.

An outcome that names its answer (`request_id`) is that answer's, if its place was shown there;
one that names an answer which the archive does not hold is nobody's: the user acted on something
that we do not know, and crediting another answer would be a guess. All others go to the user's
newest answer that showed the place.

The newest, since it is what the user saw last before going, and its features describe that moment;
were all answers that showed the place credited, one visit would count as often as its user had
refreshed the list, and each of those rows but the last would call a choice what was then none.

Labels wait. An answer whose window is not over at the end of what is known has no label yet,
neither way: to take those whose outcome came early and not the others would teach that outcomes
come early (Chapelle, "Modeling delayed feedback in display advertising", KDD 2014).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from contracts.ids import id64
from contracts.settings import Settings
from models.moments import positives
from online_features.columns import CLICK
from online_features.impressions import ImpressionLog
from online_features.training_log import TrainingLog

Index = NDArray[np.int64]
#: An outcome that names no answer; one that names an answer we do not know.
_NAMES_NONE, _NAMES_UNKNOWN = -1, -2


@dataclass(frozen=True)
class Windows:
    """How long after an answer something may come of it, seconds; the end itself is within."""

    click_s: float
    visit_s: float

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        return cls(settings.attribution_click_s, settings.attribution_visit_s)

    @property
    def longest_s(self) -> float:
        """After so long nothing more can come of an answer."""
        return max(self.click_s, self.visit_s)

    def settled(self, answered_s: NDArray[np.float64], end_s: float) -> NDArray[np.bool_]:
        """Which answers have their labels, if all events before `end_s` are known.

        An answer whose window ends at that very moment has not: an event of it may still come.
        """
        over: NDArray[np.bool_] = answered_s + self.longest_s < end_s
        return over


@dataclass(frozen=True)
class Outcomes:
    """o interactions, each credited to one place of one answer.

    Attributes:
        event: int64[o], positions in the log, ascending.
        row: int64[o], which of the places of the `ImpressionLog`.
        unknown: interactions that name an answer which is not known.
    """

    event: Index
    row: Index
    unknown: int


def join(log: TrainingLog, shown: ImpressionLog, windows: Windows) -> Outcomes:
    """Credit the clicks, visits and good ratings of a log that is sorted by time."""
    event = np.union1d(np.flatnonzero(log.kind == CLICK), positives(log))
    time_s, user, place = log.time_s[event], log.user[event], log.place[event]
    named, shown_name = _names(log.request[event], shown)
    answer = shown.answer
    shown_s, shown_user = shown.time_s[answer], shown.user[answer]
    row = newest((shown_user, shown.place), shown_s, (user, place), time_s)
    by_name = np.flatnonzero(named >= 0)
    ours = (shown_name[answer], shown_user, shown.place)
    theirs = (named[by_name], user[by_name], place[by_name])
    # Whether the place stood in that answer at all, then whether before the outcome.
    ever = newest(ours, np.zeros(len(shown_s)), theirs, np.zeros(len(by_name))) >= 0
    in_answer = newest(ours, shown_s, theirs, time_s[by_name])
    row[by_name[ever]] = in_answer[ever]
    row[named == _NAMES_UNKNOWN] = -1
    window_s = np.where(log.kind[event] == CLICK, windows.click_s, windows.visit_s)
    if len(shown_s):
        row[time_s > shown_s[row] + window_s] = -1
    credited = row >= 0
    return Outcomes(event[credited], row[credited], int((named == _NAMES_UNKNOWN).sum()))


def _names(request: NDArray[np.uint64], shown: ImpressionLog) -> tuple[Index, Index]:
    """Codes of the answers that outcomes name, and of the answers themselves."""
    codes: dict[int, int] = {}
    ours = map(id64, shown.request_id)
    own = np.array([codes.setdefault(name, len(codes)) for name in ours], np.int64)
    named = [codes.get(n, _NAMES_UNKNOWN) if n else _NAMES_NONE for n in request.tolist()]
    return np.array(named, np.int64), own


@dataclass(frozen=True)
class First:
    """The first place of each answer that was chosen: c answers, ascending.

    Attributes:
        answer, row, event: int64[c], the answer, the place among all shown, the log's event.
    """

    answer: Index
    row: Index
    event: Index

    def __len__(self) -> int:
        return len(self.answer)

    def take(self, kept: Index | NDArray[np.bool_]) -> Self:
        """The choices at some positions, or under a mask."""
        return type(self)(self.answer[kept], self.row[kept], self.event[kept])


def first_choices(log: TrainingLog, shown: ImpressionLog, outcomes: Outcomes) -> First:
    """Where the user of each answer went first, of what it showed; clicks are no choices."""
    chosen = log.kind[outcomes.event] != CLICK
    event, row = outcomes.event[chosen], outcomes.row[chosen]
    answer, at = np.unique(shown.answer[row], return_index=True)  # the first: events ascend
    return First(answer, row[at], event[at])


def next_choices(log: TrainingLog, shown: ImpressionLog, windows: Windows) -> Index:
    """For each answer, the position of its user's next choice, wherever it went; int64[n].

    -1: there was none within the window, or another answer came before it, which it then follows.
    """
    chosen = positives(log)
    answers = len(shown)
    user = np.concatenate([shown.user, log.user[chosen]])
    time_s = np.concatenate([shown.time_s, log.time_s[chosen]])
    is_choice = np.arange(len(user)) >= answers
    order = np.lexsort((is_choice, time_s, user))
    here, after = order[:-1], order[1:]
    follows = ~is_choice[here] & is_choice[after] & (user[here] == user[after])
    follows &= time_s[after] <= time_s[here] + windows.visit_s
    result = np.full(answers, -1)
    result[here[follows]] = chosen[after[follows] - answers]
    return result


def newest(
    keys: Sequence[NDArray[np.generic]],
    time_s: NDArray[np.float64],
    asked: Sequence[NDArray[np.generic]],
    asked_s: NDArray[np.float64],
) -> Index:
    """For each question the newest row with its keys, at or before its time; -1 for none.

    Args:
        keys: columns [n] of the rows.
        time_s: float64[n].
        asked: the same columns of the questions [q].
        asked_s: float64[q].
    """
    rows = len(time_s)
    columns = [np.concatenate(both) for both in zip(keys, asked, strict=True)]
    is_question = np.arange(rows + len(asked_s)) >= rows
    order = np.lexsort((is_question, np.concatenate([time_s, asked_s]), *columns))
    at = np.arange(len(order))
    other = np.zeros(len(order), bool)
    for column in columns:
        other[1:] |= column[order][1:] != column[order][:-1]
    start = np.maximum.accumulate(np.where(other, at, 0))
    last = np.maximum.accumulate(np.where(is_question[order], -1, at))
    found = np.where(last >= start, order[np.maximum(last, 0)], -1)
    result = np.empty(len(order), np.int64)
    result[order] = found
    return result[rows:]
