"""`python -m benchmarks.loop`: the loop closes by itself, on real parts, hands off.

A simulated city lives with the service: its people ask, and do with the answers what they would.
Then the tastes of all change. The detectors see it, ask for one training, and the new pair goes
through gate, shadow and canary to all users. Real Kafka and Redis, every role a process of its own.

Windows and minimums are cut down from days to minutes, and the canary's margins are wide, since
minutes prove little. PSI asks for nothing here: a city that lives an hour in a minute is drift
in itself; accuracy on served answers does.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from benchmarks import loop_plot
from benchmarks.loaded_stack import fill
from benchmarks.loop_guests import Stream, Visit
from benchmarks.report import Figure, publish
from contracts.events import RetrainRequested, RolloutStep
from contracts.settings import Settings
from placestream import logs
from placestream.audit import story
from placestream.request_retrain import request_retrain
from placestream.simulation.city import City
from placestream.simulation.plan import Drift, Plan
from placestream.stack.local import LocalStack
from placestream.stack.signals import ending_raises

PACE = 60.0
FIRST_PAIR_S, STORY_S = 300.0, 900.0
#: So long the city lives before its tastes change, and after the new pair answers everybody.
BEFORE_S, AFTER_S = 150.0, 90.0
_ENDS = ("rejected", "promoted", "rolled_back", "failed")


@dataclass(frozen=True)
class Told:
    """A story that came to its end.

    Attributes:
        shifted_s: when the tastes changed, Unix seconds.
        request: what asked for the training.
        steps: what came of it, in order.
        visits: all that became of requests.
    """

    shifted_s: float
    request: RetrainRequested
    steps: list[RolloutStep]
    visits: list[Visit]

    def after_s(self, step: str) -> float | None:
        """Seconds from the change of tastes to a step."""
        at = [s.at.timestamp() for s in self.steps if s.step == step]
        return at[0] - self.shifted_s if at else None

    def click_through(self, since_s: float, until_s: float) -> float:
        """Opened of looked at, of the requests of a time."""
        mine = [v for v in self.visits if since_s <= v.at_s < until_s]
        return sum(v.opened for v in mine) / max(sum(v.viewed for v in mine), 1)


def sped_up(**other: object) -> Settings:
    """Settings of an installation that lives days in minutes."""
    return Settings(
        _env_file=None,
        log_level="WARNING",
        archive_flush_s=2,
        partitions=4,
        train_epochs=6,
        train_sets=6_000,
        data_mean_shift=0,
        attribution_click_s=20,
        attribution_visit_s=30,
        outcome_answers=600,
        outcome_min_choices=250,
        psi_retrain=1e9,
        retrain_cooldown_s=60,
        gate_auc_loss=0.05,
        gate_ndcg_loss=0.05,
        gate_slice_loss=0.5,
        shadow_share=0.5,
        shadow_min_answers=40,
        canary_share=0.4,
        canary_min_s=45,
        canary_min_users=150,
        canary_success_loss=0.5,
        canary_degraded_rise=0.5,
        canary_slow_rise=0.9,
        canary_load_rise=2.0,
        serve_deadline_ms=1_000,
        **other,  # type: ignore[arg-type]
    )


def tell(stack: LocalStack, cities: tuple[City, City], rate: float, console: Console) -> Told:
    """Live through it: the first pair, everyday life, a change of tastes, and what comes of it.

    Args:
        stack: not started yet.
        cities: the city, and the same one with other tastes.
        rate: guests a second.
        console: where to say how far it is.

    Raises:
        TimeoutError: it did not come to an end.
        StartError, ChildDied: a part did not do its work; says which.
    """
    fill(stack, cities[0], console)
    stack.start_role("retrain")
    first = request_retrain(stack.settings, "the first pair")
    _wait(stack, first, FIRST_PAIR_S)
    stack.start_role("serve", timeout_s=120)
    console.print("the first pair is in service; the city lives with it")
    stream = Stream(stack.settings, rate, seed=1)
    try:
        stream.welcome(cities[0], PACE)
        _sleep(stack, BEFORE_S)
        shifted_s = time.time()
        stream.welcome(cities[1], PACE)
        console.print("all tastes have changed")
        request = _asked(stack, first, STORY_S)
        console.print(f"a training is asked for: {request.reason} {request.evidence.get('causes')}")
        steps = _wait(stack, request.audit_id, STORY_S)
        console.print(f"it ends: {steps[-1].step}")
        _sleep(stack, AFTER_S)
    finally:
        stream.close()
    return Told(shifted_s, request, steps, stream.visits)


def _asked(stack: LocalStack, not_this: str, most_s: float) -> RetrainRequested:
    ends_s = time.monotonic() + most_s
    while time.monotonic() < ends_s:
        asked = [r for r in story.requests(stack.settings) if r.audit_id != not_this]
        if asked:
            return asked[0]
        _sleep(stack, 1.0)
    raise TimeoutError(f"nothing asked for a training within {most_s:.0f} s")


def _wait(stack: LocalStack, audit_id: str, most_s: float) -> list[RolloutStep]:
    ends_s = time.monotonic() + most_s
    while time.monotonic() < ends_s:
        steps = story.read(stack.settings, audit_id).steps
        if steps and steps[-1].step in _ENDS:
            return steps
        _sleep(stack, 1.0)
    raise TimeoutError(f"{audit_id} came to no end within {most_s:.0f} s")


def _sleep(stack: LocalStack, seconds: float) -> None:
    ends_s = time.monotonic() + seconds
    while (left_s := ends_s - time.monotonic()) > 0:
        stack.check()
        time.sleep(min(left_s, 1.0))


def two_cities(plan: Plan, now_s: float, seed: int) -> tuple[City, City]:
    """A city in whose streets it is afternoon now, and the same one after a change of tastes."""
    hours = (14 - int(now_s // 3_600)) % 24
    hours = hours - 24 if hours > 12 else hours
    zone = f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT"  # POSIX: the sign is turned round
    plan = replace(plan, time_zone=zone, lng=15.0 * hours)
    before = City(plan, ending_s=now_s, seed=seed)
    after = City(replace(plan, drift=Drift(at_s=before.ending_s)), ending_s=now_s, seed=seed)
    return before, after


def _figures(told: Told) -> list[Figure]:
    moved = told.shifted_s
    ends = told.steps[-1].at.timestamp()
    asked_s = told.request.requested_at.timestamp()
    seconds = {
        "from shift to request": asked_s - moved,
        **{f"from shift to {s.step}": s.at.timestamp() - moved for s in told.steps},
    }
    shares = {
        "click through before the shift": told.click_through(moved - 90, moved),
        "click through after it": told.click_through(moved + 5, min(moved + 95, ends)),
        "click through at the end": told.click_through(ends, float("inf")),
    }
    return [Figure(name, "s", (value,)) for name, value in seconds.items()] + [
        Figure(name, "ratio", (value,)) for name, value in shares.items()
    ]


def main() -> None:
    """Live through it, print, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_500)
    parser.add_argument("--places", type=int, default=500)
    parser.add_argument("--days", type=float, default=10, help="of history")
    parser.add_argument("--rate", type=float, default=15, help="guests a second")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--svg", type=Path, help="where to draw it")
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    given = parser.parse_args()
    settings = sped_up()
    logs.configure(settings, "benchmark")
    cities = two_cities(Plan(given.users, given.places, given.days), time.time(), given.seed)
    console = Console(stderr=True)
    with (
        ending_raises(),
        tempfile.TemporaryDirectory(prefix="placestream-loop-") as folder,
        LocalStack(Path(folder), "kafka", base=settings) as stack,
    ):
        told = tell(stack, cities, given.rate, console)
    marks = [(told.shifted_s, "tastes change")]
    marks += [(told.request.requested_at.timestamp(), f"asked: {told.request.reason}")]
    marks += [(step.at.timestamp(), step.step) for step in told.steps]
    if given.svg:
        loop_plot.draw(told.visits, marks, told.visits[0].at_s, given.svg)
    facts = {
        "guests": len(told.visits),
        "guests_per_s": given.rate,
        "evidence": told.request.evidence,
        "steps": [f"{step.step}: {step.note}" for step in told.steps],
    }
    publish("The loop, hands off", _figures(told), facts)


if __name__ == "__main__":
    main()
