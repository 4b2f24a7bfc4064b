"""The newest answers of a version from the archive, as the drift detectors read them."""

from pathlib import Path

import numpy as np

from models.served_answers import Answers
from online_features.archive import read_columns
from online_features.archive_schema import IMPRESSIONS
from online_features.impressions import read_impressions, read_seen
from retrain.in_service import InService


def archived_answers(
    archive_dir: Path,
    model: InService,
    *,
    most: int,
    since_s: float | None = None,
    until_s: float | None = None,
) -> Answers | None:
    """At most so many answers that this version ordered, the newest, in order of time.

    Places of which nothing was logged are left out, as `retrain.drift_watch` does with what it
    reads from Kafka.

    Args:
        archive_dir: root of the archive.
        model: the version.
        most: answers.
        since_s, until_s: only answers in `[since_s, until_s)`, Unix seconds.

    Returns:
        None if there is none.
    """
    log = read_impressions(archive_dir, since_s, until_s)
    log = log.take(np.flatnonzero(log.ranker == model.version)[-most:])
    if not len(log):
        return None
    features = read_seen(archive_dir, log, {"features": len(model.features)})["features"]
    table = read_columns(
        archive_dir,
        IMPRESSIONS,
        ["partition", "offset", "probabilities"],
        float(log.time_s[0]),
        until_s,
    )
    said = dict(
        zip(
            zip(table["partition"].to_pylist(), table["offset"].to_pylist(), strict=True),
            table["probabilities"].to_pylist(),
            strict=True,
        )
    )
    positions = zip(log.partition.tolist(), log.offset.tolist(), strict=True)
    probability = np.array([p for at in positions for p in said[at]], np.float32)
    values = np.concatenate([features, probability[:, None]], axis=1)
    kept = ~np.isnan(features).all(axis=1) & ~np.isnan(probability)
    count = np.bincount(log.answer[kept], minlength=len(log))
    answered = count > 0
    if not answered.any():
        return None
    return Answers(
        values=values[kept],
        first=np.r_[0, np.cumsum(count[answered])].astype(np.int64),
        time_s=log.time_s[answered],
        user=log.user[answered],
    )
