"""One pipeline of the real stages, on a clock that leaps, with whatever parts a test hands in."""

import asyncio
from typing import Any

from contracts.events import PlaceDocument
from contracts.settings import Settings
from inference.answer import Answer
from inference.deadline import Budget
from inference.pipeline import Pipeline
from inference.query import Query
from online_features.crowds import Crowds
from tests.inference.fakes import LAT, LNG, NOON_S, FakeModels, FakeStore, catalogue_of, place
from tests.inference.leaping import leap, now_s

SETTINGS = Settings(_env_file=None, radius_m=5_000, candidates=20, near_places=100)
QUERY = Query("u", LAT, LNG, limit=3, request_id="r")
#: Nearest first: p0 at 500 m, p1 at 1000 m, ...
PLACES = [place(f"p{i}", 500.0 * (i + 1), name=f"Place {i}", category=f"c{i}") for i in range(5)]


def run(
    *,
    store: FakeStore | None = None,
    models: FakeModels | None = None,
    query: Query = QUERY,
    places: list[PlaceDocument] = PLACES,
    deadline_s: float = 1.0,
    settings: Settings = SETTINGS,
    times: int = 1,
    pause_s: float = 0.0,
) -> list[tuple[Answer, float]]:
    """Ask one pipeline several times; each answer with the seconds it took."""

    async def main() -> list[tuple[Answer, float]]:
        pipeline = Pipeline(
            settings,
            catalogue_of(*places),
            Crowds(),
            store or FakeStore(),
            models or FakeModels(),
            clock=lambda: NOON_S,
            monotonic=now_s,
            new_seed=iter(range(times)).__next__,
        )
        answers = []
        for _ in range(times):
            started_s = now_s()
            answer = await pipeline.recommend(query, Budget.of(deadline_s, 1.0, now_s))
            answers.append((answer, now_s() - started_s))
            await asyncio.sleep(pause_s)
        return answers

    return leap(main())


def ask(**asked: Any) -> Answer:
    return run(**asked)[0][0]


def ids(answer: Answer) -> list[str]:
    return [p.place_id for p in answer.places]
