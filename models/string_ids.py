"""Ids as the strings that producers send, made hashes inside the graph.

The models know ids by `contracts.ids.id64`, which TensorFlow has no operation for. So the strings
of a training's places and categories lie in a lookup table beside their hashes. No string of a
user does: a model outlives who asked to be erased.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from contracts.ids import as_int64, id64
from online_features.catalogue import Catalogue

#: Inputs of a model that are ids.
IDS = frozenset({"history_ids", "place_ids", "user_id", "place_id", "category_id"})
#: What the table says of a string that it does not hold.
_NOT_HELD = -1
#: Numbers of strings that are not held; among so many two are hardly ever the same.
_BUCKETS = 2**62


class StringIds(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Hashes of strings, inside the graph.

    Args:
        known: strings of which the model may know something.
    """

    def __init__(self, known: list[str]) -> None:
        super().__init__()
        distinct = [text for text in dict.fromkeys(known) if text]
        hashes = np.array([0, *(id64(text) for text in distinct)], np.uint64)
        # "" is no id; so the table has a key even if the city has no place.
        keys = tf.constant(["", *distinct], tf.string)
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(keys, tf.constant(as_int64(hashes), tf.int64)),
            default_value=_NOT_HELD,
        )

    @classmethod
    def of(cls, catalogue: Catalogue) -> Self:
        """Those of all places and categories of a catalogue."""
        return cls([*catalogue.ids, *catalogue.categories])

    def __call__(self, texts: Any) -> Any:
        """int64 of the shape of the strings: the hash of a known one, 0 for "" (none).

        Any other string has a number of its own, which no table of a model holds: to the model it
        is unknown, and yet the same place in a history and among those that are scored.
        """
        found = self._table.lookup(texts)
        other = tf.strings.to_hash_bucket_fast(texts, _BUCKETS) + 1
        return tf.where(found == _NOT_HELD, other, found)


def as_strings(takes: Sequence[Any]) -> list[Any]:
    """Types of the inputs of a model that takes its ids as strings."""
    return [
        tf.TensorSpec(spec.shape, tf.string, name=spec.name) if spec.name in IDS else spec
        for spec in takes
    ]


def told_as_strings(
    call: Mapping[str, NDArray[Any]], catalogue: Catalogue
) -> dict[str, NDArray[Any]]:
    """A call of a model with its ids as strings; some string for one that no place has."""
    names = {id64(text): text for text in catalogue.categories}
    names |= dict(zip(catalogue.hash.tolist(), catalogue.ids, strict=True)) | {0: ""}
    return {name: _texts(values, names) if name in IDS else values for name, values in call.items()}


def _texts(ids: NDArray[np.int64], names: Mapping[int, str]) -> NDArray[np.object_]:
    hashes = np.ascontiguousarray(ids).view(np.uint64).ravel().tolist()
    texts = [names.get(hashed, f"unknown {hashed}").encode() for hashed in hashes]
    return np.array(texts, object).reshape(ids.shape)
