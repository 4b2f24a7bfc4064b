"""`python -m benchmarks.loop`: the loop closes by itself, and a bad model never stays.

What the people of a simulated city weigh turns round. The detectors see it, ask for one training,
and the new pair goes through gate, shadow and canary to all users. With `--poisoned`, its twin: the
labels of the archive were broken, and the pair that learned from them is stopped by the gate or by
its canary, while users on stable never see it. Real Kafka and Redis, every role a process of its
own, hands off (`benchmarks.loop_story`).
"""

import argparse
import tempfile
import time
from pathlib import Path

from rich.console import Console

from benchmarks import loop_plot
from benchmarks.loop_story import Life, Told, poisoned, reversal, sped_up, two_cities
from benchmarks.report import Figure, publish
from placestream import logs
from placestream.audit import story
from placestream.experiments import reports
from placestream.simulation.plan import Plan
from placestream.stack.local import LocalStack
from placestream.stack.signals import ending_raises

#: The service follows a label within so many seconds.
FOLLOWS_S = 5.0


def figures_of(told: Told) -> list[Figure]:
    """Seconds from the cause to each step, and click-through before, between and after."""
    began = told.happened_s
    seconds = {"to the request": told.request.requested_at.timestamp() - began}
    seconds |= {f"to {step.step}": step.at.timestamp() - began for step in told.audit.steps}
    tried = [s.at.timestamp() for s in told.audit.steps if s.step == "canary"] or [told.ended_s]
    shares = {
        "click through before": told.click_through(began - 60, began),
        "click through between": told.click_through(began + FOLLOWS_S, tried[0]),
        "click through at the end": told.click_through(told.ended_s + FOLLOWS_S, float("inf")),
    }
    return [Figure(name, "s", (value,)) for name, value in seconds.items()] + [
        Figure(name, "ratio", (value,)) for name, value in shares.items()
    ]


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--poisoned", action="store_true", help="the twin: a poisoned archive")
    parser.add_argument("--users", type=int, default=1_500)
    parser.add_argument("--places", type=int, default=500)
    parser.add_argument("--days", type=float, default=10, help="of history")
    parser.add_argument("--rate", type=float, default=25, help="guests a second")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--plot", type=Path, help="where to draw it, as SVG")
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    return parser.parse_args()


def main() -> None:
    """Live through it, print, and draw."""
    given = _parsed()
    settings = sped_up()
    logs.configure(settings, "benchmark")
    before, after = two_cities(Plan(given.users, given.places, given.days), time.time(), given.seed)
    console = Console(stderr=True)
    with (
        ending_raises(),
        tempfile.TemporaryDirectory(prefix="placestream-loop-") as folder,
        LocalStack(Path(folder), "kafka", base=settings) as stack,
    ):
        life = Life(stack, before, given.rate, console)
        told = life.tell(poisoned if given.poisoned else reversal(after))
    if given.plot:
        loop_plot.draw(told, given.plot)
    page = Console(width=140)
    page.print(story.as_text(told.audit))
    if told.trial is not None:
        page.print(reports.page(told.trial))
    facts = {
        "guests": len(told.visits),
        "guests_per_s": given.rate,
        "requests": told.requests,
        "versions_on_stable": sorted({v.version for v in told.visits if v.variant == "stable"}),
        "steps": told.steps,
    }
    publish("The loop, hands off", figures_of(told), facts)


if __name__ == "__main__":
    main()
