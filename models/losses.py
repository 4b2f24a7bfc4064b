"""Losses, each with the switches that change what it estimates."""

from typing import Any

import tensorflow as tf

#: Added to a logit that must not count; finite, since inf - inf would be NaN.
MASKED = -1e9


def sampled_softmax(positive: Any, sampled: Any, log_expected: Any, excluded: Any) -> Any:
    """Softmax cross-entropy of the positive among itself and sampled negatives, per row.

    The logQ correction (Bengio and Senecal, 2008; Yi et al., 2019) takes from each negative the
    log of how often it is expected in the sample, so that the loss estimates the softmax over
    all places and not one in which popular (often sampled) places are punished twice. The
    positive is not sampled, so it is left as it is.

    Args:
        positive: float[b], logit of the true place.
        sampled: float[b, n], logits of sampled places.
        log_expected: float, broadcasts to [b, n]: log of the expected number of times that a
            place is drawn into this row's sample; zeros switch the correction off.
        excluded: bool[b, n], samples that must not count (the true place drawn by accident).

    Returns:
        float[b], nats.
    """
    corrected = tf.where(excluded, MASKED, sampled - log_expected)
    logits = tf.concat([positive[:, None], corrected], axis=1)
    return tf.reduce_logsumexp(logits, axis=1) - positive


def binary_cross_entropy(labels: Any, logits: Any) -> Any:
    """Mean cross-entropy of yes/no labels (float 0 or 1), nats."""
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))
