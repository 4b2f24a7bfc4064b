"""How experiments stand, for people and for programs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import redis
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from contracts.settings import Settings
from online_features.redis_client import blocking_client_of
from retrain.experiments import Entry, Experiment, Experiments
from retrain.keys import ControllerKeys
from retrain.lease import Lease


@dataclass(frozen=True)
class Report:
    """An experiment with its history."""

    experiment: Experiment
    history: list[Entry]


@contextmanager
def told_of_redis(settings: Settings) -> Iterator[None]:
    """Say where Redis was looked for when it does not answer."""
    try:
        yield
    except redis.RedisError as error:
        raise ConnectionError(f"Redis does not answer ({error})") from error


@contextmanager
def _opened(settings: Settings) -> Iterator[Experiments]:
    with told_of_redis(settings), blocking_client_of(settings, socket_timeout=5) as client:
        prefix = settings.key_prefix
        yield Experiments(client, prefix, Lease(client, ControllerKeys(prefix)))


def read_all(settings: Settings) -> list[Experiment]:
    """All experiments, the newest first."""
    with _opened(settings) as experiments:
        return experiments.all()[::-1]


def read_one(settings: Settings, experiment_id: str) -> Report:
    """One experiment.

    Raises:
        NoSuchExperiment: names those that there are.
    """
    with _opened(settings) as experiments:
        return Report(experiments.get(experiment_id), experiments.history(experiment_id))


def as_json(found: Report | Sequence[Experiment]) -> str:
    """Every value."""
    return msgspec.json.encode(found).decode()


def table(found: Sequence[Experiment]) -> RenderableType:
    """A line each."""
    if not found:
        return Text("no experiments yet: one begins when `retrain` has trained a pair")
    lines = Table("id", "state", "since", "against", "why", "audit id")
    for one in found:
        against = "" if one.baseline is None else str(one.baseline)
        lines.add_row(one.id, one.state, moment(one.since_s), against, one.note, one.audit_id)
    return lines


def page(report: Report) -> RenderableType:
    """All that is known of one."""
    one = report.experiment
    head = Text(
        f"{one.id}: {one.state} since {moment(one.since_s)}\n{one.note}\n"
        f"version {one.version} against {one.baseline}; audit id {one.audit_id}"
    )
    history = Table("when", "state", "why", "fence", title="History")
    for entry in report.history:
        history.add_row(moment(entry.at_s), entry.state, entry.note, str(entry.fence))
    return Group(head, *_shadow(one.report), *_canary(one), history)


def _shadow(report: dict[str, Any]) -> list[RenderableType]:
    shadow = report.get("shadow", {})
    if not shadow.get("compared"):
        return []
    return [
        Text(
            f"shadow: {shadow['compared']:,.0f} answers compared, {shadow['failed']:,.0f} failed; "
            f"{shadow.get('overlap', 0):.0%} of the places shared, "
            f"footrule {shadow.get('distance', 0):.2f}, "
            f"the same first place in {shadow.get('same_top', 0):.0%}; models "
            f"{shadow.get('stable_models_ms', 0):.1f} ms, new "
            f"{shadow.get('canary_models_ms', 0):.1f} ms"
        )
    ]


def _canary(one: Experiment) -> list[RenderableType]:
    report = one.report
    if "metrics" not in report:
        return []
    users = report["users"]
    level = 100 * (1 - report["alpha_each"])
    lines = Table(
        "metric", "stable", "canary", "effect", f"{level:g} % interval, always valid", "margin", "p"
    )
    for name, row in report["metrics"].items():
        unit = " %" if row["scale"] == "relative" else " points"
        lines.add_row(
            name,
            number(row["stable"]),
            number(row["canary"]),
            percent(row["effect"]) + unit,
            f"{percent(row['low'])} to {percent(row['high'])}",
            f"{'-' if row['good'] == 'more' else '+'}{100 * row['margin']:g}{unit}",
            number(row["p"]),
        )
    facts = (
        f"canary: {span(report['age_s'])}, {users['canary']:,} users against {users['stable']:,} "
        f"(share {one.share:.0%}, mismatch p {report['mismatch_p']:.3g}, "
        f"{report['strays']:,} strays)"
    )
    novelty = [Text(f"novelty: {report['novelty']}")] if report["novelty"] else []
    return [Text(facts), lines, *novelty]


def moment(at_s: float) -> str:
    """A time, to the second, in UTC."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """A duration in the largest unit of which it is at least one."""
    for unit, length_s in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.1f} {unit}"
    return f"{seconds:.0f} s"


def number(value: float | None) -> str:
    """Four digits, or nothing known."""
    return "?" if value is None else f"{value:.4g}"


def percent(value: float | None) -> str:
    """A signed share in per cent, or nothing known."""
    return "?" if value is None else f"{100 * value:+.2f}"
