"""Pages of an answer: no place twice, none left out, and tokens that are refused with a reason."""

import time
from collections.abc import Callable
from dataclasses import replace

import grpc
import grpc.aio
import numpy as np
import pytest
import redis

from contracts.ids import id64
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from inference.answer import Answer, following
from inference.paging import LIFE_S, MOST_PLACES, BadToken, Page, PageTokens
from tests.inference.asking import QUERY, SETTINGS, ask, ids
from tests.inference.fakes import LAT, LNG, NOON_S, FakeModels, place
from tests.inference.installation import Client, store_events

PLACES = [place(f"p{i:02}", 100.0 * (i + 1), category=f"c{i % 3}") for i in range(23)]
IDS = {p.place_id for p in PLACES}
PAGE = Page(2, 2**63 - 1, (id64("p"), id64("q")))


def request(token: str = "", **fields: object) -> pb.RecommendRequest:
    wanted: dict[str, object] = {"user_id": "u", "location": pb.LatLng(lat=LAT, lng=LNG)}
    return pb.RecommendRequest(**(wanted | fields), page_token=token)  # type: ignore[arg-type]


def tokens(now_s: float = NOON_S, installation: str = "mine") -> PageTokens:
    return PageTokens(installation, lambda: now_s)


def test_a_token_brings_its_page_back() -> None:
    """Also with other values of what may differ between pages."""
    token = tokens().write(PAGE, request(limit=3))
    assert tokens().read(request(token, limit=7, explain=True, request_id="r")) == PAGE
    assert token.isascii()
    assert "=" not in token


#: As anybody can make it who knows how: all in order, but for a page that no answer leads to.
FORGED = tokens().write(Page(MOST_PLACES + 1, 1, ()), request())


@pytest.mark.parametrize(
    ("reason", "read"),
    [
        ("EXPIRED_TOKEN", lambda token: tokens(NOON_S + LIFE_S + 1).read(request(token))),
        ("FOREIGN_TOKEN", lambda token: tokens().read(request(token, radius_m=9.0))),
        ("FOREIGN_TOKEN", lambda token: tokens().read(request(token, user_id="v"))),
        ("FOREIGN_TOKEN", lambda token: tokens(installation="other").read(request(token))),
        ("BAD_TOKEN", lambda token: tokens().read(request(token[:-4]))),
        ("BAD_TOKEN", lambda token: tokens().read(request("z" + token[1:]))),
        ("BAD_TOKEN", lambda _: tokens().read(request("not a token"))),
        ("BAD_TOKEN", lambda _: tokens().read(request("ü"))),
        ("BAD_TOKEN", lambda _: tokens().read(request("AAAA"))),
        ("BAD_TOKEN", lambda _: tokens().read(request(FORGED))),
    ],
)
def test_what_cannot_be_used_is_refused(reason: str, read: Callable[[str], Page]) -> None:
    """Too old, of another request or installation, damaged, or no token at all."""
    with pytest.raises(BadToken) as caught:
        read(tokens().write(PAGE, request()))
    assert caught.value.reason == reason


def test_a_token_lives_to_its_last_second_and_paging_ends_somewhere() -> None:
    """The bound is a bound, and after a thousand places there is no next page."""
    token = tokens().write(PAGE, request())
    assert tokens(NOON_S + LIFE_S).read(request(token)) == PAGE
    assert tokens().write(Page(9, 1, tuple(range(MOST_PLACES - 1))), request())
    assert tokens().write(Page(9, 1, tuple(range(MOST_PLACES))), request()) == ""


def paged(limits: list[int], move: Callable[[int], FakeModels], **wanted: object) -> list[Answer]:
    """Pages of these lengths; `move` gives the models of each."""
    query, answers = replace(QUERY, **wanted), []  # type: ignore[arg-type]
    settings = SETTINGS.model_copy(update={"candidates": 8})
    for number, limit in enumerate(limits):
        query = replace(query, limit=limit)
        answers.append(ask(places=PLACES, models=move(number), query=query, settings=settings))
        query = replace(query, page=following(query, answers[-1]))
    return answers


def moving(number: int) -> FakeModels:
    """Models that like the places in another order on every page."""
    models = FakeModels()
    order = np.random.default_rng(number).permutation(sorted(IDS)).tolist()
    models.prefer("candidates", *order)
    models.prefer("ranker", *reversed(order))
    return models


@pytest.mark.parametrize("explore", [0, 2])
def test_no_repeats_and_no_gaps_while_scores_move(explore: int) -> None:
    """Far beyond what one request's candidates hold, each place comes once; the end says so."""
    limits = [5, 5, 3, 5, 5, 5]
    answers = paged(limits, moving, explore_slots=explore)
    shown = [place_id for answer in answers for place_id in ids(answer)]
    assert len(shown) == len(set(shown))
    assert set(shown) == IDS
    assert [len(a.places) for a in answers] == [5, 5, 3, 5, 5, 0]
    assert [a.shortfall for a in answers[:5]] == [pb.SHORTFALL_UNSPECIFIED] * 5
    assert answers[5].shortfall == pb.SHORTFALL_ALL_SHOWN
    assert not answers[5].more


def test_the_last_full_page_says_when_there_is_no_other() -> None:
    """Within a radius that may not widen, the end is known."""
    answers = paged([20, 3], moving, radius_m=5_000.0)
    assert [a.more for a in answers] == [True, False]


def test_pages_of_scores_that_stand_still_are_one_answer_cut_up() -> None:
    """Where nothing moves, the pages together are the ranker's order."""

    def still(_: int) -> FakeModels:
        models = FakeModels()
        models.prefer("candidates", *sorted(IDS))
        models.prefer("ranker", *sorted(IDS))
        return models

    answers = paged([4, 4, 4], still, diversity=0.0)
    assert [p for answer in answers for p in ids(answer)] == sorted(IDS)[:12]


def test_a_page_asked_for_again_is_the_same_page() -> None:
    """Its exploration draws the same; the next page draws anew, from the same seed."""
    first, *_ = paged([6], moving, explore_slots=3)
    page = following(replace(QUERY, limit=6), first)
    query = replace(QUERY, limit=6, explore_slots=3, page=page)
    again = [ask(places=PLACES, models=moving(1), query=query) for _ in range(2)]
    assert ids(again[0]) == ids(again[1])
    assert following(query, again[0]).seed == page.seed == first.seed


async def test_pages_of_the_service_itself(
    client: Client, installed: Settings, redis_client: "redis.Redis"
) -> None:
    """Five places in pages of two, while an event moves the order between the pages."""
    first = await client.recommend(limit=2)
    assert [p.place_id for p in first.places] == ["p0", "p1"]
    store_events(redis_client, installed, time.time(), ("u", "p4", "visit", 90_000.0))
    second = await client.recommend(limit=2, page_token=first.next_page_token)
    assert [p.place_id for p in second.places] == ["p4", "p2"]
    third = await client.recommend(limit=2, page_token=second.next_page_token, explain=True)
    assert [p.place_id for p in third.places] == ["p3"]
    assert third.shortfall == pb.SHORTFALL_ALL_SHOWN
    assert third.next_page_token == ""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.recommend(user_id="v", page_token=first.next_page_token)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "page_token: belongs to another request" in (caught.value.details() or "")
