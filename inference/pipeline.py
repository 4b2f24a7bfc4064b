"""The five stages of an answer: near, candidates, features, ranking, post-processing.

Each stage works on whole columns; places are handled one by one only where they are answered.
A stage whose part is slow or gone is stood in for by the step below it (DESIGN.md, D6).
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from inference.answer import Answer, AnsweredPlace
from inference.candidates import CandidateStage, Chosen
from inference.course import OWN_WRITES, REASONS, Ask, Course
from inference.deadline import Budget, Clock, Part
from inference.explaining import Explaining
from inference.features import FeatureStage, Seen
from inference.near import Nearby, NearStage
from inference.person import Person
from inference.place_vectors import PlaceVectors
from inference.ports import Models, Store
from inference.post_processing import Logged, finish
from inference.query import Query
from inference.ranking import Ranked, RankingStage
from inference.reasons import Reason
from inference.selection import Ordered, select
from online_features.catalogue import Catalogue
from online_features.crowds import Crowds
from online_features.pair_columns import Sides

#: On a small machine a model may take some tens of milliseconds. Callers in a greater hurry than
#: that must not put it to rest for the others.
MODEL_FAIR_S = 0.050
#: After so long gRPC's threads have sent what they were handed: they need the processor for it.
#: (The event loop counts whole milliseconds.)
SENDING_S = 0.001


class Pipeline:
    """Answers queries; one for the life of a service, with its parts handed in."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        crowds: Crowds,
        store: Store,
        models: Models,
        *,
        clock: Clock,
        monotonic: Clock,
        new_seed: Callable[[], int],
    ) -> None:
        """Join the parts.

        Args:
            settings: of the service.
            catalogue: all places.
            crowds: theirs, kept fresh by another.
            store: reads users, places and contexts.
            models: asks the candidate model and the ranker.
            clock: Unix seconds, for all that depends on the time of day.
            monotonic: seconds that only grow, for deadlines and stage times.
            new_seed: makes the seed of what is random in an answer, not negative.
        """
        self._settings = settings
        self._catalogue = catalogue
        self._clock = clock
        self._monotonic = monotonic
        self._new_seed = new_seed
        store_part = Part("feature store", monotonic)
        self._features = FeatureStage(settings, catalogue, store, store_part)
        patience_s = settings.serve_patience_ms / 1_000
        candidate_part = Part("candidate model", monotonic, fair_s=MODEL_FAIR_S, most_s=patience_s)
        self._candidates = CandidateStage(
            catalogue, crowds, models, candidate_part, keep=settings.candidates
        )
        ranker_part = Part("ranker", monotonic, fair_s=MODEL_FAIR_S, most_s=patience_s)
        self._ranking = RankingStage(catalogue, models, ranker_part)
        vector_part = Part("place vectors", monotonic, fair_s=MODEL_FAIR_S)
        self._vectors = PlaceVectors(catalogue, models, vector_part)
        reasons_part = Part(
            "ranker, for reasons", monotonic, fair_s=MODEL_FAIR_S, most_s=patience_s
        )
        self._explaining = Explaining(
            catalogue, self._ranking, reasons_part, most_copies=settings.candidates
        )

    async def recommend(
        self,
        query: Query,
        budget: Budget,
        share: float = 1.0,
        seed: int | None = None,
        aside: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> Answer:
        """Answer a query within a budget, with whatever parts answer in time.

        Args:
            query: what is wanted.
            budget: the time it has.
            share: of the candidates that may be looked at, see `inference.admission`.
            seed: of a first page, to draw as another answer did; None: one of its own.
            aside: around a wait that takes nothing from other requests, see there.
        """
        if query.page is not None:
            seed = query.page.seed + query.page.number
        elif seed is None:
            seed = self._new_seed()
        ask = Ask(query, self._clock(), budget, Course(self._monotonic), seed, share, aside)
        stage = ask.course.stage
        person, nearby = await self._look_around(ask)
        if not len(nearby.rows):
            return self._answer(ask, nearby, person, [], None)
        with stage("candidates"):
            chosen, side = await self._chosen(ask, nearby, person)
        with stage("features"):
            nearest = int(nearby.rows[0])
            seen = await self._features.look(ask, chosen, side, nearest, person.moment)
        with stage("ranking"):
            ranked = await self._ranked(ask, chosen, seen)
        with stage("post_processing"):
            selection = select(ask, chosen, seen, ranked, self._catalogue)
            ordered = Ordered(chosen, seen, ranked, selection)
        why = await self._why(ask, ordered, person)
        with stage("post_processing"):
            places, logged = finish(ordered, why, self._catalogue)
        return self._answer(ask, nearby, person, places, logged)

    async def _chosen(self, ask: Ask, nearby: Nearby, person: Person) -> tuple[Chosen, Sides]:
        """Second stage, and meanwhile the user's side of the third."""
        asked = asyncio.create_task(self._candidates.choose(ask, nearby, person))
        try:
            await asyncio.wait((asked,), timeout=SENDING_S)
            side = self._features.side(ask, person)
            return await asked, side
        finally:
            asked.cancel()

    async def _why(
        self, ask: Ask, ordered: Ordered, person: Person
    ) -> Sequence[tuple[Reason, ...]]:
        """Reasons of each place, if they are wanted."""
        if not ask.query.explain:
            return [()] * len(ordered.selection.at)
        with ask.course.stage(REASONS):
            return await self._explaining.why(ask, ordered, person)

    async def _ranked(self, ask: Ask, chosen: Chosen, seen: Seen) -> Ranked:
        """Fourth stage, while the vectors of the places are asked for, if they are wanted."""
        if not ask.query.diversity or not chosen.has_vectors:
            return await self._ranking.rank(ask, chosen, seen.features)
        ranked, vectors = await asyncio.gather(
            self._ranking.rank(ask, chosen, seen.features), self._vectors.of(ask, chosen.rows)
        )
        return replace(ranked, vectors=vectors)

    async def _look_around(self, ask: Ask) -> tuple[Person, Nearby]:
        """First stage, while the store is asked for the user."""
        stage = ask.course.stage
        asked = asyncio.create_task(self._features.person(ask))
        try:
            await asyncio.sleep(0)  # lets the question leave before we use the processor
            with stage("near"):
                around = NearStage(self._catalogue, self._settings, ask)
                ring = around.first()
            with stage(OWN_WRITES if ask.query.written else "features"):
                person = await asked
        finally:
            asked.cancel()
        with stage("near"):
            return person, around.finish(ring, person)

    def _answer(
        self,
        ask: Ask,
        nearby: Nearby,
        person: Person,
        places: list[AnsweredPlace],
        logged: Logged | None,
    ) -> Answer:
        course = ask.course
        age_s = None if person.latest_s is None else max(0.0, ask.now_s - person.latest_s)
        return Answer(
            places=tuple(places),
            features=None if logged is None else logged.features,
            parts=None if logged is None else logged.parts,
            level=course.level if places else course.best_level,
            causes=tuple(course.causes),
            shortfall=_shortfall(ask.query, nearby, len(places)),
            model_versions=course.model_versions,
            user_known=person.known,
            feature_age_s=age_s,
            radius_m=nearby.radius_m,
            radius_widened=nearby.widened,
            taken_out=nearby.taken_out,
            seed=ask.seed if ask.query.page is None else ask.query.page.seed,
            more=len(nearby.rows) > len(places) or (len(places) > 0 and not nearby.widest),
            answered_s=ask.now_s,
            stage_s=course.stage_s,
            read_your_writes=course.read_your_writes,
            variant=self._settings.model_label,
            reasons_by=course.reasons_by,
        )


def _shortfall(query: Query, nearby: Nearby, places: int) -> pb.Shortfall.ValueType:
    if places >= query.limit:
        return pb.SHORTFALL_UNSPECIFIED
    if query.page is not None:
        return pb.SHORTFALL_ALL_SHOWN
    return pb.SHORTFALL_FILTERED if nearby.passed_over else pb.SHORTFALL_NO_PLACES_NEAR
