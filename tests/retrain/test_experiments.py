"""Records of pairs in real Redis."""

import redis

from contracts.settings import Settings
from retrain.experiments import Experiments
from retrain.keys import ControllerKeys
from retrain.lease import Lease

NEW = "1b2c3d4e-0000-4000-8000-000000000000"


def test_a_number_that_was_another_pairs_has_a_record_of_its_own(
    settings: Settings, client: redis.Redis
) -> None:
    """The newest folder was deleted, so that the next pair has its number: it begins from the
    start, also when it is handed over again, and the old record stays as it was."""
    lease = Lease(client, ControllerKeys(settings.key_prefix))
    records = Experiments(client, settings.key_prefix, lease)
    assert lease.acquire()
    old = records.begin("old", 2, 1.0, 0.1, {})
    ended = records.save(old.moved("rolled_back", 2.0, "worse"), moved=True)
    lease.release()
    for _ in range(2):
        new = records.begin(NEW, 2, 3.0, 0.1, {"auc": 0.8})
        assert (new.id, new.audit_id, new.state) == ("pair-2-1b2c3d4e", NEW, "waiting")
    assert records.all() == [ended, new]
    assert [entry.state for entry in records.history(new.id)] == ["waiting"]
    assert records.begin("old", 2, 4.0, 0.1, {}) == ended
