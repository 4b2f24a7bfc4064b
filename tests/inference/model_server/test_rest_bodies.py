"""JSON on the edge: what readers of JSON disagree about, and what Python's cannot hold."""

import json

import pytest

from tests.inference.model_server.test_rest import Call
from tests.inference.model_server.test_rest import call as call
from tests.inference.model_server.test_rest import rest_port as rest_port

M, PAIR, E = "/v1/models/m:predict", "/v1/models/pair:predict", "/v1/models/e:regress"
TOO_BIG = "JSON Parse error: Number too big to be stored in double."
HALF_PAIR = "JSON Parse error: The surrogate pair in string is invalid."


def total(numbers: str) -> bytes:
    """A body for the signature that adds the weight, 3."""
    return b'{"signature_name": "total", "inputs": [%s]}' % numbers.encode()


def named(name: str) -> bytes:
    """A body for the model that gives a name back, written as JSON."""
    return b'{"inputs": {"point": [[1, 2]], "name_bytes": [%s]}}' % name.encode()


def on_example(x: str) -> bytes:
    """A body for the signature that gives an example's feature back."""
    return b'{"signature_name": "regress", "examples": [{"x": %s}]}' % x.encode()


def nested(depth: int, value: str = "1") -> str:
    """A value in so many lists."""
    return "[" * depth + value + "]" * depth


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (M, total("9" * 5_000), TOO_BIG),
        (M, total("1" + "0" * 400), TOO_BIG),
        (M, total("1e999"), TOO_BIG),
        (M, b'{"unread": -1e999, "inputs": [1]}', TOO_BIG),
        (E, on_example("9" * 5_000), TOO_BIG),
        (PAIR, named(r'"\ud800"'), HALF_PAIR),
        (PAIR, named(r'"\uDBFF\u0041"'), HALF_PAIR),
        (M, rb'{"signature_name": "\ud800", "inputs": [1]}', HALF_PAIR),
        (M, rb'{"\ud800": 0, "inputs": [1]}', HALF_PAIR),
        (E, rb'{"examples": [{"\ud800": 1.0}]}', HALF_PAIR),
        (E, on_example(r'"\ud800"'), HALF_PAIR),
        (M, rb'{"signature_name": "\udc00", "inputs": [1]}', "can't encode"),
        (E, rb'{"examples": [{"\udc00": 1.0}]}', "can't encode"),
        (M, total(nested(64)), "64, found 65"),
        (M, b'{"instances": %s}' % nested(65).encode(), "64, found 65"),
        (M, total(nested(900)), "JSON Parse error: "),
        (M, nested(960).encode(), "JSON "),
        (M, total(nested(100_000)), "JSON Parse error: "),
        (M, b'{"inputs": [\xff]}', "JSON Parse error: "),
        (PAIR, named('{"b64": "aGk=="}'), "Unable to base64 decode"),
        (PAIR, named('{"b64": "a"}'), "Unable to base64 decode"),
        (PAIR, named('{"b64": "="}'), "Unable to base64 decode"),
        (PAIR, named('{"b64": "aG=k"}'), "Unable to base64 decode"),
        (PAIR, named('{"b64": "aG-_"}'), "Unable to base64 decode"),
        (PAIR, named('{"b64": "aGé"}'), "Unable to base64 decode"),
    ],
)
def test_what_cannot_be_read_is_the_callers_fault(
    call: Call, path: str, body: bytes, message: str
) -> None:
    """Each is 400, in the real server's words where its parser says so."""
    status, answer = call(path, body)
    assert status == 400
    assert message in answer["error"]


@pytest.mark.parametrize(
    ("base64", "text"),
    [("aGk=", "hi"), ("aGk", "hi"), ("aGk.", "hi"), (" a Gk\t=\n", "hi"), ("aA", "h"), ("", "")],
)
def test_base64_needs_no_padding(call: Call, base64: str, text: str) -> None:
    """Nor does it mind spaces, or dots for padding: absl's reader."""
    status, answer = call(PAIR, named(json.dumps({"b64": base64})))
    assert status == 200
    assert answer["outputs"]["name"] == [text]


def test_half_a_pair_that_the_real_parser_lets_through(call: Call) -> None:
    """The second half alone is three bytes like any character; a whole pair is four."""
    status, answer = call(PAIR, named(r'"\udc00", "\ud83d\ude00"'))
    assert status == 200
    assert answer["outputs"]["name_bytes"] == [
        {"b64": "7bCA"},  # ED B0 80
        {"b64": "8J+YgA=="},  # F0 9F 98 80
    ]


def test_long_integers_are_doubles(call: Call) -> None:
    """Beyond 64 bits a number without a point is read like one with it."""
    status, answer = call(M, total(f"{10**30}, {2**64 - 1}, {-(2**63)}"))
    assert status == 200
    # As float32, which has 24 bits, three more change nothing.
    assert answer["outputs"] == [1e30, 1.8446744e19, -9.223372e18]
    assert call(E, on_example(str(10**20))) == (200, {"results": [1e20]})
    refused = "Feature: x has uint64_t element. Only int64_t is supported."
    assert call(E, on_example(str(2**63))) == (400, {"error": refused})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"context": 3, "examples": 4}', "Example must be JSON object but got JSON Number"),
        (
            '{"context": {}}',
            "JSON Value: {\n    \"context\": {}\n} When method is classify, key 'examples' is "
            "expected and was not found",
        ),
        (
            f'{{"examples": [{{"x": [1.5, {2**63}]}}]}}',
            "Unexpected element type in feature: x expecting type: float",
        ),
        (
            '{"examples": [{"x": [1, {"b64": "?"}]}]}',
            "Unexpected element type in feature: x expecting type: int64",
        ),
        (
            '{"examples": [{"x": [1, null]}]}',
            "Feature: x has element with unexpected JSON type: Null",
        ),
    ],
)
def test_the_first_fault_is_the_real_servers(call: Call, body: str, message: str) -> None:
    """The context before the examples; a value's JSON type, then its kind of list, then itself."""
    assert call(E, body.encode()) == (400, {"error": message})


def test_a_byte_order_mark_is_skipped(call: Call) -> None:
    """As the real server's stream skips it."""
    assert call(M, b"\xef\xbb\xbf" + total("1")) == (200, {"outputs": [4.0]})


@pytest.mark.parametrize("digits", [str(2**63), "9" * 5_000, "0" * 5_000 + str(2**64)])
@pytest.mark.parametrize("method", [":predict", ""])
def test_a_version_beyond_an_int64_is_no_number(call: Call, digits: str, method: str) -> None:
    """Asked for an inference or for the state."""
    body = total("1") if method else None
    assert call(f"/v1/models/m/versions/{digits}{method}", body) == (
        400,
        {"error": f"Failed to convert version: {digits} to numeric."},
    )


def test_a_version_with_leading_zeros_is_that_version(call: Call) -> None:
    """However many."""
    path = f"/v1/models/m/versions/{'0' * 5_000}2:predict"
    assert call(path, total("1")) == (200, {"outputs": [3.0]})
