"""Arbitrary events: hypothesis strategies made of a schema's msgspec type, and odd JSON."""

import json
import math
import random
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec.inspect as kinds
from hypothesis import strategies as st

#: What JSON's readers disagree about, as text: numbers beyond a double, names that are none,
#: lone surrogates, deep nesting, a byte-order mark, comments.
TOKENS = tuple(
    text.encode(errors="surrogatepass")
    for text in (
        *("1e400", "-1e400", "1e-400", "9" * 40, "9" * 400, "9" * 5_000, "-0", "01", "1."),
        *("NaN", "-Infinity", r'"\ud800"', r'"\udc00x"', r'"\u0000"', "\ud800", "\ufeff", "//"),
        *("[" * 2_000, '{"a":' * 2_000, "null", "true", '"', ",", ":", "{", "}", '"user_id":1,'),
    )
)
#: Which share of its fields a good event has drawn anew.
CHANGED = 0.5
_NUMBERS = st.integers(-2, 10) | st.floats() | st.integers() | st.sampled_from((10**40, -(10**400)))
_TEXTS = st.text(max_size=20) | st.integers(0, 600).map("x".__mul__)
_ANYTHING = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


def events(
    schema: type, good: Mapping[str, Any], words: Sequence[str], odd: Sequence[str]
) -> st.SearchStrategy[bytes]:
    """JSON of a schema with any of its fields.

    A third is a good event with some fields drawn anew by their types, a third is drawn whole
    by the types, and in a third a value may be anything.

    Args:
        schema: a msgspec struct.
        good: an event.
        words: texts that mean something to who reads them, moments among them.
        odd: texts for the last third.
    """
    described = kinds.type_info(schema)
    right = Values(st.sampled_from(tuple(words))).of(described)
    strange = Values(st.sampled_from((*words, *odd)) | _TEXTS, odd=True).of(described)
    either = right | strange

    some = st.builds(_changed, st.just(good), either, st.integers(0, 2**64).map(random.Random))
    return (some | right | strange).map(_as_json)


def _changed(good: Any, drawn: Any, rng: random.Random) -> Any:
    """A good value with some of what was drawn, at each level of it."""
    if not isinstance(good, Mapping) or not isinstance(drawn, dict):
        return drawn
    taken = [name for name in drawn if rng.random() < CHANGED]
    return dict(good) | {name: _changed(good.get(name), drawn[name], rng) for name in taken}


def _as_json(value: Any) -> bytes:
    # With NaN and Infinity, and with lone surrogates escaped: what lenient writers send.
    return json.dumps(value).encode()


@dataclass(frozen=True)
class Values:
    """Makes values of msgspec's types.

    Attributes:
        words: texts, and moments.
        odd: whether a value may be of another type, or out of bounds, now and then.
    """

    words: st.SearchStrategy[str]
    odd: bool = False

    def of(self, kind: kinds.Type) -> st.SearchStrategy[Any]:
        """Values of a type."""
        right = self._right(kind)
        if not self.odd:
            return right
        return st.integers(0, 9).flatmap(lambda n: right if n else _ANYTHING)

    def _right(self, kind: kinds.Type) -> st.SearchStrategy[Any]:
        if isinstance(kind, kinds.StructType):
            needed = {f.encode_name: self.of(f.type) for f in kind.fields if f.required}
            optional = {f.encode_name: self.of(f.type) for f in kind.fields if not f.required}
            return st.fixed_dictionaries(needed, optional=optional)
        if isinstance(kind, kinds.UnionType):
            return st.one_of([self._right(one) for one in kind.types])
        if isinstance(kind, kinds.LiteralType):
            return st.sampled_from(kind.values)
        if isinstance(kind, kinds.ListType):
            return st.lists(self.of(kind.item_type), max_size=3)
        if isinstance(kind, kinds.DictType):
            return st.dictionaries(self.words, self.of(kind.value_type), max_size=3)
        if isinstance(kind, kinds.FloatType | kinds.IntType):
            return self._number(kind)
        leaves: dict[type, st.SearchStrategy[Any]] = {
            kinds.NoneType: st.none(),
            kinds.AnyType: _ANYTHING,
            kinds.BytesType: st.binary(max_size=4).map(lambda raw: b64encode(4 * raw).decode()),
        }
        return leaves.get(type(kind), self.words)

    def _number(self, kind: kinds.FloatType | kinds.IntType) -> st.SearchStrategy[Any]:
        least, most = kind.ge, kind.le
        within: st.SearchStrategy[Any] = st.integers(
            None if least is None else math.ceil(least), None if most is None else math.floor(most)
        )
        if isinstance(kind, kinds.FloatType):
            lowest = kind.gt if least is None else least
            within |= st.floats(
                lowest, most, exclude_min=kind.gt is not None, allow_nan=False, allow_infinity=False
            )
        return within | _NUMBERS if self.odd else within
