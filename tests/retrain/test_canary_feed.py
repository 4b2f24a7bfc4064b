"""Evidence from a real Kafka: whose answers count, what came of them, and reading it again."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Producer

from contracts.events import FAILED, Impression, Interaction, Location, ServedPlace, encode
from contracts.experiment import CANARY, Plan
from contracts.kafka import producer_config
from contracts.settings import Settings
from contracts.topics import Topics
from retrain.canary_feed import CanaryFeed
from retrain.evidence import DEGRADED, LOAD, SLOW, SUCCESS, Evidence

PLAN = Plan("pair-2", "canary", "salt", 0.5, 2)
NAMES = [f"u{i}" for i in range(20)]
TREATED, CONTROL = [u for u in NAMES if PLAN.takes(u)], [u for u in NAMES if not PLAN.takes(u)]
#: Long enough ago that every window is over.
BEGAN = datetime.now(UTC) - timedelta(hours=3)


def shown(user: str, minute: int, **other: object) -> Impression:
    """An answer to a user of the variant that is meant for them."""
    variant, version = (CANARY, 2) if PLAN.takes(user) else ("stable", 1)
    fields: dict[str, object] = {
        "request_id": f"{user}-{minute}",
        "user_id": user,
        "timestamp": BEGAN + timedelta(minutes=minute),
        "location": Location(0.0, 0.0),
        "variant": variant,
        "degradation": "none",
        "models": {"candidates": version, "ranker": version},
        "feature_set": "f",
        "places": [ServedPlace("p", 0, 1.0), ServedPlace("q", 1, 0.5)],
        "took_ms": 20.0,
        "models_ms": 8.0,
    }
    return Impression(**(fields | other))  # type: ignore[arg-type]


def clicked(user: str, minute: int, place: str = "p") -> Interaction:
    return Interaction(user, place, "click", BEGAN + timedelta(minutes=minute))


def send(settings: Settings, *events: Impression | Interaction) -> None:
    producer = Producer(producer_config(settings))
    for event in events:
        impression = isinstance(event, Impression)
        topic = settings.topics.impressions if impression else settings.topics.interactions
        producer.produce(topic.name, encode(event), str(event.user_id))
    assert producer.flush(30) == 0


def read(settings: Settings) -> Evidence:
    evidence = Evidence(PLAN, 1, "stable", BEGAN.timestamp(), 50.0)
    feed = CanaryFeed(settings, evidence, time.time() - 600)
    try:
        deadline = time.monotonic() + 60
        while not feed.read():
            assert time.monotonic() < deadline
    finally:
        feed.close()
    return evidence


@pytest.mark.usefixtures("topics")
def test_users_and_what_they_did_are_summed_alike_by_every_reader(settings: Settings) -> None:
    """Two users of each variant: answers, a click, slow and broken answers; then once more."""
    a, b, c, d = *TREATED[:2], *CONTROL[:2]
    send(
        settings,
        *(shown(user, minute) for user in (a, c) for minute in (1, 2)),
        shown(b, 1, took_ms=51.0, models_ms=30.0),
        shown(b, 2, degradation=FAILED, models={}, places=[], took_ms=None, models_ms=None),
        shown(d, 1, degradation="popularity", models={}),
        clicked(a, 3),
        clicked(c, 3, "elsewhere"),
        # Event time goes on, so that all of the above is settled.
        clicked("nobody", 150),
    )
    for evidence in (read(settings), read(settings)):
        assert evidence.users == (2, 2)
        treated, control = evidence.treated.users, evidence.control.users
        # The click is that of the newest answer that showed the place.
        assert treated[SUCCESS] == {a: (2.0, 1.0), b: (1.0, 0.0)}
        assert control[SUCCESS] == {c: (2.0, 0.0), d: (1.0, 0.0)}
        assert (treated[SLOW][b], control[DEGRADED][d]) == ((1.0, 1.0), (1.0, 1.0))
        # An error was shown to nobody, and is the variant's all the same.
        assert treated[DEGRADED] == {a: (2.0, 0.0), b: (2.0, 1.0)}
        assert evidence.treated.arms[LOAD].y == 8.0 + 8.0 + 30.0
        assert evidence.treated.arms[SUCCESS].rate == pytest.approx(1 / 3)
        assert evidence.strays == 0


@pytest.mark.usefixtures("topics")
def test_a_look_ends_although_answers_never_do(settings: Settings) -> None:
    """A hundred a second come all the time: a look takes in those that had come when it began."""
    producer, done = Producer(producer_config(settings) | {"linger.ms": 0}), threading.Event()
    sent = 0

    def keep_sending() -> None:
        nonlocal sent
        while not done.wait(0.005):
            answer = shown(CONTROL[0], 1, request_id=f"answer-{sent}")
            producer.produce(settings.topics.impressions.name, encode(answer), CONTROL[0])
            producer.poll(0)
            sent += 1

    # Kafka names the leaders of new partitions a moment later; who sends waits for them.
    send(settings, shown(CONTROL[0], 1, request_id="first"), clicked(CONTROL[0], 2))
    sending = threading.Thread(target=keep_sending)
    evidence = Evidence(PLAN, 1, "stable", BEGAN.timestamp(), 50.0)
    feed = CanaryFeed(settings, evidence, time.time() - 600)
    sending.start()
    try:
        # So many would take minutes to come.
        assert feed.read(most=100_000)
        first = evidence.control.users[DEGRADED].get(CONTROL[0], (0.0, 0.0))[0]
        while sent < first + 100:
            time.sleep(0.01)
        assert feed.read(most=100_000)
        assert evidence.control.users[DEGRADED][CONTROL[0]][0] > first
    finally:
        done.set()
        sending.join()
        producer.flush(30)
        feed.close()


@pytest.mark.usefixtures("topics")
def test_strays_are_counted_and_not_used(settings: Settings, topics: Topics) -> None:
    """Another variant than the plan's, another version, before the canary, or not to be read."""
    a, c = TREATED[0], CONTROL[0]
    send(
        settings,
        shown(a, 1, variant="stable", models={"ranker": 1}),
        shown(c, 1, variant=CANARY, models={"ranker": 2}),
        shown(a, 2, models={"ranker": 1}),
        shown(a, -5),
        shown(a, 4),
    )
    producer = Producer(producer_config(settings))
    producer.produce(topics.impressions.name, b"{", "x")
    assert producer.flush(30) == 0
    evidence = read(settings)
    assert evidence.strays == 3
    assert evidence.users == (0, 1)
    assert evidence.treated.users[DEGRADED] == {a: (1.0, 0.0)}
