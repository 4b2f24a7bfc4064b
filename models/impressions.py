"""What served answers teach a training: choices among what was shown, made into choice sets.

Which answers teach is settled first, from columns alone; what the ranker saw of their places is
read, or recomputed, some hundred answers at a time, while the sets are made. An answer that led to
none of its places teaches a softmax over them nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import structlog
from numpy.typing import NDArray

from contracts.settings import Settings
from contracts.signatures import CROWD
from models.choice_sets import AT_ONCE, SET, ChoiceSets, Looks, half, look
from models.dataset import pick, situations
from models.leaks import check_labels
from models.moments import Moments
from models.outcomes import First, Outcomes, Windows, first_choices, join
from models.shown_choices import Table
from models.shown_features import ServedAnswers
from online_features.catalogue import Catalogue
from online_features.columns import CLICK
from online_features.definitions import USER
from online_features.impressions import ImpressionLog
from online_features.replay import Replay
from online_features.training_log import TrainingLog

log = structlog.get_logger(__name__)
Index = NDArray[np.int64]
#: Of the seeds of a training, so that what is drawn beside does not depend on what was served.
_STREAM = 1


@dataclass(frozen=True)
class Joined:
    """Answers and what came of them, up to a cut.

    Attributes:
        log: the events before it.
        shown: the answers before it.
        outcomes: what came of them.
        windows: how long to wait for it.
        until_s: the cut, Unix seconds.
    """

    log: TrainingLog
    shown: ImpressionLog
    outcomes: Outcomes
    windows: Windows
    until_s: float

    @classmethod
    def of(
        cls, events: TrainingLog, shown: ImpressionLog, windows: Windows, until_s: float
    ) -> Self:
        """Join; what lies at or after the cut is not even looked at."""
        events = events.take(slice(0, int(np.searchsorted(events.time_s, until_s))))
        shown = shown.take(shown.time_s < until_s)
        return cls(events, shown, join(events, shown, windows), windows, until_s)

    def settled_choices(self) -> First:
        """The first choice of each answer whose window was over before the cut."""
        first = first_choices(self.log, self.shown, self.outcomes)
        settled = self.windows.settled(self.shown.time_s, self.until_s)
        first = first.take(settled[first.answer])
        check_labels(self.shown.time_s[first.answer], self.windows.longest_s, self.until_s)
        return first

    def chosen(self) -> NDArray[np.bool_]:
        """Which of the shown places were visited for having been shown, first or later; bool[r]."""
        found = np.zeros(len(self.shown.place), bool)
        found[self.outcomes.row[self.log.kind[self.outcomes.event] != CLICK]] = True
        return found

    def facts(self) -> dict[str, int]:
        """How many answers there are, and what became of them."""
        settled = self.windows.settled(self.shown.time_s, self.until_s)
        clicked = self.log.kind[self.outcomes.event] == CLICK
        answer = self.shown.answer[self.outcomes.row]
        return {
            "answers": len(self.shown),
            "waiting_for_their_window": int((~settled).sum()),
            "clicked": len(np.unique(answer[clicked])),
            "visited": len(np.unique(answer[~clicked])),
            "outcomes_of_unknown_answers": self.outcomes.unknown,
        }


@dataclass(frozen=True)
class Lessons:
    """Choices among what was shown, ascending by what their moments know.

    Attributes:
        served: where what the ranker saw is read.
        events: the log up to the cut, sorted by time.
        catalogue: all places.
        stale_s: weather older than this is unknown, seconds.
        answers: c of them.
        chosen: int64[c], which of their k places was chosen.
        later: bool[k], visited as well, but not first.
        moments: of the answers, with what was chosen; [c].
        facts: how many answers there were, and what became of them, for the model card; what was
            read as logged is counted while the sets are made.
    """

    served: ServedAnswers
    events: TrainingLog
    catalogue: Catalogue
    stale_s: float
    answers: ImpressionLog
    chosen: Index
    later: NDArray[np.bool_]
    moments: Moments
    facts: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.answers)

    def take(self, at: Index) -> Self:
        """Some of them."""
        answers, rows = self.answers.take(at), self.answers.rows_of(at)
        chosen = answers.first[:-1] + self.chosen[at] - self.answers.first[at]
        its_own = (answers, chosen, self.later[rows], self.moments.take(at))
        world = (self.served, self.events, self.catalogue, self.stale_s)
        return type(self)(*world, *its_own, self.facts)

    def blocks(self) -> Iterator[Self]:
        """All of them, some at a time."""
        for start in range(0, len(self), AT_ONCE):
            yield self.take(np.arange(start, min(start + AT_ONCE, len(self))))

    @property
    def table(self) -> Table:
        """Their places in columns."""
        return Table.of(self.answers, self.chosen, self.later, self.catalogue)

    def sets(self) -> Iterator[ChoiceSets]:
        """Their choice sets, some at a time."""
        replay = Replay(self.events, self.moments.user)
        for some in self.blocks():
            yield some.block(replay)
        log.info("learned_from_answers", **self.facts)

    def block(self, replay: Replay) -> ChoiceSets:
        """Their choice sets, all at once.

        Args:
            replay: of the events; has not gone beyond the first moment.
        """
        table, logged = self.table, self.served.as_logged(self.answers)
        features, told = table.spread(logged.features, 0.0), table.spread(logged.parts, np.nan)
        of = self.answers.answer
        new, silent = (_lost(values, of) for values in (logged.features, logged.parts))
        crowd = np.zeros((len(self), SET, len(CROWD)), np.uint8)
        users = USER.empty(len(self))
        lost, width = np.union1d(new, silent), table.width
        if len(lost):
            looks = self._look(replay, lost, table.places[lost, :width])
            crowd[lost, :width], users[lost] = looks.crowd, looks.users
            features[new] = 0.0
            features[new, :width] = looks.features[np.isin(lost, new)]
            told[silent] = np.nan
        for what, gone in (("features", new), ("parts", silent)):
            self.facts[f"{what}_as_logged"] += len(self) - len(gone)
            self.facts[f"{what}_recomputed"] += len(gone)
        return ChoiceSets(
            places=table.places.astype(np.int32),
            log_expected=table.log_expected,
            features=half(features),
            crowd=crowd,
            users=users,
            moments=self.moments,
            told=told.astype(np.float16),
        )

    def _look(self, replay: Replay, lost: Index, places: Index) -> Looks:
        moments = self.moments.take(lost)
        at = situations(self.served.context, self.catalogue, moments, stale_s=self.stale_s)
        return look(replay, self.catalogue, moments, places, pick(at, np.arange(len(lost))))


def lessons(
    served: ServedAnswers,
    events: TrainingLog,
    catalogue: Catalogue,
    settings: Settings,
    until_s: float,
) -> Lessons:
    """The choices among what was shown whose answers were settled before a cut.

    Args:
        served: the archive's answers.
        events: sorted by time.
        catalogue: all places.
        settings: windows, how much to take, and the seed.
        until_s: nothing at or after this is looked at, Unix seconds.

    Raises:
        Leak: a label was not known then.
    """
    rng = np.random.default_rng([settings.seed, _STREAM])
    joined = Joined.of(events, served.log, Windows.of(settings), until_s)
    first = joined.settled_choices()
    first = first.take(_drawn(len(first), settings.train_max_impressions, rng))
    found = _chosen(joined, first, served, catalogue, settings.context_stale_s)
    teaches = [some.table.teaches for some in found.blocks()]
    found = found.take(np.flatnonzero(np.concatenate([*teaches, np.zeros(0, bool)])))
    counted = (f"{w}_{how}" for w in ("features", "parts") for how in ("as_logged", "recomputed"))
    found.facts.update(joined.facts(), choice_sets=len(found), **dict.fromkeys(counted, 0))
    return found


def _chosen(
    joined: Joined, first: First, served: ServedAnswers, catalogue: Catalogue, stale_s: float
) -> Lessons:
    answers, later = joined.shown.take(first.answer), joined.chosen()
    later[first.row] = False
    rows = joined.shown.rows_of(first.answer)
    chosen = answers.first[:-1] + first.row - joined.shown.first[first.answer]
    moments = Moments(
        # A state knows what lies before the answer.
        before=np.searchsorted(joined.log.time_s, answers.time_s, side="left").astype(np.int64),
        user=answers.user,
        place=catalogue.rows_of(answers.place[chosen]),
        time_s=answers.time_s,
        known_s=joined.log.time_s[first.event],
        lat=answers.lat,
        lng=answers.lng,
    )
    world = (served, joined.log, catalogue, stale_s)
    return Lessons(*world, answers, chosen, later[rows], moments)


def _lost(values: NDArray[np.float32], of: Index) -> Index:
    """Answers of whose places something is not known."""
    return np.unique(of[np.isnan(values).any(axis=1)])


def _drawn(count: int, most: int, rng: np.random.Generator) -> Index:
    """At most so many positions, evenly drawn, ascending."""
    return np.sort(rng.permutation(count)[:most])
