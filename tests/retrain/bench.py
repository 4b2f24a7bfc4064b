"""A bench for the controller: real Redis and a real model server, evidence by hand."""

from dataclasses import dataclass, field

import redis

from contracts.experiment import CANARY, plan_key, read_plan, shadow_key
from contracts.settings import Settings
from retrain.controller import Controller
from retrain.evidence import METRICS, SUCCESS, Evidence, Variant
from retrain.experiments import Experiment
from tests.retrain.conftest import Remembering
from tests.retrain.tiny_models import answer, export

NOW_S = 1_800_000_000.0
STABLE = "stable"
#: The canary label is gone.
ONLY_1, ONLY_2 = "1 INVALID_ARGUMENT", "2 INVALID_ARGUMENT"


@dataclass
class Bench:
    """Controllers that share Redis, outbox, clock and what users are said to have done.

    Attributes:
        rates: successes an answer of a user, by variant.
        users: in the pair in service; the canary has a ninth of it.
    """

    settings: Settings
    client: redis.Redis
    outbox: Remembering
    now_s: float = NOW_S
    rates: tuple[float, float] = (0.2, 0.2)
    users: int = 9_000
    reads: list[Evidence] = field(default_factory=list)

    def controller(self, lease_s: float = 30) -> Controller:
        return Controller(
            self.settings,
            self.client,
            self.outbox,
            lambda: self.now_s,
            feed=self.feed,
            sleep=lambda _: None,
            lease_s=lease_s,
            drain_s=0,
        )

    def feed(self, _settings: Settings, evidence: Evidence, _since_s: float) -> "Bench":
        self.reads.append(evidence)
        return self

    def read(self) -> bool:
        evidence = self.reads[-1]
        groups = ((evidence.control, self.users), (evidence.treated, self.users // 9))
        for (variant, users), rate in zip(groups, self.rates, strict=True):
            fill(variant, users, rate)
        return True

    def close(self) -> None:
        pass

    def plan(self) -> str | None:
        plan = read_plan(self.client.get(plan_key(self.settings.key_prefix)))
        return None if plan is None else plan.stage

    @property
    def told(self) -> list[str]:
        return [step.step for step in self.outbox.steps]

    @property
    def by_label(self) -> str:
        """What answers under stable and under canary: its version, or why nothing does."""
        return " ".join(str(answer(self.settings, "ranker", of)) for of in (STABLE, CANARY))

    def compared(self, experiment: str, **sums: float) -> None:
        key = shadow_key(self.settings.key_prefix, experiment)
        for name, value in sums.items():
            self.client.hincrbyfloat(key, name, value)

    def in_canary(self, controller: Controller, version: int = 2) -> Experiment:
        """A pair whose canary has begun."""
        export(self.settings, version)
        assert controller.begin("audit-1", version, {"auc": 0.8})
        controller.step()
        self.compared(f"pair-{version}", compared=500, overlap=400)
        moved = controller.step()
        assert moved is not None
        assert moved.state == "canary"
        return moved


def fill(variant: Variant, users: int, rate: float) -> None:
    """Ten answers a user; every second user has twice the rate, and no guardrail moves."""
    for metric in METRICS:
        variant.users[metric].clear()
        variant.arms[metric] = type(variant.arms[metric])()
    for i in range(users):
        variant.users["degraded"][str(i)] = (10.0, 0.0)
        for metric in METRICS:
            events = {SUCCESS: 20 * rate * (i % 2), "load": 70.0}.get(metric, 0.0)
            arm = variant.arms[metric]
            variant.arms[metric] = arm.moved((0, 0), (10.0, events))
