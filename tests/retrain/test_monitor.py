"""The monitor on real Kafka: what is served moves its gauges, and drift asks for a training."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import confluent_kafka
import msgspec
import pytest
import redis

from contracts.events import (
    Interaction,
    RetrainRequested,
    encode,
)
from contracts.kafka import producer_config
from contracts.settings import Settings
from contracts.topics import Topics
from models.scoring import CARD
from retrain import metrics, model_config, monitor
from retrain.keys import MonitorKeys
from retrain.monitor import Monitor
from retrain.trigger_state import Triggers
from tests.retrain.conftest import Remembering
from tests.retrain.drifting import COLUMNS, LEAST, START_S, gauge, impressions, put_in_service

#: How often a monitor looks; each test waits for several looks.
LOOK_S = 0.5


class Watching:
    """A monitor in a thread, fed through Kafka."""

    def __init__(self, settings: Settings, client: redis.Redis, outbox: Remembering) -> None:
        self._settings = settings
        self.monitor = Monitor(settings, Triggers(settings, client, outbox, time.time))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.monitor.run, args=(self._stop,))
        self._thread.start()

    def send(self, topic: str, values: list[bytes], *, spread: bool = False) -> None:
        """To one partition; `spread`: to all of them."""
        producer = confluent_kafka.Producer(producer_config(self._settings))
        for i, value in enumerate(values):
            producer.produce(topic, value, key=str(i).encode() if spread else b"k")
        assert producer.flush(30) == 0
        producer.close()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        assert self.monitor.died_of is None


@pytest.fixture
def start(
    quick: Settings,
    topics: Topics,
    client: redis.Redis,
    outbox: Remembering,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[], Watching]]:
    monkeypatch.setattr(monitor, "LOOK_S", LOOK_S)
    opened: list[Watching] = []

    def begin() -> Watching:
        opened.append(Watching(quick, client, outbox))
        return opened[-1]

    yield begin
    for watching in opened:
        watching.close()


def wait_for(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def watched() -> dict[str, float | None]:
    """Which detectors have a reference, as the metric tells."""
    name = "placestream_drift_detector_watching"
    return {each: gauge(name, detector=each) for each in ("columns", "error", "target")}


def test_drift_in_what_is_served_asks_for_a_training(
    quick: Settings,
    topics: Topics,
    start: Callable[[], Watching],
    client: redis.Redis,
    outbox: Remembering,
) -> None:
    """One column shifts: its gauges show it, one request names it, others stay calm."""
    put_in_service(quick, 1)
    watching = start()
    watching.send(topics.interactions.name, [b"{}"] * 7)
    served = [encode(i) for i in impressions(1, 600, {"distance_log_km": 1.5})]
    watching.send(topics.impressions.name, [b"not an impression", *served])
    wait_for(lambda: bool(outbox.requests), "no training was asked for")
    request: RetrainRequested = outbox.requests[0]
    assert request.reason == "psi"
    assert list(request.evidence["psi"]) == ["distance_log_km"]
    assert request.evidence["version"] == 1
    assert request.evidence["samples_since_training"] == 7
    state = Triggers(quick, client, outbox, time.time).state()
    assert (state.asked_of, state.last_audit_id) == (1, request.audit_id)
    assert request.window is not None
    assert START_S <= request.window.since.timestamp() < request.window.until.timestamp()
    psi = gauge("placestream_drift_psi_ratio", feature="distance_log_km")
    assert psi is not None
    assert psi > 1
    calm = gauge("placestream_drift_psi_ratio", feature="rating")
    assert calm is not None
    assert calm < 0.1
    assert gauge("placestream_drift_mmd_ratio") == pytest.approx(request.evidence["mmd"], abs=1)
    assert request.evidence["mmd"] > request.evidence["mmd_threshold"]
    p = gauge("placestream_drift_ks_p_ratio", feature="distance_log_km")
    assert p is not None
    assert p < 1e-6
    assert gauge("placestream_samples_since_training") == 7
    assert gauge("placestream_samples_since_newest_pair") == 7
    assert gauge("placestream_model_quality_ratio", metric="auc") == 0.8


def test_a_pair_on_trial_counts_as_the_newest(
    quick: Settings, topics: Topics, start: Callable[[], Watching]
) -> None:
    """What came before its training is new to the pair in service only."""
    put_in_service(quick, 1)
    watching = start()
    watching.send(topics.interactions.name, [b"{}"] * 7)
    since = "placestream_samples_since_{}"
    wait_for(lambda: gauge(since.format("training")) == 7, "the events were not seen")
    trained_s = time.time() + 0.01  # Kafka's stamps are of milliseconds
    card = quick.models_dir / "ranker" / "2" / CARD
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"trained_at_s": trained_s}))
    (quick.models_dir / "candidates" / "2").mkdir(parents=True)
    time.sleep(0.02)
    watching.send(topics.interactions.name, [b"{}"] * 2)

    def told() -> tuple[float | None, float | None]:
        return gauge(since.format("training")), gauge(since.format("newest_pair"))

    wait_for(lambda: told() == (9, 2), "the newest pair was not seen")
    assert gauge("placestream_newest_pair_timestamp_seconds") == trained_s


def test_without_a_pair_in_service_nothing_is_unwatched(
    quick: Settings, topics: Topics, start: Callable[[], Watching]
) -> None:
    """A new installation has nothing to watch, and no alert is to say so."""
    metrics.show_watched({"columns": False, "error": False, "target": False})
    put_in_service(quick, 1)
    watching = start()
    wait_for(lambda: watching.monitor.version == 1, "version 1 was not looked at")
    model_config.write(quick, model_config.Serving())
    wait_for(lambda: watching.monitor.version is None, "the end of its service was not seen")
    wait_for(lambda: set(watched().values()) == {None}, "it is said to be unwatched")


def test_only_a_look_that_succeeds_is_told(
    quick: Settings,
    start: Callable[[], Watching],
    outbox: Remembering,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A monitor that cannot tell what is in service has not looked."""
    name = "placestream_drift_look_timestamp_seconds"
    before_s = time.time()
    start()
    wait_for(lambda: (gauge(name) or 0) > before_s, "it did not look")
    failed: list[float] = []

    def unreadable(_: Settings) -> None:
        failed.append(time.time())
        raise ValueError("no configuration")

    monkeypatch.setattr(monitor, "current", unreadable)
    wait_for(lambda: len(failed) > 2, "it did not try again")
    assert (gauge(name) or 0) < failed[0]


