"""The loop closes by itself, and a bad model never stays: both stories, on real parts."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.loop import FOLLOWS_S
from benchmarks.loop_story import Cause, Life, Told, poisoned, reversal, sped_up, two_cities
from placestream.simulation.plan import Plan
from placestream.stack.local import LocalStack

PLAN, RATE = Plan(1_500, 500, 10), 25.0


def live(run_dir: Path, cause: Cause | None = None) -> Told:
    """A city lives until the cause, by default that people turn round, has led to its end."""
    before, after = two_cities(PLAN, time.time(), seed=17)
    with LocalStack(run_dir, "kafka", base=sped_up()) as stack:
        life = Life(stack, before, RATE, Console(file=io.StringIO()))
        return life.tell(reversal(after) if cause is None else cause)


def met(told: Told, variant: str, since_s: float, until_s: float) -> set[int]:
    """Versions of the ranker that answered a variant's users in a time."""
    mine = [v for v in told.visits if v.variant == variant and since_s < v.at_s < until_s]
    return {visit.version for visit in mine if visit.version}


@pytest.mark.slow
@pytest.mark.timeout(3_000)
def test_when_people_weigh_otherwise_a_new_pair_reaches_everybody(tmp_path: Path) -> None:
    """One request, by what people chose; trained, shadowed, canaried and promoted under its id; the
    canary's users meet it first, the others once it is promoted; and more is opened than before."""
    told = live(tmp_path)
    assert told.requests == 1
    assert set(told.request.evidence["causes"]) <= {"psi:target", "accuracy"}
    assert told.request.requested_at.timestamp() > told.happened_s
    assert told.steps == ["trained", "shadow", "canary", "promoted"]
    assert {step.audit_id for step in told.audit.steps} == {told.request.audit_id}
    canary_s = told.audit.steps[2].at.timestamp()
    forever = float("inf")
    assert met(told, "stable", 0, canary_s) == {1}
    assert met(told, "canary", 0, forever) == {2}
    assert met(told, "stable", told.ended_s + FOLLOWS_S, forever) == {2}
    between = told.click_through(told.happened_s + FOLLOWS_S, canary_s)
    assert between < told.click_through(0, told.happened_s)
    assert between < told.click_through(told.ended_s + FOLLOWS_S, forever)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
def test_a_pair_that_learned_from_broken_labels_is_stopped(tmp_path: Path) -> None:
    """By the gate, or by what its canary's users do not open, and not by a slow machine; either way
    users on stable are answered by the first pair from the first to the last, and in the end so is
    everybody."""
    told = live(tmp_path, poisoned)
    assert told.request.reason == "manual"
    last = told.audit.steps[-1]
    if told.steps == ["rejected"]:
        assert last.evidence["refused_by"] == "gate"
    else:
        assert told.steps == ["trained", "shadow", "canary", "rolled_back"]
        assert last.note.startswith("worse: success ")
    forever = float("inf")
    assert met(told, "stable", 0, forever) == {1}
    assert met(told, "canary", told.ended_s + FOLLOWS_S, forever) == set()
