"""One request's way to its end, and what a crash at each point leaves to the next trainer."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import redis

from contracts.events import RetrainRequested
from contracts.settings import Settings
from retrain import metrics
from retrain.child import Trainer
from retrain.jobs import Job
from retrain.keys import ControllerKeys, Keys
from retrain.lease import Lease, LeaseLost
from retrain.publish import NotPublished
from retrain.rollout import RolloutFailed
from retrain.work import ATTEMPTS, OnTrial, Stopping, Worker, no_trial
from tests.retrain import trainers
from tests.retrain.conftest import Remembering

REQUEST = RetrainRequested("audit-1", "manual", datetime(2024, 1, 1, tzinfo=UTC))


class Crashed(Exception):
    """The trainer is gone, and could not say so."""


class Bench:
    """Makes workers that share Redis, outbox and the record of what was activated."""

    def __init__(self, settings: Settings, client: redis.Redis, outbox: Remembering) -> None:
        self.settings, self.client, self.outbox = settings, client, outbox
        self.activated: list[int] = []
        self.fail: Exception | None = None

    def activate(self, settings: Settings, version: int, *, guard: Callable[[], None]) -> bool:
        guard()
        if self.fail is not None:
            raise self.fail
        self.activated.append(version)
        return True

    def worker(
        self,
        trainer: Trainer,
        idle: Callable[[], None] = lambda: None,
        lease_s: float = 30,
        on_trial: OnTrial = no_trial,
    ) -> Worker:
        return Worker(
            self.settings,
            self.client,
            self.outbox,
            trainer,
            clock=lambda: 1e9,
            idle=idle,
            activate=self.activate,
            lease_s=lease_s,
            on_trial=on_trial,
        )

    @property
    def told(self) -> list[str]:
        assert {step.audit_id for step in self.outbox.steps} <= {REQUEST.audit_id}
        return [step.step for step in self.outbox.steps]


@pytest.fixture
def bench(settings: Settings, client: redis.Redis, outbox: Remembering) -> Bench:
    return Bench(settings, client, outbox)


def test_a_good_pair_is_promoted_and_told(bench: Bench) -> None:
    """Trained, then promoted, with version and metrics, on the rollout topic."""
    job = bench.worker(trainers.exports).work(REQUEST)
    assert (job.stage, job.version, bench.activated) == ("promoted", 1, [1])
    assert bench.told == ["trained", "promoted"]
    promoted = bench.outbox.steps[-1]
    assert promoted.versions == {"candidates": 1, "ranker": 1}
    assert promoted.metrics == trainers.METRICS
    assert {topic for topic, _, _ in bench.outbox.sent} == {bench.settings.topics.rollout.name}


def test_a_request_that_comes_again_changes_nothing(bench: Bench) -> None:
    """Kafka delivers twice: no second training, no second activation, no second word."""
    bench.worker(trainers.exports).work(REQUEST)
    bench.worker(trainers.exports).work(REQUEST)
    assert trainers.trainings(bench.settings) == 1
    assert bench.activated == [1]
    assert bench.told == ["trained", "promoted"]


@pytest.mark.parametrize(
    ("trainer", "step", "note"),
    [
        (trainers.rejects, "rejected", "worse than the one in service"),
        (trainers.raises, "failed", "ArithmeticError: the loss is not finite"),
        (trainers.dies, "failed", "the training died, exit code -9"),
    ],
)
def test_what_does_not_come_to_a_pair_is_told_and_activates_nothing(
    bench: Bench, trainer: Trainer, step: str, note: str
) -> None:
    """Rejected, raised or killed: the daemon lives, says so, and is done with it."""
    job = bench.worker(trainer).work(REQUEST)
    assert (job.stage, job.note) == (step, note)
    assert bench.activated == []
    assert bench.told == [step]
    bench.worker(trainer).work(REQUEST)
    assert trainers.trainings(bench.settings) == 1


def test_a_pair_that_is_taken_on_trial_is_not_activated(bench: Bench) -> None:
    """It is handed over with its audit id and metrics, once; its experiment tells the rest."""
    taken: list[tuple[str, int]] = []

    def on_trial(audit_id: str, version: int, metrics: dict[str, float]) -> bool:
        assert metrics == trainers.METRICS
        taken.append((audit_id, version))
        return True

    for _ in range(2):
        job = bench.worker(trainers.exports, on_trial=on_trial).work(REQUEST)
        assert (job.stage, job.version) == ("on_trial", 1)
    assert taken == [(REQUEST.audit_id, 1)]
    assert bench.activated == []
    assert bench.told == ["trained"]


def test_a_refusal_is_told_with_its_evidence_and_counted(bench: Bench) -> None:
    """By a label that names the check; told again, it is not counted again."""
    failed = metrics.DATA_CHECKS_FAILED.labels(check="interactions.rating.range")
    before = failed._value.get()
    bench.worker(trainers.refuses_the_data).work(REQUEST)
    bench.worker(trainers.refuses_the_data).work(REQUEST)
    (step,) = bench.outbox.steps
    assert step.step == "rejected"
    assert step.evidence["refused_by"] == "data"
    assert step.evidence["report"] == "reports/audit-1"
    assert failed._value.get() - before == 1


def test_a_rollout_that_fails_is_told(bench: Bench) -> None:
    """The pair is exported, the model server cannot load it."""
    bench.fail = RolloutFailed("ranker 1 does not load")
    job = bench.worker(trainers.exports).work(REQUEST)
    assert (job.stage, job.note) == ("failed", "ranker 1 does not load")
    assert bench.told == ["trained", "failed"]


def test_a_crash_after_the_export_resumes_with_the_rollout(bench: Bench) -> None:
    """The next trainer activates what was exported; nothing is trained twice."""
    bench.fail = RuntimeError("killed here")
    with pytest.raises(RuntimeError, match="killed here"):
        bench.worker(trainers.exports).work(REQUEST)
    bench.fail = None
    job = bench.worker(trainers.exports).work(REQUEST)
    assert (job.stage, job.version) == ("promoted", 1)
    assert trainers.trainings(bench.settings) == 1
    assert bench.told == ["trained", "promoted"]


def test_an_end_that_kafka_did_not_take_is_told_later(bench: Bench) -> None:
    """Kafka refuses the last word: the record is final, and the word follows."""
    bench.outbox.refuse = 1
    with pytest.raises(NotPublished):
        bench.worker(trainers.rejects).work(REQUEST)
    assert bench.told == []
    bench.worker(trainers.rejects).work(REQUEST)
    assert bench.told == ["rejected"]
    assert trainers.trainings(bench.settings) == 1


def test_stopping_kills_the_training_and_leaves_the_request_open(bench: Bench) -> None:
    """Asked to end while training: the child goes, the lease is free, and the next one trains. No
    attempt is counted, for however often a trainer is replaced, the request is not to blame."""

    def idle() -> None:
        if trainers.trainings(bench.settings):
            raise Stopping

    with pytest.raises(Stopping):
        bench.worker(trainers.hangs_once, idle).work(REQUEST)
    assert bench.told == []
    job = bench.worker(trainers.hangs_once).work(REQUEST)
    assert (job.stage, job.attempts, job.version) == ("promoted", 1, 2)


def test_a_trainer_whose_lease_passed_on_stops_and_writes_nothing(
    bench: Bench, client: redis.Redis
) -> None:
    """Frozen for longer than its lease: it finds another token, ends its child, records nothing."""
    keys = Keys(bench.settings.key_prefix)
    other = Lease(client, keys)

    def steal() -> None:
        if trainers.trainings(bench.settings) and not other.token:
            client.delete(keys.lease)
            assert other.acquire()

    worker = bench.worker(trainers.hangs, steal)
    for _ in range(2):
        with pytest.raises(LeaseLost):
            worker.work(REQUEST)
        other.release()
    job = worker.jobs.load(REQUEST.audit_id)
    assert (job.stage, bench.activated) == ("training", [])
    assert job.attempts == 1, "the same process took it up again: the request did not take it down"


def test_a_pair_comes_into_service_only_while_nobody_else_moves_labels(bench: Bench) -> None:
    """An order by hand is under way when the pair is exported: the worker waits until it is done,
    and then keeps others out as long as it moves labels itself."""
    keys = ControllerKeys(bench.settings.key_prefix)
    other = Lease(bench.client, keys)
    seen: list[object] = []

    def begins(*_: object) -> bool:
        assert other.acquire()
        return False

    def idle() -> None:
        if other.token:
            seen.append(list(bench.activated))
            other.release()

    def activate(_: Settings, __: int, *, guard: Callable[[], None]) -> bool:
        guard()
        seen.append(other.acquire())
        bench.client.delete(keys.lease)
        guard()
        return True

    bench.activate = activate  # type: ignore[method-assign, assignment]
    with pytest.raises(LeaseLost):
        bench.worker(trainers.exports, idle, on_trial=begins).work(REQUEST)
    assert seen == [[], False]


def test_two_trainers_never_run_one_job(bench: Bench, client: redis.Redis) -> None:
    """The same request at two daemons at once: one trains, the other waits and finds it done."""
    jobs: list[Job] = []
    threads = [
        threading.Thread(target=lambda: jobs.append(bench.worker(trainers.exports).work(REQUEST)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trainers.trainings(bench.settings) == 1
    assert [job.stage for job in jobs] == ["promoted", "promoted"]
    assert bench.told == ["trained", "promoted"]


def test_a_request_that_takes_the_trainer_down_is_given_up(bench: Bench) -> None:
    """After the last attempt it is failed, and the requests behind it have their turn."""

    def idle() -> None:
        if trainers.trainings(bench.settings) > len(cut_short):
            raise Crashed

    cut_short: list[int] = []
    for attempt in range(ATTEMPTS):
        with pytest.raises(Crashed):
            bench.worker(trainers.hangs, idle).work(REQUEST)
        cut_short.append(attempt)
    job = bench.worker(trainers.exports).work(REQUEST)
    assert job.stage == "failed"
    assert str(ATTEMPTS) in job.note
    assert bench.told == ["failed"]
