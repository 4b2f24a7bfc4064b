"""Names of metrics: those that the code makes, and those that rules, dashboard and docs ask for."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from tests.docker.project import ROOT

#: Modules in which roles own their metrics.
MODULES = ("streams.metrics", "inference.metrics", "retrain.metrics")
#: Series that a metric of a type has, besides its name.
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
#: Not ours: Prometheus' own and TensorFlow Serving's (servables/tensorflow/util.cc there).
FOREIGN = {
    "up": {"job", "instance"},
    "ALERTS": {"alertname", "alertstate", "severity"},
    ":tensorflow:serving:request_count": {"model_name", "status", "job", "instance"},
}

_NAME = re.compile(r"(?<![\w:$.{\"])([a-zA-Z_:][\w:]*)\s*(?=[{\[)\s+\-*/<>=,]|$)")
#: What else looks like a name, in the parts of the language that are used here.
_WORDS = {"sum", "max", "rate", "increase", "histogram_quantile", "absent", "vector", "topk"}
_WORDS |= {"or", "and", "unless", "offset", "5m", "15m"}


def families(module: Any) -> list[Metric]:
    """Metrics that a module makes: at its top, or in the registry of its class `Metrics`."""
    found = []
    for value in vars(module).values():
        if isinstance(value, MetricWrapperBase):
            found += list(value.describe())
    if hasattr(module, "Metrics"):
        registry: CollectorRegistry = module.Metrics().registry
        found += list(registry.collect())
    return [family for family in found if family.name.startswith("placestream_")]


def metrics() -> dict[str, Metric]:
    """All metrics of ours, by name."""
    everything = [f for name in MODULES for f in families(importlib.import_module(name))]
    return {family.name: family for family in everything}


def series() -> set[str]:
    """Names of all series of ours."""
    return {name + s for name, family in metrics().items() for s in SUFFIXES[family.type]}


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


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    path = ROOT / "docker/grafana/dashboards/placestream.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def queries() -> list[str]:
    """Every query of the dashboard, with Grafana's own variable filled in."""
    board = dashboard()
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    found += [note["expr"] for note in board["annotations"]["list"]]
    return [query.replace("$__rate_interval", "5m") for query in found]


def names_in(expression: str) -> set[str]:
    """Names of series in a PromQL expression (labels and words of the language left out)."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}", "{}", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    return {name for name in _NAME.findall(bare) if name not in _WORDS}
