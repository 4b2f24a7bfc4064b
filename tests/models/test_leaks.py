"""Planted leaks, each seen caught; what is honest passes."""

from dataclasses import replace

import numpy as np
import pytest

from contracts.settings import Settings
from models import dataset, fit_pair
from models.choice_sets import ChoiceSets, choice_sets
from models.dataset import situations
from models.leaks import Knowledge, check_labels, check_out_of_fold, check_parts
from models.moments import Moments, find_moments
from models.progress import SILENT
from models.quality.leaks import Leak
from models.table_candidates import PastParts
from models.training_rows import Dataset
from tests.models.conftest import Data

STALE_S = 10_800.0


@pytest.fixture(scope="module")
def sets(data: Data) -> ChoiceSets:
    """Sixty sets from the middle of the log."""
    moments = find_moments(data.log, data.catalogue, np.random.default_rng(1))
    moments = moments.take(slice(len(moments) // 2, len(moments) // 2 + 60))
    at = situations(data.context, data.catalogue, moments, stale_s=STALE_S)
    rng = np.random.default_rng(2)
    (made,) = choice_sets(data.log, data.catalogue, moments, at, rng)
    return made


@pytest.fixture(scope="module")
def built(data: Data) -> Dataset:
    return dataset.build(
        data.log,
        data.catalogue,
        data.context,
        seed=1,
        max_events=10**9,
        stale_s=STALE_S,
        train_rows=False,
    )


def test_tables_of_the_past_pass(data: Data, sets: ChoiceSets) -> None:
    """Each fold reads what lies before it."""
    parts = PastParts(data.log, data.catalogue, sets.moments.before, 50).of(sets)
    assert np.isfinite(parts).all()


def test_tables_that_know_their_fold_end_the_training(data: Data, sets: ChoiceSets) -> None:
    """Cut one event too late, they have counted the choice that they describe."""
    parts = PastParts(data.log, data.catalogue, sets.moments.before + 1, 50)
    with pytest.raises(Leak, match="describe a moment"):
        parts.of(sets)


def test_folds_that_are_not_cut_by_time_end_the_training(data: Data, sets: ChoiceSets) -> None:
    """Sets in any order: some read tables of what comes after them."""
    order = np.random.default_rng(3).permutation(len(sets))
    moments = sets.moments.take(order)
    mixed = replace(
        sets,
        **{n: getattr(sets, n)[order] for n in ("places", "log_expected", "features")},
        crowd=sets.crowd[order],
        users=sets.users[order],
        moments=moments,
    )
    with pytest.raises(Leak):
        PastParts(data.log, data.catalogue, moments.before, 50).of(mixed)


@pytest.mark.parametrize(
    ("knows", "leaks"),
    [
        (Knowledge(10, 99.0), False),
        (Knowledge(10, 100.0), False),
        (Knowledge(11, 99.0), True),
        (Knowledge(10, 100.5), True),
        (Knowledge(0, -np.inf), False),
    ],
)
def test_tables_may_know_what_lies_before_the_oldest_moment(knows: Knowledge, leaks: bool) -> None:
    """By position and by time, since neither alone tells of both clocks."""
    none = np.zeros(2)
    moments = Moments(
        before=np.array([10, 20]),
        user=np.ones(2, np.uint64),
        place=np.zeros(2, np.int64),
        time_s=np.array([100.0, 200.0]),
        known_s=np.array([100.0, 200.0]),
        lat=none,
        lng=none,
    )
    if leaks:
        with pytest.raises(Leak):
            check_out_of_fold(knows, moments)
    else:
        check_out_of_fold(knows, moments)


def test_a_split_that_trains_on_what_is_known_only_later_ends_the_training(
    data: Data, built: Dataset, training: Settings
) -> None:
    """A choice of the train part whose visit came in the validation part."""
    check_parts([built.train.moments, built.validation.moments, built.test.moments])
    known_s = built.train.moments.known_s.copy()
    known_s[5] = built.validation.moments.time_s.max()
    train = replace(built.train, moments=replace(built.train.moments, known_s=known_s))
    with pytest.raises(Leak, match="1 of"):
        fit_pair.fit_pair(data.log, data.catalogue, replace(built, train=train), training, SILENT)


def test_a_label_that_is_not_settled_ends_the_training() -> None:
    """A served answer whose window ends at the cut: what comes at that moment may change it."""
    answered_s = np.array([0.0, 99.0])
    check_labels(answered_s, window_s=86_400.0, until_s=86_500.0)
    with pytest.raises(Leak, match="1 of 2 labels of served answers"):
        check_labels(answered_s, window_s=86_401.0, until_s=86_500.0)
