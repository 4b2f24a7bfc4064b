"""Losses against values worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, logsumexp

from models.losses import binary_cross_entropy, sampled_softmax


def test_a_positive_among_equals_costs_the_log_of_their_number() -> None:
    """One positive and three negatives of equal logits: log 4."""
    loss = sampled_softmax(tf.zeros([1]), tf.zeros([1, 3]), 0.0, tf.zeros([1, 3], tf.bool))
    assert loss.numpy()[0] == pytest.approx(np.log(4))


def test_accidental_hits_do_not_count() -> None:
    """The positive drawn as its own negative is left out: log 3."""
    excluded = tf.constant([[True, False, False]])
    loss = sampled_softmax(tf.zeros([1]), tf.zeros([1, 3]), 0.0, excluded)
    assert loss.numpy()[0] == pytest.approx(np.log(3))


def test_log_q_corrects_for_what_is_drawn_often() -> None:
    """A negative expected three times weighs a third: log(1 + 1/3)."""
    log_expected = tf.math.log([[3.0]])
    loss = sampled_softmax(tf.zeros([1]), tf.zeros([1, 1]), log_expected, tf.zeros([1, 1], tf.bool))
    assert loss.numpy()[0] == pytest.approx(np.log(4 / 3))


def test_with_the_correction_many_samples_give_the_full_softmax() -> None:
    """20,000 negatives drawn by a skewed distribution estimate the loss over all 50 places."""
    rng = np.random.default_rng(2)
    logits = rng.normal(size=50)
    share = rng.dirichlet(np.ones(50))
    drawn = rng.choice(50, 20_000, p=share)
    loss = sampled_softmax(
        tf.constant(logits[:1], tf.float32),
        tf.constant(logits[drawn][None], tf.float32),
        tf.constant(np.log(20_000 * share[drawn])[None], tf.float32),
        tf.constant((drawn == 0)[None]),
    )
    assert loss.numpy()[0] == pytest.approx(-log_softmax(logits)[0], abs=0.05)
    uncorrected = logsumexp(np.r_[logits[0], logits[drawn[drawn != 0]]]) - logits[0]
    assert uncorrected > 2 * loss.numpy()[0]


def test_binary_cross_entropy_by_hand() -> None:
    """Logits log 3 and 0 are chances 3/4 and 1/2: -(log 3/4 + log 1/2) / 2."""
    loss = binary_cross_entropy(
        tf.constant([1.0, 0.0]), tf.constant([np.log(3.0), 0.0], tf.float32)
    )
    assert float(loss) == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2)
