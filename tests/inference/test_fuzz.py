"""Whatever bytes come in: an answer or INVALID_ARGUMENT, no word in the log, and no memory kept.

Each example of hypothesis is a message made of the proto's own descriptors, merged over a valid
one half of the time, and `MUTANTS` inputs are made of its bytes.
"""

import asyncio
import gc
import random
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
import grpc.aio
import psutil
import pytest
from google.protobuf.message import Message
from google.rpc import status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from tests.fuzzing.messages import TOKENS, messages
from tests.fuzzing.mutations import mutants
from tests.inference.direct import METHODS, Aborted, Direct, request_class, valid
from tests.inference.fakes import FakeStore, catalogue_of, events, place

# What a busy machine holds up for a moment is no fault of the input.
SETTINGS = Settings(
    _env_file=None, redis_timeout_ms=10_000, serve_deadline_ms=60_000, serve_patience_ms=60_000
)
#: gRPC refuses what is longer before it comes to us.
LARGEST = SETTINGS.serve_max_request_bytes
TOPIC = SETTINGS.topics.interactions.name
#: What an error or a log must not repeat: where somebody is, and who.
LAT, SESSION = 40.7503217896, "session-of-somebody"
CANARIES = (b"7503217", SESSION.encode())
MUTANTS = 100
#: Examples in `make test`, and of the long run: 300,000 inputs for each of the four methods.
FEW, MANY = 20, 1_500
WORDS = ("u", "p0", "c0", "", "0", TOPIC, "uptown", "1" * 19, "a\nb", "\u202e", "0-17", "AAAA")
#: The details of an error travel in HTTP/2 trailers, of which a client takes so much.
TRAILERS_BYTES = 8 * 1_024
#: A leak of 200 bytes an input would be twice as much over the last three turns.
GROWTH_BYTES = 200 * MANY // 4 * 3 * MUTANTS // 2


def fresh() -> Direct:
    """The whole service but gRPC, with some places and a user of whom something is known."""
    places = [
        place(f"p{i}", 300.0 * i, category=f"c{i}", region="uptown", price_level=1 + i % 4)
        for i in range(1, 9)
    ]
    store = FakeStore(events(("u", "p1", "visit", 86_400.0), ("u", "p2", "view", 30.0)))
    # Past every position that can be named: on a clock that stands still, a wait has no end.
    store.folded = lambda now_s: 2**63
    return Direct(SETTINGS, catalogue_of(*places), store)


def whole(message: Message) -> Message:
    """A valid request, with one good item in each list of what else may be asked or told."""
    for field in valid(message).DESCRIPTOR.fields:
        if field.message_type is not None and "user_id" in field.message_type.fields_by_name:
            valid(getattr(message, field.name).add())
    if isinstance(message, pb.RecommendRequest):
        message.location.lat = LAT
        message.context.session_id = SESSION
    return message


def inputs(method: Any, service: Direct) -> st.SearchStrategy[bytes]:
    """Valid requests, arbitrary ones, and such merged into each other."""
    kind = request_class(method)
    bases: list[Message] = [kind(), whole(kind()), *further_pages(service, method)]

    def merged(base: Message, drawn: Message) -> bytes:
        both = kind()
        both.MergeFrom(base)
        both.MergeFrom(drawn)
        return both.SerializeToString()

    return st.builds(merged, st.sampled_from(bases), st.just(kind()) | messages(kind, WORDS))


def further_pages(service: Direct, method: Any) -> Iterator[Message]:
    """Requests with a page token and a position that are good."""
    if method.name != "Recommend":
        return
    request = pb.RecommendRequest()
    whole(request)
    request.limit = 2
    raw = request.SerializeToString()
    said = pb.RecommendResponse.FromString(asyncio.run(service.call("Recommend", raw)))
    assert said.next_page_token
    request.page_token = said.next_page_token
    request.written.add(topic=TOPIC, partition=1, offset=7)
    yield request


async def refusals(service: Direct, method: str, raw: bytes) -> list[status_pb2.Status]:
    """The errors that an input leads to: of the call, or of items in a batch."""
    try:
        answered = await service.call(method, raw)
    except Aborted as error:
        return [error.status]
    finally:
        for kept in (service.store.asked, service.models.asked, service.noted.answers):
            kept.clear()
        service.told.events.clear()
    if method != "BatchRecommend":
        return []
    results = pb.BatchRecommendResponse.FromString(answered).results
    return [result.error for result in results if result.WhichOneof("result") == "error"]


def check(status: status_pb2.Status) -> None:
    """The fault is the caller's, is named, and says nothing of anybody."""
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0], status
    assert status.details
    said = status.SerializeToString()
    assert len(said) < TRAILERS_BYTES
    assert not any(canary in said for canary in CANARIES), status


async def feed(service: Direct, method: str, raws: Iterable[bytes]) -> None:
    """Give inputs to a method; each must be answered, or refused as it should be."""
    for raw in raws:
        try:
            for status in await refusals(service, method, raw):
                check(status)
        except Exception as error:
            raise AssertionError(f"{method} with {raw!r}") from error


def fuzz(method: Any, examples: int) -> None:
    """Run so many examples through one service; then, if many, look for memory that stays."""
    service, drawn = fresh(), list[bytes]()
    with asyncio.Runner() as runner, capture_logs() as logs:

        def give(request: bytes, seed: int) -> None:
            harmed = mutants(request[:LARGEST], random.Random(seed), MUTANTS, TOKENS)
            runner.run(feed(service, method.name, (raw[:LARGEST] for raw in harmed)))
            wrong = [entry for entry in logs if entry["log_level"] != "info"]
            logs.clear()
            assert wrong == []

        @settings(max_examples=examples)
        @given(inputs(method, service), st.integers(0, 2**64))
        def run(request: bytes, seed: int) -> None:
            drawn.append(request)
            give(request, seed)

        run()
        if examples < MANY:
            return
        # Apart from hypothesis, which keeps what it has drawn.
        held = []
        for turn in range(4):
            for i, request in enumerate(drawn[: MANY // 4]):
                give(request, MANY * turn + i)
            gc.collect()
            held.append(psutil.Process().memory_info().rss)
    assert held[-1] - held[0] < GROWTH_BYTES, held


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_no_bytes_break_a_method(method: Any) -> None:
    """Some thousand inputs: no crash, no INTERNAL, nothing of a person in the error or the log."""
    fuzz(method, FEW)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_no_bytes_break_a_method_in_the_long_run(method: Any) -> None:
    """The same with fifty times as many, and the memory stays where it was."""
    fuzz(method, MANY)
