"""The reference of the protocol is that of the committed proto, and leaves nothing unsaid."""

import pytest

from contracts.make_api_docs import DOCS, api_docs
from contracts.make_stubs import ROOT
from contracts.placestream.v1 import recommendation_pb2 as pb


@pytest.fixture(scope="module")
def page() -> str:
    """The reference as the proto is now."""
    return api_docs()


def test_the_page_is_up_to_date(page: str) -> None:
    """Whoever changes the proto runs `make stubs`."""
    assert (ROOT / DOCS).read_text(encoding="utf-8") == page


def test_all_of_the_protocol_is_in_it(page: str) -> None:
    """Every method, message, field and value."""
    (service,) = pb.DESCRIPTOR.services_by_name.values()
    for method in service.methods:
        assert f"| `{method.name}` |" in page
    for message in pb.DESCRIPTOR.message_types_by_name.values():
        assert f"\n### {message.name}\n" in page
        for field in message.fields:
            assert f"| `{field.name}` |" in page
    for enum in pb.DESCRIPTOR.enum_types_by_name.values():
        for value in enum.values:
            assert f"| `{value.name}` | {value.number} |" in page


def test_types_and_comments_come_through(page: str) -> None:
    """A line of each kind, as a reader sees it."""
    for line in (
        "| `places` | repeated [RecommendedPlace](#recommendedplace) | |",
        "| `feature_age` | `google.protobuf.Duration` | Age of the user's newest known event; "
        "absent for an unknown user. |",
        "| `model_versions` | map of string to int64 | Model name to the version that answered. |",
        "| `SHORTFALL_NO_PLACES_NEAR` | 1 | the catalogue has none within reach |",
        "| `error` | `google.rpc.Status` (one of `result`) | Code, text and details as Recommend "
        "would have ended with. |",
    ):
        assert line.replace("| |", "|  |") in page


def test_every_method_is_explained(page: str) -> None:
    """No empty last cell in the table of methods."""
    (service,) = pb.DESCRIPTOR.services_by_name.values()
    for method in service.methods:
        (line,) = [ln for ln in page.splitlines() if ln.startswith(f"| `{method.name}` |")]
        assert not line.endswith("|  |")
