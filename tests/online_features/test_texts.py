"""Texts by row, against a list."""

import numpy as np
import pytest

from online_features.texts import MOST_WASTED_BYTES, Texts


def test_texts_are_a_list_of_texts() -> None:
    """Of any script, empty ones and none among them, also after many changes."""
    rng, texts, expected = np.random.default_rng(3), Texts(), list[str | None]()
    some = ["", None, "café", "東京", "x" * 300, "a"]
    for i in range(3_000):
        expected.append(some[i % len(some)])
        texts.append(expected[-1])
    for at in rng.integers(3_000, size=2_000).tolist():
        expected[at] = some[int(rng.integers(len(some)))]
        texts.replace(at, expected[at])
    assert list(texts) == expected
    assert (texts[-1], texts[5:8], len(texts)) == (expected[-1], expected[5:8], 3_000)
    with pytest.raises(IndexError):
        texts[3_000]


def test_replaced_texts_do_not_pile_up() -> None:
    """Whatever is replaced for ever, what is kept stays within a bound."""
    texts = Texts()
    texts.append("first")
    for i in range(5 * MOST_WASTED_BYTES // 10):
        texts.replace(0, f"text {i:05d}")
    assert len(texts._held[0]) < 2 * MOST_WASTED_BYTES
    assert texts[0] == f"text {i:05d}"
