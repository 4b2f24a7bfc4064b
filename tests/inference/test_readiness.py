"""What a service waits for before it says that it serves."""

import asyncio
from collections.abc import Callable

import grpc
from structlog.testing import capture_logs

from contracts.settings import Settings
from inference.model_client import ModelUnavailable
from inference.pipeline import Pipeline
from inference.readiness import (
    NAMED_EVERY,
    RETRY_S,
    WARM_UP_ANSWERS,
    Missing,
    wait_for,
    wait_for_answers,
)
from online_features.catalogue import Catalogue
from online_features.crowds import Crowds
from tests.inference.fakes import NOON_S, FakeModels, FakeStore, catalogue_of, place
from tests.inference.leaping import leap, now_s


def test_a_missing_part_is_named_until_it_answers() -> None:
    """At once, then every few seconds, then once more when it is there."""
    tries = 2 * NAMED_EVERY

    async def main() -> float:
        async def check() -> None:
            if now_s() - started_s < tries * RETRY_S - 1e-6:
                raise Missing("nobody listens")

        started_s = now_s()
        await wait_for("Redis", "somewhere:6379", check)
        return now_s() - started_s

    with capture_logs() as logs:
        took_s = leap(main())
    assert round(took_s / RETRY_S) == tries
    named = [line for line in logs if line["event"] == "waiting_for"]
    assert len(named) == tries / NAMED_EVERY
    assert {(line["part"], line["address"], line["cause"]) for line in named} == {
        ("Redis", "somewhere:6379", "nobody listens")
    }
    assert logs[-1]["event"] == "part_answers"


def warmed_up(catalogue: Catalogue, models: FakeModels, mend: Callable[[], None]) -> list[str]:
    """Causes that were named while waiting; `mend` runs after a few seconds."""

    async def main() -> None:
        settings = Settings(_env_file=None)
        pipeline = Pipeline(
            settings,
            catalogue,
            Crowds(),
            FakeStore(),
            models,
            clock=lambda: NOON_S,
            monotonic=now_s,
            new_seed=lambda: 0,
        )
        asyncio.get_running_loop().call_later(3.2, mend)
        await wait_for_answers(pipeline, catalogue, now_s)
        assert now_s() >= 1_003.2

    with capture_logs() as logs:
        leap(main())
    return [line["cause"] for line in logs if line["event"] == "waiting_for"]


def test_an_empty_catalogue_is_not_ready() -> None:
    """A service that knows no place has nothing to recommend."""
    catalogue, models = Catalogue(), FakeModels()
    causes = warmed_up(catalogue, models, lambda: catalogue.upsert(place("p")))
    assert causes == ["the catalogue holds no place yet"]


def test_places_that_cannot_be_shown_are_not_enough() -> None:
    """Closed for good, or with no position."""
    catalogue = catalogue_of(place("closed"), place("p", -100))
    catalogue.close("closed")
    catalogue.close("p")
    causes = warmed_up(catalogue, FakeModels(), lambda: catalogue.upsert(place("p")))
    assert causes == ["the catalogue holds no place yet"]


def test_degraded_answers_are_not_ready() -> None:
    """Every stage has to stand behind a number of answers."""
    gone = ModelUnavailable("ranker", grpc.StatusCode.UNAVAILABLE, "nobody listens")
    models = FakeModels(errors={"ranker": gone})
    (cause,) = warmed_up(catalogue_of(place("p")), models, models.errors.clear)
    assert cause.startswith("the ranker failed")
    asked = [model for model, *_ in models.asked]
    assert asked[-2 * WARM_UP_ANSWERS :] == ["candidates", "ranker"] * WARM_UP_ANSWERS
