"""Arbitrary protobuf messages: hypothesis strategies made of a message's descriptor."""

from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

M = TypeVar("M", bound=Message)
Texts = st.SearchStrategy[str]

#: More than any list may hold, in a step that makes them.
LONG_LIST = 1_001
#: Lengths at which a text is refused: of ids, of short texts; and far beyond both.
LENGTHS = (127, 128, 129, 512, 513, 5_000)
#: Numbers that mean something somewhere: limits, levels, degrees, metres.
NUMBERS = (0.0, 1.0, 2.5, 5.0, 40.75, -73.98, 90.0, -180.0, 500.0, 50_000.0, 1e300)
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}

#: Bytes that mean something to a parser of protobuf: endless varints, lengths, groups, nesting.
TOKENS = (b"\xff" * 11, b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 200, b"\x0c", b"\x0a\x00", b"\x00")


def messages(kind: type[M], words: Sequence[str]) -> st.SearchStrategy[M]:
    """Messages of a class with any of their fields, in and out of every range.

    Args:
        kind: the class.
        words: texts that mean something to who reads them.
    """
    # A lone surrogate cannot be put into a message; on the wire, mutations make such bytes.
    anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    brief = st.sampled_from(tuple(words)) | anything
    texts = brief | st.sampled_from(LENGTHS).map("x".__mul__)
    return _dicts(kind.DESCRIPTOR, texts, brief).map(lambda fields: kind(**fields))


def _dicts(described: Any, texts: Texts, brief: Texts | None) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {}, optional={field.name: _values(field, texts, brief) for field in described.fields}
    )


def _values(field: FieldDescriptor, texts: Texts, brief: Texts | None) -> st.SearchStrategy[Any]:
    one = _value(field, texts, brief)
    if not field.is_repeated:
        return one
    few = st.lists(one, max_size=3)
    if brief is None:
        return few
    # What is in a long list is short itself: a thousand requests with a thousand texts of 5,000
    # letters each are 5 GB.
    return few | _value(field, brief, None).map(lambda item: [item] * LONG_LIST)


def _value(field: FieldDescriptor, texts: Texts, brief: Texts | None) -> st.SearchStrategy[Any]:
    """One value; `brief` are the texts of long lists, `None` where there may be none."""
    if field.message_type is not None:
        inner: Any = GetMessageClass(field.message_type)
        return _dicts(field.message_type, texts, brief).map(lambda fields: inner(**fields))
    if field.cpp_type in _INTEGERS:
        return st.integers(-1, 12) | st.integers(*_INTEGERS[field.cpp_type])
    kinds: dict[int, st.SearchStrategy[Any]] = {
        FieldDescriptor.CPPTYPE_DOUBLE: st.sampled_from(NUMBERS) | st.floats(),
        FieldDescriptor.CPPTYPE_FLOAT: st.sampled_from(NUMBERS) | st.floats(width=32),
        FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
        FieldDescriptor.CPPTYPE_STRING: texts,
    }
    return kinds[field.cpp_type]