def test_a_new_version_brings_its_own_reference(
    quick: Settings, topics: Topics, start: Callable[[], Watching], outbox: Remembering
) -> None:
    """What was drift for version 1 is the training of version 2: its answers are calm."""
    put_in_service(quick, 1)
    watching = start()
    drifted = dict.fromkeys(COLUMNS, 2.0)
    watching.send(topics.impressions.name, [encode(i) for i in impressions(1, 400, drifted)])
    wait_for(lambda: bool(outbox.requests), "no training was asked for")
    put_in_service(quick, 2, mean=2.0)
    watching.send(topics.impressions.name, [encode(i) for i in impressions(1, 400, drifted)])

    def psi() -> float | None:
        return gauge("placestream_drift_psi_ratio", feature="rating")

    wait_for(lambda: psi() is None, "the old version's drift is still shown")
    watching.send(topics.impressions.name, [encode(i) for i in impressions(2, 400, drifted)])
    wait_for(lambda: psi() is not None, "the new version is not watched")
    calm = psi()
    assert calm is not None
    assert calm < 0.1
    assert gauge("placestream_pair_in_service") == 2


@pytest.mark.slow
def test_one_of_two_monitors_judges_all_answers_and_the_other_takes_over(
    quick: Settings, topics: Topics, start: Callable[[], Watching], outbox: Remembering
) -> None:
    """Just enough answers, over all partitions: by halves neither could judge them."""
    put_in_service(quick, 1)
    first = start()
    wait_for(lambda: first.monitor.version == 1, "nobody watches")
    second = start()
    served = [encode(i) for i in impressions(1, LEAST, {"rating": 2.0})]
    first.send(topics.impressions.name, served, spread=True)
    wait_for(lambda: bool(outbox.requests), "no training was asked for")
    assert second.monitor.version is None
    metrics.forget_drift()
    first.close()
    wait_for(lambda: second.monitor.version == 1, "nobody took over")
    answers = "placestream_drift_window_answers"
    wait_for(lambda: gauge(answers) == LEAST, "what the other had read is forgotten")
    assert len(outbox.requests) == 1


