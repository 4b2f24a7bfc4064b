"""Names of metrics: those that the code makes, and those that rules, boards and docs ask for."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from placestream.metrics_table import Described, described
from tests.docker.project import ROOT

#: Not ours: Prometheus' own and TensorFlow Serving's (servables/tensorflow/util.cc there).
FOREIGN = {
    "up": {"job", "instance"},
    "ALERTS": {"alertname", "alertstate", "severity"},
    ":tensorflow:serving:request_count": {"model_name", "status", "job", "instance"},
    ":tensorflow:serving:request_latency_bucket": {"model_name", "API", "entrypoint", "le"},
}

_NAME = re.compile(r"(?<![\w:$.{\"])([a-zA-Z_:][\w:]*)\s*(?=[{\[)\s+\-*/<>=,]|$)")
#: What else looks like a name, in the parts of the language that are used here.
_WORDS = {
    "sum",
    "max",
    "min",
    "count_values",
    "label_replace",
    "avg_over_time",
    "max_over_time",
    "bool",
    "sqrt",
    "time",
    "rate",
    "increase",
    "histogram_quantile",
    "absent",
    "vector",
    "topk",
}
_WORDS |= {"or", "and", "unless", "offset", "5m", "15m"}


@cache
def metrics() -> dict[str, Described]:
    """All metrics of our roles, by name; the model server's are TensorFlow Serving's."""
    return {one.name: one for one in described() if one.name.startswith("placestream_")}


def series() -> dict[str, Described]:
    """All series of ours, by name."""
    return {name: one for one in metrics().values() for name in one.series}


def rule_files() -> list[Path]:
    """Files of rules, in order."""
    return sorted((ROOT / "docker/prometheus/rules").glob("*.yml"))


def rules() -> list[dict[str, Any]]:
    """Every rule."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in rule_files()]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Rules that alert, by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


@cache
def dashboards() -> dict[str, dict[str, Any]]:
    """The dashboards, by name."""
    folder = ROOT / "docker/grafana/dashboards"
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*"))}


def queries() -> list[str]:
    """Every query of the dashboards, with Grafana's own variable filled in."""
    found = []
    for board in dashboards().values():
        found += [query["expr"] for panel in board["panels"] for query in panel.get("targets", [])]
        found += [note["expr"] for note in board["annotations"]["list"]]
    return [query.replace("$__rate_interval", "5m") for query in found]


def names_in(expression: str) -> set[str]:
    """Names of series in a PromQL expression (labels and words of the language left out)."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}", "{}", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    return {name for name in _NAME.findall(bare) if name not in _WORDS}
