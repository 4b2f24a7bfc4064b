"""The slim log: the same events in the same order, in few bytes."""

from pathlib import Path

import numpy as np

from online_features.archive import read_interactions
from online_features.slim_log import SlimLog
from tests.placestream.backfill.archives import PARTITIONS, write_history


def test_it_is_the_log_without_what_drawing_does_not_read(tmp_path: Path) -> None:
    """Late, repeated and twice archived events among them; 57 bytes an event."""
    write_history(tmp_path, 3, 500, 12)
    log, slim = read_interactions(tmp_path), SlimLog.read(tmp_path)
    held = [name for name in vars(slim) if slim.__dict__[name].strides[0]]
    assert sum(getattr(slim, name).itemsize for name in held) == 57
    for name in held:
        np.testing.assert_array_equal(getattr(slim, name), getattr(log, name))
    some = slim.take(log.kind == 2)
    np.testing.assert_array_equal(some.user, log.user[log.kind == 2])
    assert len(some.event_hash) == len(some)


def test_it_ends_behind_the_last_event_of_each_partition(tmp_path: Path) -> None:
    """What is archived later lies at or behind the ends."""
    write_history(tmp_path, 3, 500, 12)
    log = read_interactions(tmp_path)
    ends = [int(log.offset[log.partition == p].max(initial=-1)) + 1 for p in range(PARTITIONS)]
    assert list(SlimLog.read(tmp_path).ends) == ends
    assert SlimLog.read(tmp_path / "nothing").ends == ()