@pytest.mark.slow
def test_a_monitor_whose_lease_passed_on_steps_down(
    quick: Settings, topics: Topics, start: Callable[[], Watching], client: redis.Redis
) -> None:
    """If it only ran out, the monitor takes it anew and forgets nothing; if another has it, all."""
    put_in_service(quick, 1)
    watching = start()
    watching.send(topics.impressions.name, [encode(i) for i in impressions(1, LEAST)])
    answers = "placestream_drift_window_answers"
    wait_for(lambda: gauge(answers) == LEAST, "nobody watches")
    lease = MonitorKeys(quick.key_prefix).lease
    client.delete(lease)
    wait_for(lambda: client.exists(lease) == 1, "it was not taken again")
    assert (watching.monitor.version, gauge(answers)) == (1, LEAST)
    client.set(lease, "a twin's")
    wait_for(lambda: watching.monitor.version is None, "two watch")
    wait_for(lambda: gauge(answers) == 0, "what the twin watches is shown")
    assert client.get(lease) == b"a twin's"
    client.delete(lease)
    wait_for(lambda: gauge(answers) == LEAST, "it did not take over again")


def test_a_version_without_a_card_is_passed_over(
    quick: Settings, topics: Topics, start: Callable[[], Watching]
) -> None:
    """The monitor goes on, and watches the next version."""
    put_in_service(quick, 1)
    (quick.models_dir / "ranker" / "1" / CARD).unlink()
    watching = start()
    wait_for(lambda: watching.monitor.version == 1, "version 1 was not looked at")
    wait_for(lambda: watched() == {"columns": 0, "error": 0, "target": 0}, "no alarm was given")
    put_in_service(quick, 2)
    wait_for(lambda: watching.monitor.version == 2, "version 2 was not looked at")
    # Its training foresaw no choice: what users choose is held to nothing.
    wait_for(lambda: watched() == {"columns": 1, "error": 1, "target": 0}, "no alarm was given")
    watching.send(topics.impressions.name, [encode(i) for i in impressions(2, 300)])
    calm = {"feature": "rating"}
    wait_for(lambda: gauge("placestream_drift_psi_ratio", **calm) is not None, "not watched")


def test_outcomes_are_told_and_a_model_that_errs_is_asked_to_be_replaced(
    quick: Settings,
    topics: Topics,
    start: Callable[[], Watching],
    outbox: Remembering,
) -> None:
    """Users choose what the model gave little: its accuracy falls, and the event says so."""
    put_in_service(quick, 1)
    watching = start()
    answers = impressions(1, LEAST, places=6)
    sure = [0.9, 0.02, 0.02, 0.02, 0.02, 0.02]
    told = [
        msgspec.structs.replace(
            answer,
            places=[
                msgspec.structs.replace(place, place_id=f"p{k}", probability=sure[k])
                for k, place in enumerate(answer.places)
            ],
        )
        for answer in answers
    ]
    visits = [
        Interaction(
            answer.user_id,
            "p1",
            "visit",
            answer.timestamp + timedelta(seconds=1),
            request_id=answer.request_id,
        )
        for answer in told
    ]
    last = Interaction("z", "z", "click", told[-1].timestamp + timedelta(seconds=100))
    watching.send(topics.impressions.name, [encode(answer) for answer in told])
    watching.send(topics.interactions.name, [encode(event) for event in (*visits, last)])

    def asked() -> bool:
        return any("accuracy" in request.evidence["causes"] for request in outbox.requests)

    wait_for(asked, "no training was asked for")
    (request,) = [r for r in outbox.requests if "accuracy" in r.evidence["causes"]]
    assert request.evidence["choices"] == LEAST
    # Of each five the first is wrongly said yes of, and the chosen one no; or neither was drawn.
    assert 0.6 <= request.evidence["accuracy"] < 0.8
    served = gauge(
        "placestream_served_quality_ratio", metric="accuracy", variant="stable", version="1"
    )
    assert served == pytest.approx(request.evidence["accuracy"], abs=1e-3)
    assert (gauge("placestream_outcomes_total", fate="joined") or 0) >= LEAST
