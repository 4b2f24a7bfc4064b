"""Brings pairs into service step by step: shadow, canary, then promoted or rolled back.

One experiment at a time. Each step is taken under the controller's lease: the record, the plan
that services follow and the history are written in one atomic step that is refused once the lease
has passed on, and labels are moved only while it is held. Every state says what is to be done in
it, and doing it twice does no harm: who comes after a killed controller goes on from the record.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import confluent_kafka
import redis
import structlog

from contracts.experiment import CANARY
from contracts.settings import Settings
from retrain import metrics
from retrain.canary_feed import CanaryFeed
from retrain.canary_watch import CanaryWatch, NewFeed
from retrain.experiments import FINAL, Experiment, Experiments, State, shadow_means
from retrain.following import bring_to_follow
from retrain.keys import ControllerKeys
from retrain.lease import TTL_S, Lease, LeaseLost
from retrain.model_config import DamagedConfig
from retrain.orders import NotNow, check_order
from retrain.publish import NotPublished, Outbox
from retrain.rollout import DRAIN_S, RolloutFailed, current, relabel
from retrain.steps import plan_of, step_of
from retrain.way_back import WayBack, way_back_from

_log = structlog.get_logger(__name__)

#: How often an experiment is looked at; statistics allow every look.
LOOK_S = 2.0
#: Services follow a plan within a second: a label that no plan names is asked for no longer.
SETTLE_S = 3.0
#: So many of the first comparisons may fail before a shadow is given up, and such a share.
FAILED, FAILED_RATIO = 20, 0.1

#: Ends the note of a pair that not every server confirmed; they are told at each look.
UNCONFIRMED = "a model server that did not answer is told as soon as it does"


class Busy(RuntimeError):
    """Another controller is at work."""


class Controller:
    """Takes experiments forward.

    Args:
        settings: of the installation.
        client: Redis.
        outbox: where steps are told.
        clock: Unix seconds.
        feed: reads the evidence of a canary.
        sleep: waits until services have followed a plan.
        lease_s: life of an unrenewed lease, seconds.
        drain_s: how long an old version outlives the move of its label, seconds.
    """

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        outbox: Outbox,
        clock: Callable[[], float],
        feed: NewFeed = CanaryFeed,
        sleep: Callable[[float], object] = time.sleep,
        lease_s: float = TTL_S,
        drain_s: float = DRAIN_S,
    ) -> None:
        #: What ended `run`, other than `stop`.
        self.died_of: Exception | None = None
        self._settings = settings
        self._outbox = outbox
        self._clock = clock
        self._sleep = sleep
        self._drain_s = drain_s
        self._lease = Lease(client, ControllerKeys(settings.key_prefix), lease_s)
        self.experiments = Experiments(client, settings.key_prefix, self._lease)
        self._canary = CanaryWatch(settings, feed)

    def begin(self, audit_id: str, version: int, held_out: dict[str, float]) -> bool:
        """Take over a trained pair; False if it has nothing to be tried against."""
        if self._settings.rollout_direct or current(self._settings) is None:
            return False
        share = self._settings.canary_share
        self.experiments.begin(audit_id, version, self._clock(), share, held_out)
        return True

    def step(self) -> Experiment | None:
        """Take the experiment under way one step forward; None if there is none.

        Raises:
            Busy: another controller is at work.
            LeaseLost: it has passed on meanwhile; nothing further was written.
            NotPublished: Kafka did not take an event; it is told at the next step.
            DamagedConfig: which labels are meant cannot be read; users have left a pair that lost.
            redis.RedisError, confluent_kafka.KafkaException: a part is away.
        """
        if not self._lease.acquire():
            raise Busy("another controller holds the lease")
        try:
            damaged = self._bring_to_follow()
            for one in self.experiments.all():
                self._tell(one)
            chosen = self._choose()
            moved = None if chosen is None else self._tell(self._advance(chosen))
            if moved is None or moved.state in FINAL:
                metrics.show_no_experiment()
            else:
                metrics.show_experiment(moved.version, moved.state, moved.since_s)
            if damaged is not None:
                raise damaged
            return moved
        finally:
            self._lease.release()

    def _bring_to_follow(self) -> DamagedConfig | None:
        """Model servers first: whatever the records say, users meet what a server answers with."""
        try:
            found = bring_to_follow(self._settings, self._lease.check)
        except DamagedConfig as error:
            return error
        metrics.show_servers(list(found.values()))
        return None

    def order(self, experiment_id: str, wanted: State, note: str) -> Experiment:
        """Promote or roll back by hand, to the end.

        Args:
            experiment_id: of which experiment.
            wanted: `promoting` or `rolling_back`.
            note: who wants it and why.

        Raises:
            Busy: another controller is at work; try again.
            retrain.orders.NotNow: the experiment is not in a state for it.
            NoSuchExperiment: there is none of this id.
            retrain.rollout.RolloutFailed: labels could not be moved; the controller tries again.
        """
        if not self._lease.acquire():
            raise Busy("another controller holds the lease; it gives it back within seconds")
        try:
            one = self.experiments.get(experiment_id)
            check_order(one, wanted, current(self._settings), self.experiments.all())
            self._check_way_back(one, note)
            if (one.state, wanted) == ("waiting", "promoting"):
                one = one.change(baseline=current(self._settings))  # there is no `_start` that does
            one = self._move(one, wanted, note)
            return self._tell(self._finish(one))
        finally:
            self._lease.release()

    def _check_way_back(self, one: Experiment, note: str) -> None:
        """Refuse to leave a promoted pair for nothing; the history tells that it was wished."""
        back = self._way_back(one)
        if one.state == "promoted" and back.lost:
            told = f"{note}: not rolled back, for {back.note}"
            self.experiments.save(one.change(note=told), moved=True, at_s=self._clock())
            raise NotNow(f"{one.id} stays in service: {back.note}")

    def _choose(self) -> Experiment | None:
        """The one under way, else the newest that waits; older ones that wait are passed over."""
        opened = [one for one in self.experiments.all() if one.state not in FINAL]
        running = [one for one in opened if one.state != "waiting"]
        if running:
            return running[0]
        for older in opened[:-1]:
            self._tell(self._move(older, "rolled_back", f"{opened[-1].id} is newer"))
        return opened[-1] if opened else None

    def _advance(self, one: Experiment) -> Experiment:
        if one.state == "waiting":
            return self._start(one)
        if one.state == "shadow":
            return self._look_at_shadow(one)
        if one.state == "canary":
            return self._look_at_canary(one)
        return self._finish(one)

    def _start(self, one: Experiment) -> Experiment:
        baseline = current(self._settings)
        one = one.change(baseline=baseline)
        if baseline is None:
            return self._move(one, "promoting", "nothing is in service to compare with")
        try:
            self._relabel({CANARY: one.version})
        except RolloutFailed as error:
            metrics.EXPERIMENTS.labels(outcome="failed").inc()
            return self._move(one, "failed", str(error))
        return self._move(one, "shadow", f"computed beside version {baseline}, unseen")

    def _look_at_shadow(self, one: Experiment) -> Experiment:
        sums = self.experiments.shadow(one.id)
        compared, failed = sums.get("compared", 0.0), sums.get("failed", 0.0)
        report = {"shadow": shadow_means(sums)}
        one = one.change(report=one.report | report)
        if failed >= FAILED and failed > FAILED_RATIO * (failed + compared):
            metrics.ROLLBACKS.labels(cause="shadow_failed").inc()
            return self._move(one, "rolling_back", f"{failed:.0f} of its answers failed unseen")
        if compared >= self._settings.shadow_min_answers:
            note = f"{compared:.0f} answers compared; {one.share:.0%} of the users meet it"
            return self._move(one, "canary", note, canary_s=self._clock())
        if self._clock() - one.since_s >= self._settings.shadow_max_s:
            metrics.ROLLBACKS.labels(cause="shadow_too_long").inc()
            return self._move(one, "rolling_back", f"only {compared:.0f} answers were compared")
        return self._keep(one)

    def _look_at_canary(self, one: Experiment) -> Experiment:
        plan = plan_of(self._settings, one)
        if plan is None:
            raise AssertionError("a canary has a plan")
        verdict = self._canary.look(one, plan, self._clock())
        one = one.change(report=one.report | verdict.report, note=verdict.note)
        metrics.show_canary(verdict.report)
        if verdict.action == "go on":
            return self._keep(one)
        if verdict.cause:
            metrics.ROLLBACKS.labels(cause=verdict.cause).inc()
        state: State = "promoting" if verdict.action == "promote" else "rolling_back"
        return self._finish(self._move(one, state, verdict.note))

    def _finish(self, one: Experiment) -> Experiment:
        """Move the labels, and only then the users who follow them, and only then unload."""
        if one.state != "promoting":
            return self._roll_back(one)
        try:
            self._relabel({CANARY: one.version, self._settings.model_label: one.version})
        except RolloutFailed as error:
            metrics.ROLLBACKS.labels(cause="not_promoted").inc()
            note = f"could not be promoted: {error}"
            return self._roll_back(self._move(one, "rolling_back", note))
        return self._let_go(one, "promoted", one.note)

    def _roll_back(self, one: Experiment) -> Experiment:
        """Of a pair that lost, the users go first: that needs no label, and to move one may fail.

        The version to go back to may be gone from disk. That is an end too, and told as such: to
        try again would bring nothing back, and no other pair would have its turn.
        """
        self.experiments.save(one, moved=False, plan=None)
        back = self._way_back(one)
        serves = current(self._settings) == one.version
        if back.version is not None:
            labels: dict[str, int | None] = {CANARY: back.version}
            if serves or back.gone is not None:
                labels[self._settings.model_label] = back.version
            self._relabel(labels)
        note = "; ".join(part for part in (one.note, back.note) if part)
        state: State = "promoted" if serves and back.version is None else "rolled_back"
        # A server that has lost the version under `stable` refuses any change that keeps it there.
        ended = self._let_go(one, state, note, *([RolloutFailed] if back.lost else []))
        if back.gone is not None:
            metrics.WAY_BACK_GONE.labels(then="none" if back.lost else "another").inc()
            _log.error("way_back_gone", experiment=one.id, gone=back.gone, instead=back.version)
        return ended

    def _way_back(self, one: Experiment) -> WayBack:
        return way_back_from(self._settings, one, self.experiments.all())

    def _let_go(
        self, one: Experiment, state: State, note: str, *may_fail: type[Exception]
    ) -> Experiment:
        """Its plan and the canary's label go, and the version that nobody asks for any more."""
        self.experiments.save(one, moved=False, plan=None)
        self._sleep(SETTLE_S)
        confirmed = True
        with suppress(*may_fail):
            confirmed = self._relabel({CANARY: None})
        self._canary.close()
        metrics.show_canary({})
        metrics.EXPERIMENTS.labels(outcome=state).inc()
        return self._move(one, state, note if confirmed else f"{note}; {UNCONFIRMED}")

    def _relabel(self, changes: dict[str, int | None]) -> bool:
        """Move labels; what any experiment may go back to stays on disk. Whether all confirmed."""
        stable = current(self._settings)
        kept = set()
        for one in self.experiments.all():
            if one.state not in FINAL or (one.state == "promoted" and one.version == stable):
                kept |= {one.version, one.baseline or one.version}
        return relabel(
            self._settings, changes, guard=self._lease.check, drain_s=self._drain_s, kept=kept
        )

    def _keep(self, one: Experiment) -> Experiment:
        return self.experiments.save(one, moved=False, plan=plan_of(self._settings, one))

    def _move(
        self, one: Experiment, state: State, note: str, canary_s: float | None = None
    ) -> Experiment:
        now = one.moved(state, self._clock(), note, canary_s=canary_s or one.canary_s)
        _log.info("experiment_moved", experiment=one.id, state=state, note=note)
        # A plan ends after its labels have moved (`_finish`): no user is sent to what is not there.
        return self.experiments.save(
            now, moved=True, plan=plan_of(self._settings, now) or "as it is"
        )

    def _tell(self, one: Experiment) -> Experiment:
        """Send the events of all states that were entered and not told of yet."""
        while one.untold:
            step, *untold = one.untold
            self._outbox.send(self._settings.topics.rollout, one.audit_id, step_of(one, step))
            one = self.experiments.save(one.change(untold=untold), moved=False)
        return one

    def run(self, stop: threading.Event) -> None:
        """Take a step every two seconds until stopped; what is away is named and tried again.

        Anything else sets `stop` and is kept in `died_of`.
        """
        metrics.ROLLOUT_LOOK.set(self._clock())
        try:
            while not stop.wait(LOOK_S):
                self._try_step()
        except Exception as error:
            _log.exception("controller_died")
            self.died_of = error
            stop.set()
        finally:
            self._canary.close()

    def _try_step(self) -> None:
        try:
            with suppress(Busy):  # the other one looks
                self.step()
            metrics.ROLLOUT_LOOK.set(self._clock())
        except (
            LeaseLost,
            NotPublished,
            RolloutFailed,
            DamagedConfig,
            redis.RedisError,
            confluent_kafka.KafkaException,
            OSError,
        ) as error:
            _log.warning("controller_waits", error=str(error))
