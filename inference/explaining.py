"""Why the places of an answer are in it: what holds of them, and what the ranker leaned on.

Only for callers that ask. The ranker is asked once more, for all places and reasons in one call,
what a place would score without what a reason speaks of (`inference.leaning`). It never costs an
answer: where the call is not worth its time, or fails, all reasons that hold are given, as they
are where no ranker answers.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.candidates import Chosen
from inference.course import Ask
from inference.deadline import Part, PartFailed
from inference.leaning import LEAST_PLACES, LEAST_RATIO, Inputs, leaned_on
from inference.person import Person
from inference.ranking import MODEL, RankingStage
from inference.reason_groups import GROUPS, Group
from inference.reasons import MOST_REASONS, Evidence, Reason, explored, holding, strongest
from inference.selection import Ordered
from online_features.catalogue import Catalogue

#: Most of the remaining time that the call may take: reasons are not worth an answer.
SHARE = 0.5
#: With less than this the ranker is not asked; its call alone takes some milliseconds.
LEAST_S = 0.010


class Explaining:
    """Finds the reasons of an answer's places.

    Args:
        catalogue: of the places.
        ranking: the stage that ordered them.
        part: the ranker, as far as reasons go: that these are late must not put the stage to rest.
        most_copies: places that are scored in the call at the most. Those of an answer that do not
            fit in keep all reasons that hold.
    """

    def __init__(
        self, catalogue: Catalogue, ranking: RankingStage, part: Part, *, most_copies: int
    ) -> None:
        self._catalogue = catalogue
        self._ranking = ranking
        self._part = part
        self._most_copies = most_copies

    async def why(self, ask: Ask, ordered: Ordered, person: Person) -> list[tuple[Reason, ...]]:
        """Reasons of each selected place, strongest first, at most four each."""
        at, chosen = ordered.selection.at, ordered.chosen
        features, rows, distance_m = (
            ordered.seen.features[at],
            chosen.rows[at],
            chosen.distance_m[at],
        )
        evidence = Evidence(features, rows, distance_m, ask.course.level, ask.now_s)
        held = holding(evidence, person, self._catalogue)
        if len(at):
            ask.course.reasons_by = pb.REASONS_BY_FEATURES
        judged = _as_fit(held, self._most_copies)
        copies = [
            (place, GROUPS[reason.code])
            for place, reasons in zip(at.tolist(), held[:judged], strict=False)
            for reason in reasons
        ]
        if copies and _worth_asking(ask, chosen):
            falls = await self._falls(ask, ordered, copies)
            if falls is not None:
                ask.course.reasons_by = pb.REASONS_BY_MODEL
                least = LEAST_RATIO * float(ordered.ranked.scores.std())
                held = [leaned_on(it, falls, least) for it in held[:judged]] + held[judged:]
        return _with_explored([strongest(reasons) for reasons in held], ordered)

    async def _falls(
        self, ask: Ask, ordered: Ordered, copies: Sequence[tuple[int, Group]]
    ) -> Iterator[float] | None:
        """By how much the score of a place falls without a group, copy by copy; None: unknown."""
        chosen, ranked = ordered.chosen, ordered.ranked
        places = np.array([place for place, _ in copies], np.int64)
        whole = Inputs(ordered.seen.features, chosen.parts)
        without = whole.occluded(copies, whole.usual())
        try:
            said = await self._part.call(
                lambda timeout_s: self._ranking.predict(
                    ask, chosen.rows[places], without.features, without.parts, timeout_s
                ),
                ask.budget.share_s(SHARE),
            )
        except PartFailed:
            return None
        if said.version != ask.course.model_versions[MODEL]:
            return None  # another version knows nothing of what this one leaned on
        falls: list[float] = (ranked.scores[places] - said.outputs["score"]).tolist()
        return iter(falls)


def _as_fit(held: Sequence[Sequence[Reason]], most: int) -> int:
    """How many places, from the first one on, have together no more reasons than that."""
    return sum(end <= most for end in accumulate(map(len, held)))


def _worth_asking(ask: Ask, chosen: Chosen) -> bool:
    """Whether all stages stood behind the order, there is something to compare, and time."""
    return (
        ask.course.level == pb.DEGRADATION_NONE
        and ask.share >= 1.0
        and len(chosen.rows) >= LEAST_PLACES
        and ask.budget.share_s(SHARE) >= LEAST_S
    )


def _with_explored(why: list[tuple[Reason, ...]], ordered: Ordered) -> list[tuple[Reason, ...]]:
    """Say first of the places that a slot explores that it does."""
    selection, tries = ordered.selection, ordered.seen.tries
    if tries is None or not selection.explored:
        return why
    first = len(why) - selection.explored
    views = tries.at(selection.at[first:]).views.tolist()
    found = ((explored(n), *held) for n, held in zip(views, why[first:], strict=True))
    return why[:first] + [held[:MOST_REASONS] for held in found]
