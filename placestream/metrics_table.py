"""Makes the table of all metrics, docs/metrics.md: `make stubs`, or
`python -m placestream.metrics_table`.

All words are those that the code gives its metrics. Only here is it said which module's metrics
which role shows.
"""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from contracts.settings import Settings
from inference.model_server.metrics import PATH, Family

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = Path("docs/metrics.md")
#: Role to the module that owns its metrics, at its top or in its class `Metrics`.
MODULES: Final = {
    "stream": "streams.metrics",
    "serve": "inference.metrics",
    "retrain": "retrain.metrics",
    "model-server": "inference.model_server.metrics",
}
#: Series that a metric of a type has, besides those of its name alone.
SUFFIXES: Final = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}

_PORT = {name: str(field.default) for name, field in Settings.model_fields.items()}
_HEAD: Final = f"""# Metrics

Made from the code by `make stubs`; do not edit by hand. What is made of them (rates, quantiles,
shares) is recorded in `docker/prometheus/rules/`, alerts are explained in
[runbooks/](runbooks/README.md), and the dashboards of Grafana show them.

The roles show theirs at `/metrics`: `stream` at port {_PORT["stream_metrics_port"]}, `serve` at
{_PORT["serve_metrics_port"]}, `retrain` at {_PORT["retrain_metrics_port"]}; the model server at
`{PATH}` of its REST port, {_PORT["model_server_rest_port"]}
(TensorFlow Serving under the same names, and more of its own). Metrics of Python and of the process
(`python_*`, `process_*`) come with the first three. The console has none. How drift and served
quality are measured: [drift.md](drift.md); experiments: [rollout.md](rollout.md).
"""


@dataclass(frozen=True)
class Described:
    """One metric.

    Attributes:
        role: whose page it is on.
        name: as Prometheus is asked for it; of a histogram without `_bucket` and the like.
        type: `counter`, `gauge` or `histogram`.
        labels: names of its labels, without those that Prometheus adds.
        what: it measures.
    """

    role: str
    name: str
    type: str
    labels: tuple[str, ...]
    what: str

    @property
    def series(self) -> tuple[str, ...]:
        """Names of its series."""
        return tuple(self.name + suffix for suffix in SUFFIXES[self.type])


def described() -> list[Described]:
    """All metrics of all roles, in the order of the code."""
    return [
        one
        for role, name in MODULES.items()
        for one in _of_module(role, importlib.import_module(name))
    ]


def _of_module(role: str, module: ModuleType) -> Iterator[Described]:
    holders = [vars(module)]
    if hasattr(module, "Metrics"):
        holders.append(vars(module.Metrics()))
    for value in (value for holder in holders for value in holder.values()):
        if isinstance(value, Family):
            yield Described(role, value.name, value.kind, value.labels, value.what)
        elif isinstance(value, MetricWrapperBase):
            (family,) = value.describe()
            # The library tells a metric's labels to nobody else.
            labels = tuple(value._labelnames)
            name = family.name + ("_total" if family.type == "counter" else "")
            yield Described(role, name, family.type, labels, family.documentation)


def page() -> str:
    """The page as the code is now."""
    lines = ["| role | metric | type | labels | what |", "| --- | --- | --- | --- | --- |"]
    for one in described():
        labels = ", ".join(f"`{label}`" for label in one.labels)
        what = " ".join(one.what.split()).rstrip(".").replace("|", r"\|")
        lines.append(f"| {one.role} | `{one.name}` | {one.type} | {labels} | {what} |")
    return "\n".join([_HEAD, *lines]) + "\n"


def main() -> int:
    """Write the page."""
    (ROOT / DOCS).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
