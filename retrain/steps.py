"""What others are told of an experiment: services their plan, the topic of rollouts each step."""

from datetime import UTC, datetime

from contracts.events import RolloutStep
from contracts.experiment import Plan
from contracts.settings import Settings
from retrain.experiments import Experiment, State
from retrain.model_config import MODELS


def plan_of(settings: Settings, one: Experiment) -> Plan | None:
    """The plan that services follow while an experiment is in its state, if there is one."""
    if one.state == "shadow":
        return Plan(one.id, "shadow", one.salt, settings.shadow_share, one.version)
    if one.state == "canary":
        return Plan(one.id, "canary", one.salt, one.share, one.version)
    return None


def step_of(one: Experiment, state: State) -> RolloutStep:
    """The event of a state that an experiment has entered; one of `experiments.TOLD`."""
    if state not in ("shadow", "canary", "promoted", "rolled_back", "failed"):
        raise AssertionError(f"{state} is on the way to what is told")
    return RolloutStep(
        audit_id=one.audit_id,
        step=state,
        at=datetime.fromtimestamp(one.since_s, UTC),
        versions=dict.fromkeys(MODELS, one.version),
        metrics=one.metrics,
        note=one.note,
    )
