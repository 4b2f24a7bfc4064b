"""The pair on trial: whom it answers, what it is asked beside an answer, and what that may cost."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import grpc
import grpc.aio
import pytest

from contracts.experiment import CANARY, Plan
from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.answer import Answer
from inference.challenger import Challenger
from inference.pipeline import Pipeline
from inference.query import Query
from online_features.crowds import Crowds
from tests.inference.fakes import NOON_S, FakeModels, catalogue_of, place
from tests.inference.running import SETTINGS, Running, request, running_service
from tests.inference.waiting import eventually


@dataclass
class Planned:
    """A plan that a test sets."""

    plan: Plan | None = None


@dataclass
class Recorded:
    """A record kept in a list."""

    added: list[tuple[str, dict[str, float]]] = field(default_factory=list)

    async def add(self, experiment: str, sums: Mapping[str, float]) -> None:
        self.added.append((experiment, dict(sums)))


@dataclass
class Trial:
    """A running service with a challenger, version 8, beside its own pair, version 7."""

    running: Running
    plans: Planned
    models: FakeModels
    recorded: Recorded

    async def variant(self, user_id: str) -> tuple[str, int]:
        answer = await self.running.stub.Recommend(request(user_id=user_id), timeout=10)
        return answer.variant, answer.model_versions["ranker"]

    async def compared(self) -> None:
        """Until a comparison has been counted one way or another."""

        async def counted() -> bool:
            return any(self.counted(outcome) for outcome in ("compared", "failed", "skipped"))

        await eventually(counted)

    async def reached(self, outcome: str, count: int) -> None:
        """Until so many have ended so."""

        async def reached() -> bool:
            return (self.counted(outcome) or 0) >= count

        await eventually(reached)

    def counted(self, outcome: str) -> float | None:
        return self.running.sample("shadow_answers_total", outcome=outcome)


@pytest.fixture
async def trial() -> AsyncIterator[Trial]:
    plans, models, recorded = Planned(), FakeModels(version=8), Recorded()
    async with running_service() as running:
        loop = asyncio.get_running_loop()
        pipeline = Pipeline(
            SETTINGS.model_copy(update={"model_label": CANARY}),
            catalogue_of(place("p0", 100), place("p1", 200)),
            Crowds(),
            running.store,
            models,
            clock=lambda: NOON_S,
            monotonic=loop.time,
            new_seed=lambda: 1,
        )
        challenger = Challenger(
            pipeline, plans, recorded, SETTINGS, running.metrics, monotonic=loop.time
        )
        running.service.challenger = challenger
        yield Trial(running, plans, models, recorded)
        await challenger.close()


async def fails(*_: object, **__: object) -> NoReturn:
    raise ZeroDivisionError


def plan(stage: str, share: float) -> Plan:
    return Plan("pair-8", "canary" if stage == "canary" else "shadow", "salt", share, 8)


async def test_without_a_plan_one_pair_answers(trial: Trial) -> None:
    """And the other is not asked."""
    assert await trial.variant("u") == ("stable", 7)
    assert trial.models.asked == []


async def test_a_canary_is_answered_by_the_new_pair_and_nobody_else_is(trial: Trial) -> None:
    """As the plan chooses them; the impression names the variant and its versions."""
    trial.plans.plan = plan("canary", 0.5)
    for user in (f"user-{i}" for i in range(20)):
        expected = (CANARY, 8) if trial.plans.plan.takes(user) else ("stable", 7)
        assert await trial.variant(user) == expected
        _, noted = trial.running.noted.answers[-1]
        assert (noted.variant, noted.model_versions["candidates"]) == expected
    assert trial.recorded.added == []


async def test_a_broken_new_pair_costs_only_its_own_users(trial: Trial) -> None:
    """It rests after its failures; the pair in service is asked as ever."""
    trial.models.errors = {"ranker": OSError("gone"), "candidates": OSError("gone")}
    trial.plans.plan = plan("canary", 0.5)
    users = [f"user-{i}" for i in range(20)]
    for user in users:
        answer = await trial.running.stub.Recommend(request(user_id=user), timeout=10)
        level = pb.DEGRADATION_POPULARITY if trial.plans.plan.takes(user) else pb.DEGRADATION_NONE
        assert answer.degradation == level


async def test_a_shadow_is_compared_and_never_shown(trial: Trial) -> None:
    """The other order is recorded; the answer is the stable pair's."""
    trial.running.models.prefer("ranker", "p0", "p1")
    trial.models.prefer("ranker", "p1", "p0")
    trial.plans.plan = plan("shadow", 1.0)
    answer = await trial.running.stub.Recommend(request(), timeout=10)
    assert [p.place_id for p in answer.places] == ["p0", "p1"]
    assert (answer.variant, answer.model_versions["ranker"]) == ("stable", 7)
    await trial.compared()
    assert trial.counted("compared") == 1
    await asyncio.sleep(0)
    ((experiment, sums),) = trial.recorded.added
    assert experiment == "pair-8"
    # Two places that change places: each moves by one, of at most 2 * (2 + 1) = 6.
    assert (sums["compared"], sums["overlap"], sums["same_top"]) == (1, 1.0, 0.0)
    assert sums["distance"] == pytest.approx(2 / 6)
    assert len(trial.running.noted.answers) == 1


