"""Outcomes join the answers that they came of, as both stream by.

The rule is that of training (`models.outcomes`): an outcome that names its answer is that answer's,
if its place was shown there; one that names an answer nobody knows is nobody's; all others go to
the user's newest answer before them that showed the place. Here it is kept event by event. (What
names a settled answer is nobody's here, for it is no longer known; and a rating is not told from
one that repeats a visit of weeks ago.)

The pages of an answer, and answers of one batch, may share a name. Each is an answer of its own
here as it is there, and what names them is that of the newest of them that showed its place.

Impressions and interactions come from two topics, neither in order, and one may be read hours
ahead of the other. So an outcome waits until both have passed it by `HOLD_S` of event time, or one
has and there is nothing left to read; an answer is settled once its window has passed by as much.
What comes later than that is counted as late, and changes nothing.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from contracts.events import Impression
from models.moments import LEAST_RATING
from models.outcomes import Windows

#: Event time that late events are given: as much as a click may take to be sent.
HOLD_S = 60.0
Kind = Literal["view", "click", "visit", "rate"]
#: What became of an outcome: joined to an answer; nothing shown led to it; names an answer that is
#: not known; later than its window; came when its answer was settled.
Fate = Literal["joined", "unprompted", "unknown", "too_late", "late"]


@dataclass(frozen=True)
class Outcome:
    """A look, click, visit or rating.

    Attributes:
        time_s: event time, Unix seconds.
        rating: 1 to 5; `dwell_s` in seconds; `None` where not told.
        request_id: the answer that it names, if any.
        again: it came before a restart too, and its fate was counted then, if it was known.
    """

    time_s: float
    user_id: str
    place_id: str
    kind: Kind
    rating: float | None = None
    dwell_s: float | None = None
    request_id: str | None = None
    again: bool = False

    @property
    def positive(self) -> bool:
        """A visit or a good rating: the user chose the place."""
        return self.kind == "visit" or (self.rating is not None and self.rating >= LEAST_RATING)


@dataclass
class Waiting:
    """An answer and what has come of it.

    Attributes:
        version: of the ranker; -1 none.
        places: where each place stands in the arrays.
        score, probability: float64[k], in the order shown; a probability may be NaN.
        looked, clicked, chosen: bool[k].
        first: which was chosen first; -1 none yet.
        ratings, dwells_s: of those that were joined.
    """

    request_id: str
    user_id: str
    time_s: float
    variant: str
    version: int
    places: dict[str, int]
    score: NDArray[np.float64]
    probability: NDArray[np.float64]
    looked: NDArray[np.bool_]
    clicked: NDArray[np.bool_]
    chosen: NDArray[np.bool_]
    first: int = -1
    ratings: list[float] = field(default_factory=list)
    dwells_s: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, answer: Impression) -> "Waiting":
        """A served answer of which nothing has come yet."""
        places = answer.places
        return cls(
            request_id=answer.request_id,
            user_id=answer.user_id,
            time_s=answer.timestamp.timestamp(),
            variant=answer.variant,
            version=answer.models.get("ranker", -1),
            places={place.place_id: i for i, place in enumerate(places)},
            score=np.array([place.score for place in places], np.float64),
            probability=np.array(
                [np.nan if p.probability is None else p.probability for p in places], np.float64
            ),
            looked=np.zeros(len(places), bool),
            clicked=np.zeros(len(places), bool),
            chosen=np.zeros(len(places), bool),
        )


@dataclass(frozen=True)
class Joined:
    """What one step brought, each in the order of event time.

    Attributes:
        chosen: answers of which something was chosen for the first time.
        clicks_over: answers whose window for clicks is over.
        settled: answers of which nothing more can come.
        fates: how many outcomes met which fate; mere looks, and what came again, are not counted.
    """

    chosen: list[Waiting]
    clicks_over: list[Waiting]
    settled: list[Waiting]
    fates: dict[Fate, int]


class OutcomeJoin:
    """Answers that wait, and outcomes that wait for them.

    Args:
        windows: how long after an answer something may come of it.
        most: answers held at most, and outcomes; beyond it the oldest are taken before their time.
        hold_s: event time that late events are given, seconds.
    """

    def __init__(self, windows: Windows, most: int, hold_s: float = HOLD_S) -> None:
        self._windows = windows
        self._most = most
        self._hold_s = hold_s
        #: How many answers wait under each name, and which of each user.
        self._names: Counter[str] = Counter()
        self._by_user: dict[str, list[Waiting]] = {}
        self._clicks: list[tuple[float, int, Waiting]] = []
        self._visits: list[tuple[float, int, Waiting]] = []
        self._outcomes: list[tuple[float, int, Outcome]] = []
        self._count = 0
        #: Event time of the newest answer, and of the newest outcome.
        self._shown_s = self._happened_s = -np.inf
        #: What was answered before this is settled.
        self._settled_to_s = -np.inf
        #: Answers that were settled before their time, for want of room.
        self.cut_short = 0

    def __len__(self) -> int:
        return len(self._visits)

    def shown(self, answers: Iterable[Impression]) -> None:
        """Take in served answers; the very one that came before is passed over."""
        for impression in answers:
            answer = Waiting.of(impression)
            if not answer.places or self._waits(answer):
                continue
            self._names[answer.request_id] += 1
            self._by_user.setdefault(answer.user_id, []).append(answer)
            self._count += 1
            entry = (answer.time_s, self._count, answer)
            heapq.heappush(self._clicks, entry)
            heapq.heappush(self._visits, entry)
            self._shown_s = max(self._shown_s, answer.time_s)

    def _waits(self, answer: Waiting) -> bool:
        """Whether it came before; another page of its name is of another time or other places."""
        return answer.request_id in self._names and any(
            (other.request_id, other.time_s) == (answer.request_id, answer.time_s)
            and other.places == answer.places
            for other in self._by_user.get(answer.user_id, ())
        )

    def happened(self, outcomes: Iterable[Outcome]) -> None:
        """Take in outcomes."""
        for outcome in outcomes:
            self._count += 1
            heapq.heappush(self._outcomes, (outcome.time_s, self._count, outcome))
            self._happened_s = max(self._happened_s, outcome.time_s)

    def advance(self, *, drained: bool = True) -> Joined:
        """Join and settle what event time allows.

        Args:
            drained: whether all that there is of both topics has been taken in.
        """
        passed = max if drained else min
        until_s = passed(self._shown_s, self._happened_s) - self._hold_s
        joined = Joined([], [], [], {})
        while self._outcomes and (
            self._outcomes[0][0] <= until_s or len(self._outcomes) > self._most
        ):
            outcome = heapq.heappop(self._outcomes)[2]
            fate = self._join(outcome, joined.chosen)
            if outcome.kind != "view" and not outcome.again:
                joined.fates[fate] = joined.fates.get(fate, 0) + 1
        joined.clicks_over.extend(_over(self._clicks, until_s - self._windows.click_s))
        self._settled_to_s = max(self._settled_to_s, until_s - self._windows.longest_s)
        joined.settled.extend(_over(self._visits, self._settled_to_s))
        while len(self._visits) > self._most:
            joined.settled.append(heapq.heappop(self._visits)[2])
            self.cut_short += 1
        for answer in joined.settled:
            self._forget(answer)
        return joined

    def _join(self, outcome: Outcome, chosen: list[Waiting]) -> Fate:
        if outcome.time_s < self._settled_to_s:
            return "late"
        answer = self._answer_of(outcome)
        if isinstance(answer, str):
            return answer
        in_app = outcome.kind in ("view", "click")
        window_s = self._windows.click_s if in_app else self._windows.visit_s
        if outcome.time_s > answer.time_s + window_s:
            return "too_late"
        place = answer.places[outcome.place_id]
        if outcome.kind == "view":
            answer.looked[place] = True
            return "joined"
        if outcome.kind == "click":
            answer.clicked[place] = True
        if outcome.rating is not None:
            answer.ratings.append(outcome.rating)
        if outcome.dwell_s is not None:
            answer.dwells_s.append(outcome.dwell_s)
        if outcome.positive:
            answer.chosen[place] = True
            if answer.first < 0:
                answer.first = place
                chosen.append(answer)
        return "joined"

    def _answer_of(self, outcome: Outcome) -> "Waiting | Literal['unprompted', 'unknown']":
        """The answer that it came of, by name, else by user, place and time."""
        name = outcome.request_id
        if name is not None and name not in self._names:
            return "unknown"
        mine = self._by_user.get(outcome.user_id, ())
        shown = [answer for answer in mine if outcome.place_id in answer.places]
        named = [answer for answer in shown if answer.request_id == name]
        newest: Waiting | None = None
        for answer in named or shown:
            before = answer.time_s <= outcome.time_s
            if before and (newest is None or answer.time_s >= newest.time_s):
                newest = answer
        return "unprompted" if newest is None else newest

    def _forget(self, answer: Waiting) -> None:
        self._names[answer.request_id] -= 1
        if not self._names[answer.request_id]:
            del self._names[answer.request_id]
        others = self._by_user[answer.user_id]
        others[:] = [other for other in others if other is not answer]
        if not others:
            del self._by_user[answer.user_id]


def _over(waiting: list[tuple[float, int, Waiting]], before_s: float) -> deque[Waiting]:
    """Take off the heap what was answered before a time."""
    over: deque[Waiting] = deque()
    while waiting and waiting[0][0] < before_s:
        over.append(heapq.heappop(waiting)[2])
    return over
