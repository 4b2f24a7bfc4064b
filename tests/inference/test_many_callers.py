"""Many callers at once, some parts slow or hung: who is refused, and who gets what.

The real service, stages and admission on a clock that leaps, so that minutes of load are exact.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from inference.lookup import FeatureLookup
from inference.metrics import Metrics
from inference.pipeline import Pipeline
from inference.service import RecommendationService
from online_features.crowds import Crowds
from tests.inference.asking import PLACES
from tests.inference.direct import Aborted, Context
from tests.inference.fakes import LAT, LNG, NOON_S, FakeModels, FakeStore, catalogue_of
from tests.inference.leaping import leap, now_s
from tests.inference.running import Noted, Told

SETTINGS = Settings(_env_file=None)
#: So long a call to a healthy model takes.
FINE = {"candidates": 0.003, "ranker": 0.003}
HUNG = {"candidates": 3_600.0, "ranker": 3_600.0}


class Caller(Context):
    """Waits for so many seconds."""

    def __init__(self, deadline_s: float) -> None:
        self._ends_s = now_s() + deadline_s

    def time_remaining(self) -> float:
        return max(0.0, self._ends_s - now_s())


@dataclass
class Load:
    """Callers, one after the other, who do not wait for each other's answers.

    Attributes:
        rate: of them a second.
        deadline_s: of each.
        written: whether they name an event that the stream has not folded.
        said: what came of each, by the second in which it began.
    """

    rate: float
    deadline_s: float
    written: bool = False
    said: dict[int, Counter[str]] = field(default_factory=dict)

    async def run(self, service: RecommendationService, seconds: float) -> None:
        """Call, and wait for the last answer."""
        began_s, calls = now_s(), []
        while now_s() < began_s + seconds:
            calls.append(asyncio.create_task(self._call(service, int(now_s() - began_s))))
            await asyncio.sleep(1 / self.rate)
        await asyncio.gather(*calls)

    async def _call(self, service: RecommendationService, second: int) -> None:
        request = pb.RecommendRequest(user_id="u", location=pb.LatLng(lat=LAT, lng=LNG), limit=3)
        if self.written:
            request.written.add(topic=SETTINGS.topics.interactions.name, partition=0, offset=41)
        try:
            context: Any = Caller(self.deadline_s)
            answer = await service.recommend(request, context)
            said = "busy" if "busy" in answer.degradation_cause else "answered"
        except Aborted as error:
            full = error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            said = "refused" if full else str(error)
        self.said.setdefault(second, Counter())[said] += 1

    def after(self, second: int) -> Counter[str]:
        """What came of those who began after so many seconds."""
        return sum((said for at, said in self.said.items() if at >= second), Counter[str]())


def load(store: FakeStore, models: FakeModels, *loads: Load, seconds: float = 2.0) -> None:
    """Have callers at one service at the same time."""

    async def main() -> None:
        clocks: dict[str, Any] = {"clock": lambda: NOON_S, "monotonic": now_s}
        places = catalogue_of(*PLACES)
        pipeline = Pipeline(SETTINGS, places, Crowds(), store, models, **clocks, new_seed=lambda: 1)
        service = RecommendationService(
            SETTINGS,
            pipeline,
            FeatureLookup(SETTINGS, store, **clocks),
            Noted(),
            Told(),
            Metrics(),
            **clocks,
            new_id=lambda: "made",
        )
        service.catalogue_loaded = True
        await asyncio.gather(*(one.run(service, seconds) for one in loads))

    leap(main())


def test_who_waits_for_a_stream_that_stands_is_in_nobodys_way() -> None:
    """Fifty a second wait for half a second each: twenty-five at a time, and the machine idle."""
    waiting, others = Load(50, 1.0, written=True), Load(50, 0.2)
    load(FakeStore(delay_s=0.001, folded=lambda _: 0), FakeModels(delay_s=FINE), waiting, others)
    assert set(others.after(0)) == {"answered"}
    assert set(waiting.after(0)) == {"answered"}


def test_a_patient_caller_waits_no_longer_than_the_service() -> None:
    """One with half an hour's deadline, and an event that never comes."""
    store = FakeStore(folded=lambda _: 0)
    load(store, FakeModels(delay_s=FINE), Load(1, 1_800.0, written=True), seconds=0.5)
    looks = sum(asked[0] == "user" for asked in store.asked)
    assert looks <= SETTINGS.serve_patience_ms / 50 + 10


def test_hung_models_cost_callers_in_a_hurry_their_place_in_line_only_at_first() -> None:
    """Their shares are too short to blame a part; one that answers nobody rests all the same.

    Each request would else take its 35 ms for ever, 200 a second would be seven at a time, and
    admission, which cannot know that they only wait, would turn the eighth away.
    """
    for models in (HUNG, FINE | {"ranker": 3_600.0}):
        hurried = Load(200, 0.05)
        load(FakeStore(delay_s=0.001), FakeModels(delay_s=models), hurried)
        assert hurried.after(1)["refused"] == 0
        assert hurried.after(1)["answered"] > 150
