"""Choice sets of the small city, for tests."""

import numpy as np

from models.choice_sets import ChoiceSets, choice_sets
from models.dataset import situations
from models.merged_sets import joined
from models.moments import find_moments
from online_features.training_log import TrainingLog
from tests.models.conftest import Data


def drawn_sets(data: Data, most: int, log: TrainingLog | None = None) -> ChoiceSets:
    """Sets of so many moments from the middle of a log on."""
    events = data.log if log is None else log
    moments = find_moments(events, data.catalogue, np.random.default_rng(1))
    moments = moments.take(slice(len(moments) // 2, len(moments) // 2 + most))
    at = situations(data.context, data.catalogue, moments, stale_s=10_800)
    rng = np.random.default_rng(2)
    return joined(choice_sets(events, data.catalogue, moments, at, rng))
