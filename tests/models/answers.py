"""Served answers written out by hand, as the archive's reader gives them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from contracts.ids import id64
from online_features.definitions import FEATURE_SET
from online_features.impressions import ImpressionLog
from online_features.training_log import TrainingLog
from tests.models.logs import START_S

#: user, seconds after START_S, places in their order.
Answer = tuple[str, float, Sequence[str]]


def shown_of(answers: Sequence[Answer], *, ranker: int = 1) -> ImpressionLog:
    """Answers that are in order of time, named r0, r1, ...; all of them whole, at (40, -74)."""
    n = len(answers)
    places = [place for _, _, shown in answers for place in shown]
    return ImpressionLog(
        partition=np.zeros(n, np.int32),
        offset=np.arange(n),
        time_s=START_S + np.array([after_s for _, after_s, _ in answers], np.float64),
        request_id=np.array([f"r{i}" for i in range(n)], object),
        user=np.array([id64(user) for user, _, _ in answers], np.uint64),
        lat=np.full(n, 40.0),
        lng=np.full(n, -74.0),
        whole=np.ones(n, bool),
        candidates=np.full(n, ranker),
        ranker=np.full(n, ranker),
        feature_set=np.full(n, FEATURE_SET, object),
        first=np.r_[0, np.cumsum([len(shown) for _, _, shown in answers])].astype(np.int64),
        place=np.array([id64(place) for place in places], np.uint64),
        position=np.concatenate([np.arange(len(shown)) for *_, shown in answers]).astype(np.int32)
        if n
        else np.zeros(0, np.int32),
        propensity=np.ones(len(places)),
    )


def naming(log: TrainingLog, names: dict[int, str]) -> TrainingLog:
    """The log, with events at some positions naming the answer that they came of."""
    request = log.request.copy()
    for position, name in names.items():
        request[position] = id64(name) if name else 0
    return replace(log, request=request)
