"""A person's way from one version to another: on what is true now, and alone."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from contracts.settings import Settings
from placestream.console.models import Models, Switch
from placestream.console.problem import Problem
from retrain.experiments import Experiment, Experiments
from retrain.keys import ControllerKeys
from retrain.lease import Lease
from retrain.model_config import Serving, write
from retrain.rollout import RolloutFailed
from tests.retrain.conftest import Remembering

AT_S = 1_700_000_000.0


class Activating:
    """In the place of the rollout: notes what it is asked, and whether the lease was held."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[int] = []
        self._error = error

    def __call__(self, settings: Settings, version: int, *, guard: Callable[[], None]) -> bool:
        guard()
        if self._error is not None:
            raise self._error
        self.asked.append(version)
        return True


@pytest.fixture
def outbox() -> Remembering:
    """An outbox that remembers."""
    return Remembering()


@pytest.fixture
def serving(settings: Settings) -> Settings:
    """An installation in which version 2 serves."""
    write(settings, Serving({settings.model_label: 2}))
    return settings


class Ordering:
    """In the place of `placestream experiments`: notes the orders."""

    def __init__(self) -> None:
        self.orders: list[tuple[str, str, str]] = []

    def __call__(
        self, settings: Settings, action: str, experiment_id: str, reason: str
    ) -> Experiment:
        self.orders.append((action, experiment_id, reason))
        return Experiment(experiment_id, "audit", 0, AT_S, AT_S)


def models(
    settings: Settings,
    client: redis.Redis,
    outbox: Any,
    activate: Activating,
    order: Ordering | None = None,
) -> Models:
    return Models(settings, client, outbox, lambda: AT_S, activate, order or Ordering())


def recorded(
    settings: Settings, client: redis.Redis, version: int, state: Any, baseline: int
) -> None:
    """Write the record of an experiment as the controller leaves it."""
    lease = Lease(client, ControllerKeys(settings.key_prefix))
    assert lease.acquire()
    records = Experiments(client, settings.key_prefix, lease)
    one = records.begin(f"audit-{version}", version, AT_S, 0.1, {})
    if state != "waiting":
        records.save(one.moved(state, AT_S, "so", baseline=baseline), moved=True)
    lease.release()


def test_a_switch_is_carried_out_and_told(
    serving: Settings, redis_client: redis.Redis, outbox: Remembering
) -> None:
    """As a step among the others, with who, instead of what, and why; the lease is free again."""
    activate = Activating()
    done = models(serving, redis_client, outbox, activate).switch(Switch(1, 2, "worse at night"))
    assert done == {"version": 1, "live": True, "told": True}
    assert activate.asked == [1]
    (step,) = outbox.steps
    assert (step.step, step.versions) == ("rolled_back", {"candidates": 1, "ranker": 1})
    assert step.at.timestamp() == AT_S
    assert step.note == "by hand, from the console, instead of 2; worse at night"
    lease = Lease(redis_client, ControllerKeys(serving.key_prefix))
    assert lease.acquire()
    lease.release()


def test_a_decision_on_an_old_page_is_refused(
    serving: Settings, redis_client: redis.Redis, outbox: Remembering
) -> None:
    """The page showed version 1 in service; it is 2 by now."""
    activate = Activating()
    with pytest.raises(Problem, match="Version 2 is in service by now") as refused:
        models(serving, redis_client, outbox, activate).switch(Switch(3, 1))
    assert refused.value.status == 409
    assert activate.asked == []


def test_a_pair_on_trial_is_promoted_by_its_controller(
    serving: Settings, redis_client: redis.Redis, outbox: Remembering
) -> None:
    """Its record must tell of it; labels that were moved behind its back would be moved again."""
    recorded(serving, redis_client, 3, "canary", 2)
    activate, order = Activating(), Ordering()
    done = models(serving, redis_client, outbox, activate, order).switch(Switch(3, 2, "good"))
    assert order.orders == [("promote", "pair-3", "good")]
    assert done == {"version": 3, "live": True, "told": True}
    assert activate.asked == []


def test_the_way_back_from_a_promotion_is_its_controllers(
    serving: Settings, redis_client: redis.Redis, outbox: Remembering
) -> None:
    """Version 2 was promoted over 1; to go back to 1 undoes that."""
    recorded(serving, redis_client, 2, "promoted", 1)
    order = Ordering()
    models(serving, redis_client, outbox, Activating(), order).switch(Switch(1, 2, "bad"))
    assert order.orders == [("rollback", "pair-2", "bad")]


def test_beside_a_trial_no_third_version_comes_into_service(
    serving: Settings, redis_client: redis.Redis, outbox: Remembering
) -> None:
    """The trial compares with version 2; it is ended first."""
    recorded(serving, redis_client, 3, "shadow", 2)
    activate = Activating()
    with pytest.raises(Problem, match="experiments stop pair-3") as refused:
        models(serving, redis_client, outbox, activate).switch(Switch(1, 2))
    assert refused.value.status == 409
    assert activate.asked == []


def test_a_rollout_under_way_is_waited_for(
    serving: Settings, redis_client: redis.Redis, outbox: Remembering
) -> None:
    """Two rollouts at once would overwrite each other's configuration."""
    lease = Lease(redis_client, ControllerKeys(serving.key_prefix))
    assert lease.acquire()
    activate = Activating()
    try:
        with pytest.raises(Problem, match="rollout is under way") as refused:
            models(serving, redis_client, outbox, activate).switch(Switch(1, 2))
    finally:
        lease.release()
    assert refused.value.status == 409
    assert activate.asked == []


def test_a_failed_rollout_is_a_problem_and_no_step(
    serving: Settings, redis_client: redis.Redis, outbox: Remembering
) -> None:
    """What served still serves, and nobody is told otherwise."""
    activate = Activating(RolloutFailed("ranker 1 does not load"))
    with pytest.raises(Problem, match="ranker 1 does not load"):
        models(serving, redis_client, outbox, activate).switch(Switch(1, 2))
    assert outbox.steps == []


def test_a_step_that_kafka_did_not_take_is_admitted(
    serving: Settings, redis_client: redis.Redis, outbox: Remembering
) -> None:
    """The version serves all the same."""
    outbox.refuse = 1
    done = models(serving, redis_client, outbox, Activating()).switch(Switch(1, 2))
    assert done == {"version": 1, "live": True, "told": False}


def test_a_damaged_configuration_is_said(
    settings: Settings, redis_client: redis.Redis, outbox: Remembering
) -> None:
    """And not written over."""
    settings.model_config_file.parent.mkdir(parents=True)
    settings.model_config_file.write_text("model_config_list {")
    with pytest.raises(Problem, match="configuration is damaged"):
        models(settings, redis_client, outbox, Activating()).told()
