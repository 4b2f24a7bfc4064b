"""Whether a request has ended, read from the records that the trainer and the controller write."""

import msgspec
import pytest
import redis

from contracts.settings import Settings
from retrain.experiments import Experiments, State
from retrain.jobs import Job, Stage
from retrain.keys import ControllerKeys, Keys
from retrain.lease import Lease
from retrain.request_end import has_ended

AUDIT = "audit-1"


def keep(settings: Settings, client: redis.Redis, stage: Stage) -> None:
    client.set(Keys(settings.key_prefix).job(AUDIT), msgspec.json.encode(Job(AUDIT, stage)))


def test_a_request_that_nobody_took_up_is_open(settings: Settings, client: redis.Redis) -> None:
    """It waits in Kafka."""
    assert not has_ended(client, settings.key_prefix, AUDIT)


@pytest.mark.parametrize(
    ("stage", "ended"),
    [
        ("training", False),
        ("exported", False),
        ("promoted", True),
        ("rejected", True),
        ("failed", True),
    ],
)
def test_a_job_ends_with_its_stage(
    settings: Settings, client: redis.Redis, stage: Stage, ended: bool
) -> None:
    """Where no trial follows."""
    keep(settings, client, stage)
    assert has_ended(client, settings.key_prefix, AUDIT) is ended


@pytest.mark.parametrize(
    ("state", "ended"),
    [
        ("waiting", False),
        ("canary", False),
        ("promoting", False),
        ("rolling_back", False),
        ("promoted", True),
        ("rolled_back", True),
        ("failed", True),
    ],
)
def test_a_pair_on_trial_ends_with_its_trial(
    settings: Settings, client: redis.Redis, state: State, ended: bool
) -> None:
    """And not with that of another, newer one."""
    keep(settings, client, "on_trial")
    lease = Lease(client, ControllerKeys(settings.key_prefix))
    assert lease.acquire()
    trials = Experiments(client, settings.key_prefix, lease)
    mine = trials.begin(AUDIT, 2, 0.0, 0.1, {})
    trials.begin("another", 3, 1.0, 0.1, {})
    trials.save(mine.moved(state, 2.0, "told so"), moved=True)
    lease.release()
    assert has_ended(client, settings.key_prefix, AUDIT) is ended


def test_a_trial_that_is_not_known_is_waited_for_by_nobody(
    settings: Settings, client: redis.Redis
) -> None:
    """Its record was lost: no end will ever be written."""
    keep(settings, client, "on_trial")
    assert has_ended(client, settings.key_prefix, AUDIT)
