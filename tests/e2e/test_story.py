"""The loop closes by itself: tastes change, and a better pair reaches all users, hands off."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.loop import sped_up, tell, two_cities
from placestream.simulation.plan import Plan
from placestream.stack.local import LocalStack


@pytest.mark.slow
@pytest.mark.timeout(1_500)
def test_new_tastes_lead_to_a_new_pair_for_everybody(tmp_path: Path) -> None:
    """One request, by what the answers led to; gate, shadow and canary, in this order; all of it
    under one audit id; and people open more of what they are shown than before the new pair."""
    cities = two_cities(Plan(1_500, 500, 10), time.time(), seed=17)
    with LocalStack(tmp_path, "kafka", base=sped_up()) as stack:
        told = tell(stack, cities, 15.0, Console(file=io.StringIO()))
    assert told.request.reason == "accuracy"
    assert [step.step for step in told.steps] == ["trained", "shadow", "canary", "promoted"]
    assert {step.audit_id for step in told.steps} == {told.request.audit_id}
    promoted_s = told.steps[-1].at.timestamp()
    worst = told.click_through(told.shifted_s + 5, told.steps[0].at.timestamp())
    assert told.click_through(promoted_s, float("inf")) > worst
    versions = {visit.version for visit in told.visits if visit.at_s > promoted_s + 5}
    assert versions == {2}
