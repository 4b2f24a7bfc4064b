"""Whether what a request for a training led to is over: the job, and the trial of its pair."""

import redis

from retrain import experiments, jobs
from retrain.experiments import Experiments
from retrain.jobs import Jobs
from retrain.keys import ControllerKeys, Keys
from retrain.lease import Lease


def has_ended(client: redis.Redis, prefix: str, audit_id: str) -> bool:
    """Whether nothing more can come of a request; not if nobody has taken it up yet.

    Raises:
        redis.RedisError: Redis did not answer.
    """
    # Who only reads holds no lease.
    keys = Keys(prefix)
    stage = Jobs(client, keys, Lease(client, keys)).load(audit_id).stage
    if stage != "on_trial":
        return stage in jobs.FINAL
    trials = Experiments(client, prefix, Lease(client, ControllerKeys(prefix)))
    for one in reversed(trials.ids()):
        trial = trials.get(one)
        if trial.audit_id == audit_id:
            return trial.state in experiments.FINAL
    return True  # its trial is not known, so that nobody will end it