async def test_one_shadow_at_a_time(trial: Trial) -> None:
    """While one is computed, further answers leave without."""
    trial.models.delay_s = {"ranker": 0.5}
    trial.plans.plan = plan("shadow", 1.0)
    for _ in range(3):
        await trial.running.stub.Recommend(request(), timeout=10)
    await trial.reached("compared", 1)
    assert (trial.counted("skipped"), trial.counted("compared")) == (2, 1)


async def test_a_busy_service_leaves_the_shadow(trial: Trial) -> None:
    """Nothing is asked of the new pair."""
    trial.plans.plan = plan("shadow", 1.0)
    await trial.running.stub.Recommend(request(), timeout=10)
    await trial.compared()
    query, answer = trial.running.noted.answers[0]
    asked = len(trial.models.asked)
    challenger = trial.running.service.challenger
    assert challenger is not None
    challenger.beside(query, answer, busy=True)
    assert trial.counted("skipped") == 1
    assert len(trial.models.asked) == asked


async def test_an_error_of_the_new_pair_is_noted_as_its_own(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was shown, and still whoever judges the canary must hear of it."""
    challenger = trial.running.service.challenger
    assert challenger is not None
    monkeypatch.setattr(challenger.pipeline, "recommend", fails)
    trial.plans.plan = plan("canary", 0.5)
    users = [f"user-{i}" for i in range(20)]
    canary = [user for user in users if trial.plans.plan.takes(user)]
    for user in users:
        asked = trial.running.stub.Recommend(request(user_id=user), timeout=10)
        if user not in canary:
            await asked
            continue
        with pytest.raises(grpc.aio.AioRpcError, match="INTERNAL"):
            await asked
    assert trial.running.noted.failures == [(user, CANARY) for user in canary]


@pytest.mark.parametrize("how", ["broken", "another version", "a bug"])
async def test_a_shadow_that_is_not_the_new_pair_counts_as_failed(
    trial: Trial, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that fails, a label that points elsewhere, or an answer that its pipeline falls over:
    no comparison of it, and the experiment's record has it."""
    if how == "a bug":
        challenger = trial.running.service.challenger
        assert challenger is not None
        monkeypatch.setattr(challenger.pipeline, "recommend", fails)
    elif how == "broken":
        trial.models.errors = {"ranker": OSError("gone")}
    else:
        trial.models.version = 7
    trial.plans.plan = plan("shadow", 1.0)
    await trial.running.stub.Recommend(request(), timeout=10)
    await trial.compared()
    await asyncio.sleep(0)
    assert trial.counted("failed") == 1
    assert trial.recorded.added == [("pair-8", {"failed": 1})]


async def test_a_share_of_the_answers_is_computed_twice(trial: Trial) -> None:
    """By request, as the plan chooses them."""
    trial.plans.plan = plan("shadow", 0.5)
    expected = 0
    for i in range(20):
        await trial.running.stub.Recommend(request(request_id=f"r{i}"), timeout=10)
        expected += trial.plans.plan.takes(f"r{i}")
        await trial.reached("compared", expected)
    assert 0 < expected < 20
    assert trial.counted("compared") == expected


async def test_nobody_reads_the_reasons_of_an_unseen_answer(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would cost the ranker on trial a second call."""
    explained = []
    recommend = Pipeline.recommend

    async def noted(pipeline: Pipeline, query: Query, *args: object, **named: object) -> Answer:
        explained.append(query.explain)
        return await recommend(pipeline, query, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Pipeline, "recommend", noted)
    trial.plans.plan = plan("shadow", 1.0)
    await trial.running.stub.Recommend(request(explain=True))
    await trial.compared()
    assert explained == [True, False]
