"""What live tests make of the shipped files differs from them in durations and in nothing else."""

import re
from typing import Any

import yaml

from tests.docker.faster import FASTER, faster, faster_alertmanager, faster_query, faster_rules
from tests.docker.project import ROOT
from tests.docker.series import queries, rule_files


def without_durations(value: Any) -> str:
    """A text in which every duration is the same."""
    return re.sub(r"\b\d+(?:ms|[smhdw])\b", "-", yaml.safe_dump(value, width=10_000))


def test_durations_are_divided() -> None:
    """By FASTER, in milliseconds."""
    assert FASTER == 30
    assert [faster(long) for long in ("1m", "5m", "1h", "7d")] == [
        "2000ms",
        "10000ms",
        "120000ms",
        "20160000ms",
    ]


def test_ranges_and_offsets_are_divided_and_marks_are_not() -> None:
    """`600` is what the age is held against, and stays."""
    assert (
        faster_query("time() - a > 600 or rate(b[$__rate_interval]) or c:rate5m offset 15m")
        == "time() - a > 600 or rate(b[10000ms]) or c:rate5m offset 30000ms"
    )


def test_rules_keep_all_but_their_durations() -> None:
    """Each shipped file, before and after; something did change in most."""
    changed = 0
    for path in rule_files():
        shipped = yaml.safe_load(path.read_text(encoding="utf-8"))
        quick = faster_rules(shipped)
        assert without_durations(quick) == without_durations(shipped)
        changed += quick != shipped
    assert changed >= len(rule_files()) - 1


def test_queries_keep_all_but_their_durations() -> None:
    """Those of the dashboards."""
    for query in queries():
        assert without_durations(faster_query(query)) == without_durations(query)


def test_alertmanager_keeps_its_routes() -> None:
    """Only the waits are divided, and the receiver has somebody to tell."""
    shipped = yaml.safe_load((ROOT / "docker/alertmanager/alertmanager.yml").read_text())
    quick = faster_alertmanager(shipped, "http://here/")
    assert quick["route"]["group_wait"] == faster(shipped["route"]["group_wait"])
    (receiver,) = quick["receivers"]
    assert receiver.pop("webhook_configs") == [{"url": "http://here/", "send_resolved": True}]
    assert without_durations(quick) == without_durations(shipped)
