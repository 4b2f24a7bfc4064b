"""Works off one request: trains, rolls out, tells; picks up where a killed trainer left."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, Protocol

import redis
import structlog

from contracts.events import RetrainRequested, RolloutStep
from contracts.settings import Settings
from retrain import metrics
from retrain.child import Trainer, TrainingFailed, TrainingProcess, nothing_to_prepare
from retrain.jobs import FINAL, Job, Jobs
from retrain.keys import ControllerKeys, Keys
from retrain.lease import TTL_S, Lease, LeaseLost
from retrain.model_config import MODELS
from retrain.publish import Outbox
from retrain.rollout import RolloutFailed, activate

_log = structlog.get_logger(__name__)

#: A request that took the whole trainer down so often is given up: it would do so for ever.
ATTEMPTS = 3
_LOOK_S = 0.25

End = Literal["on_trial", "promoted", "rejected", "failed"]
Step = Literal["trained", "rejected", "promoted", "failed"]


class Activate(Protocol):
    """`retrain.rollout.activate`, or what a test puts in its place."""

    def __call__(self, settings: Settings, version: int, *, guard: Callable[[], None]) -> bool: ...


class Stopping(Exception):
    """The process was asked to end; work in hand stays open for the next one."""


#: Given audit id, version and held-out metrics: whether an experiment has taken the pair over.
OnTrial = Callable[[str, int, dict[str, float]], bool]


def no_trial(_audit_id: str, _version: int, _metrics: dict[str, float]) -> bool:
    """Activate every pair at once."""
    return False


class Worker:
    """Takes requests to their end, one at a time, under the lease.

    Every stage is recorded under the audit id before the next begins, and every step is told
    before the request is let go, so that a killed trainer's successor resumes: a training that
    had no outcome starts over (what it may have half exported is never in a configuration), an
    exported pair is rolled out again (which changes nothing if it was), an ended request is only
    told. An event may thus be told twice, under the same audit id and step.

    Args:
        settings: of the installation.
        client: Redis.
        outbox: where steps are told.
        trainer: trains, judges and exports in a child process.
        clock: Unix seconds.
        idle: called every quarter of a second while waiting; what it raises (`Stopping`) ends the
            work, and the request stays open.
        activate: brings a version into service.
        prepare: called first in the child.
        lease_s: life of an unrenewed lease, seconds.
        on_trial: takes a pair over for an experiment; where it does not, the pair is activated.
    """

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        outbox: Outbox,
        trainer: Trainer,
        clock: Callable[[], float],
        idle: Callable[[], None],
        activate: Activate = activate,
        prepare: Callable[[Settings], None] = nothing_to_prepare,
        lease_s: float = TTL_S,
        on_trial: OnTrial = no_trial,
    ) -> None:
        keys = Keys(settings.key_prefix)
        self._settings = settings
        self._outbox = outbox
        self._trainer = trainer
        self._clock = clock
        self._idle = idle
        self._activate = activate
        self._prepare = prepare
        self._on_trial = on_trial
        self.lease = Lease(client, keys, lease_s)
        #: Who moves labels: the controller, orders by hand, and this.
        self._rollout_lease = Lease(client, ControllerKeys(settings.key_prefix), lease_s)
        self.jobs = Jobs(client, keys, self.lease)
        #: Request whose attempt a lost lease ended, not what was asked: it counts once.
        self._interrupted = ""

    def work(self, request: RetrainRequested) -> Job:
        """Bring a request to its end and return its record.

        Raises:
            LeaseLost: another trainer has it, or may have; the request stays open.
            NotPublished: Kafka did not take a step; the request stays open.
            retrain.model_config.DamagedConfig: what is in service cannot be read; it stays open.
            redis.RedisError: Redis is away; the request stays open.
        """
        self._take(self.lease, "waiting_for_the_trainer_at_work", request.audit_id)
        started_s = self._clock()
        try:
            job = self.jobs.load(request.audit_id)
            if job.stage in FINAL:
                _log.info("request_was_done", audit_id=job.audit_id, stage=job.stage)
                return self._tell_end(job)
            if job.stage == "training":
                job = self._train(job)
            if job.stage == "exported":
                job = self._roll_out(self._tell(job, "trained"))
            metrics.TRAININGS.labels(outcome=job.stage).inc()
            metrics.TRAINING_SECONDS.observe(max(0.0, self._clock() - started_s))
            return self._tell_end(job)
        finally:
            self.lease.release()

    def _take(self, lease: Lease, waiting_for: str, audit_id: str) -> None:
        waiting = False
        while not lease.acquire():
            if not waiting:
                _log.info(waiting_for, audit_id=audit_id)
            waiting = True
            self._idle()

    def _train(self, job: Job) -> Job:
        """Train to an outcome; of the same request, what a lost lease cut short is one attempt.

        That this process could not keep its lease is no fault of the request. It cannot say so in
        the record, which is its successor's by then, and so remembers it.
        """
        repeated, self._interrupted = self._interrupted == job.audit_id, ""
        if repeated:
            job = job.change(attempts=max(0, job.attempts - 1))
        try:
            return self._attempt(job)
        except (LeaseLost, redis.RedisError):
            self._interrupted = job.audit_id
            raise

    def _attempt(self, job: Job) -> Job:
        if job.attempts >= ATTEMPTS:
            return self._end(job, "failed", f"given up: {job.attempts} trainings were cut short")
        job = self.jobs.save(job.change(attempts=job.attempts + 1))
        _log.info("training_started", audit_id=job.audit_id, attempt=job.attempts)
        child = TrainingProcess(
            self._trainer, self._settings, job.audit_id, self._prepare, self.lease.token
        )
        try:
            while (trained := child.wait(_LOOK_S)) is None:
                self.lease.check()
                self._idle()
        except TrainingFailed as error:
            return self._end(job, "failed", str(error))
        except Stopping:
            # No fault of the request: however often the trainer is replaced, it is not given up.
            self.jobs.save(job.change(attempts=job.attempts - 1))
            raise
        finally:
            child.stop()
        job = job.change(metrics=trained.metrics, note=trained.note, evidence=trained.evidence)
        if trained.version is None:
            metrics.count_refusal(trained.evidence)
            return self._end(job, "rejected", trained.note)
        return self.jobs.save(job.change(stage="exported", version=trained.version))

    def _roll_out(self, job: Job) -> Job:
        assert job.version is not None, "only an exported pair is rolled out"
        if self._on_trial(job.audit_id, job.version, job.metrics):
            return self._end(job, "on_trial", job.note)
        # Both read the configuration file, then write it: at once, a move of labels would be lost.
        self._take(self._rollout_lease, "waiting_for_the_controller_at_work", job.audit_id)
        try:
            live = self._activate(self._settings, job.version, guard=self._check_both)
        except RolloutFailed as error:
            return self._end(job, "failed", str(error))
        finally:
            self._rollout_lease.release()
        where = "" if live else "; a model server that did not answer is told as soon as it does"
        return self._end(job, "promoted", job.note + where)

    def _check_both(self) -> None:
        self.lease.check()
        self._rollout_lease.check()

    def _end(self, job: Job, stage: End, note: str) -> Job:
        log = _log.warning if stage == "failed" else _log.info
        log(f"request_{stage}", audit_id=job.audit_id, version=job.version, note=note)
        return self.jobs.save(job.change(stage=stage, note=note))

    def _tell_end(self, job: Job) -> Job:
        if job.stage == "training" or job.stage == "exported":
            raise AssertionError("only an ended request is told so")
        if job.stage == "on_trial":
            return job  # what becomes of it, its experiment tells
        return self._tell(job, job.stage)

    def _tell(self, job: Job, step: Step) -> Job:
        if step in job.told:
            return job
        self._outbox.send(
            self._settings.topics.rollout,
            job.audit_id,
            RolloutStep(
                audit_id=job.audit_id,
                step=step,
                at=datetime.fromtimestamp(self._clock(), UTC),
                versions=_versions(job.version),
                metrics=job.metrics,
                note=job.note,
                evidence=job.evidence,
            ),
        )
        return self.jobs.save(job.change(told=[*job.told, step]))


def _versions(version: int | None) -> dict[str, int]:
    return {} if version is None else dict.fromkeys(MODELS, version)
