"""The shipped rules, queries and routes in a hurry: every duration in them divided by FASTER.

What is shipped stays as it is; a test transforms it. So a test of minutes sees an alert that waits
for an hour, with the expressions, thresholds, labels and routes that are shipped. Divided are
ranges (`[5m]`), `offset`, `for` and `interval` of rules, and the waits of Alertmanager's route.
Left alone are numbers that an expression compares with (`> 600` s): they are what is judged.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.docker import series
from tests.docker.project import ROOT

#: Minutes of the rules are two seconds here, so that a test takes seconds; of one second, a busy
#: machine could miss all scrapes that it takes for a role to count as gone.
FASTER = 30

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = r"\d+(?:ms|[smhdw])"


def faster(duration: str) -> str:
    """A duration (`5m`), divided."""
    amount, unit = re.fullmatch(r"(\d+)(\w+)", duration).groups()  # type: ignore[union-attr]
    return f"{int(amount) * _UNITS_MS[unit] // FASTER}ms"


def faster_query(expression: str) -> str:
    """An expression with its ranges and offsets divided; Grafana's own range is five minutes."""
    expression = expression.replace("$__rate_interval", "5m")
    expression = re.sub(rf"\[({_DURATION})\]", lambda m: f"[{faster(m[1])}]", expression)
    return re.sub(rf"\boffset ({_DURATION})", lambda m: f"offset {faster(m[1])}", expression)


def faster_rules(rules: dict[str, Any]) -> dict[str, Any]:
    """A file of rules, divided."""
    groups = []
    for group in rules["groups"]:
        waits = {"interval": faster(group["interval"])} if "interval" in group else {}
        groups.append({**group, **waits, "rules": [_faster_rule(rule) for rule in group["rules"]]})
    return {"groups": groups}


def _faster_rule(rule: dict[str, Any]) -> dict[str, Any]:
    waits = {"for": faster(rule["for"])} if "for" in rule else {}
    return {**rule, **waits, "expr": faster_query(rule["expr"])}


def faster_alertmanager(config: dict[str, Any], webhook: str) -> dict[str, Any]:
    """Alertmanager's configuration with its waits divided, and its receiver calling a webhook."""
    waits = {name: faster(config["route"][name]) for name in config["route"] if _waits(name)}
    calling = [{"url": webhook, "send_resolved": True}]
    receivers = [{**receiver, "webhook_configs": calling} for receiver in config["receivers"]]
    return {**config, "route": {**config["route"], **waits}, "receivers": receivers}


def _waits(name: str) -> bool:
    return name in ("group_wait", "group_interval", "repeat_interval")


def write_rules(folder: Path) -> None:
    """Our rules, divided, into a folder."""
    folder.mkdir()
    for path in series.rule_files():
        rules = faster_rules(yaml.safe_load(path.read_text(encoding="utf-8")))
        (folder / path.name).write_text(yaml.safe_dump(rules))


def write_alertmanager(path: Path, webhook: str) -> None:
    """Our Alertmanager's configuration, divided, calling a webhook."""
    config = yaml.safe_load((ROOT / "docker/alertmanager/alertmanager.yml").read_text())
    path.write_text(yaml.safe_dump(faster_alertmanager(config, webhook)))


def write_prometheus(
    path: Path, addresses: dict[str, str], alertmanager: str, every: str = "250ms"
) -> None:
    """Our Prometheus's configuration with fixed addresses by job in place of DNS names.

    It scrapes and judges `every` so often; not divided, for a scrape takes as long as it takes.
    """
    config = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": every, "evaluation_interval": every}
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    jobs = [job for job in config["scrape_configs"] if job["job_name"] in addresses]
    for job in jobs:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [addresses[job["job_name"]]]}]
    config["scrape_configs"] = jobs
    path.write_text(yaml.safe_dump(config))
