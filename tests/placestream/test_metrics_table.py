"""docs/metrics.md has every metric of every role, as the code is now."""

import ast
from collections.abc import Iterator

import pytest

from placestream.metrics_table import DOCS, MODULES, ROOT, described, page
from tests.test_imports import MAY_IMPORT

KINDS = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}


def makers(source: str) -> Iterator[str]:
    """Kinds of metrics that a module takes from the library, and the library as a whole."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "prometheus_client":
            yield from (name.name for name in node.names if name.name in KINDS)
        if isinstance(node, ast.Import):
            yield from (n.name for n in node.names if n.name.split(".")[0] == "prometheus_client")


def test_the_page_is_up_to_date() -> None:
    """Whoever changes a metric runs `make stubs`."""
    assert (ROOT / DOCS).read_text(encoding="utf-8") == page()


def test_no_other_module_makes_metrics() -> None:
    """A role's metrics are where the table looks for them."""
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for room in MAY_IMPORT
        for path in (ROOT / room).rglob("*.py")
        if list(makers(path.read_text(encoding="utf-8")))
    }
    # The model server's are not made by the library (inference/model_server/metrics.py says why).
    assert found == set(MODULES.values()) - {MODULES["model-server"]}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from prometheus_client import Gauge, start_http_server", ["Gauge"]),
        ("import prometheus_client as p", ["prometheus_client"]),
        ("from prometheus_client.parser import text_string_to_metric_families", []),
    ],
)
def test_makers_are_seen(source: str, found: list[str]) -> None:
    """The search that the test above leans on."""
    assert list(makers(source)) == found


def test_every_metric_is_explained_once() -> None:
    """A name belongs to one role, and says what it measures."""
    everything = described()
    assert len({one.name for one in everything}) == len(everything)
    assert [one.name for one in everything if not one.what] == []
    assert {one.role for one in everything} == set(MODULES)


def test_names_follow_prometheus() -> None:
    """Our prefix; counters end in _total, and nothing else does; an id is never a label."""
    for one in described():
        if one.role != "model-server":
            assert one.name.startswith("placestream_")
            assert one.name.endswith("_total") == (one.type == "counter"), one.name
        assert not {"user", "user_id", "place_id", "request_id", "audit_id"} & set(one.labels)
