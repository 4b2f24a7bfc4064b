"""The story of the loop, lived through hands off: after a change, and on a poisoned archive.

A simulated city lives with the service: its people ask, and do with the answers what they would.
Then what they weigh turns round, or somebody breaks the labels of the archive. Real Kafka and
Redis, every role a process of its own; nothing is asked for by hand but the training on broken
labels.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.console import Console

from benchmarks.loaded_stack import fill, train
from benchmarks.loop_guests import Stream, Visit
from benchmarks.loop_poison import poison
from benchmarks.loop_readings import Reading, Readings
from contracts.events import RetrainRequested
from contracts.settings import Settings
from placestream.audit import story
from placestream.experiments import reports
from placestream.request_retrain import request_retrain
from placestream.simulation.city import City
from placestream.simulation.plan import Drift, Plan
from placestream.stack.local import LocalStack

#: A session goes so many times as fast as in life.
PACE = 60.0
#: Waited for at most.
STORY_S = 1_200.0
#: The first pair learns from the whole history; the next ones from the newest minutes.
HISTORY_ROWS = 1_000_000
#: So many guests are answered before something happens to the city, and after the end of it.
BEFORE, AFTER = 1_500, 1_500
_ENDS = ("rejected", "promoted", "rolled_back", "failed")
#: Brings about what the story is of.
Cause = Callable[["Life"], None]


@dataclass(frozen=True)
class Told:
    """A story that came to its end.

    Attributes:
        happened_s: when the change, or the poison, came; Unix seconds.
        audit: all that was asked for and done under its audit id.
        trial: of the new pair, as its experiment tells; None if it came to none.
        requests: how many trainings were asked for since.
        visits: all that became of requests to the service.
        readings: what the detectors said meanwhile.
    """

    happened_s: float
    audit: story.Story
    trial: reports.Report | None
    requests: int
    visits: Sequence[Visit]
    readings: Sequence[Reading]

    @property
    def request(self) -> RetrainRequested:
        """What asked for the training.

        Raises:
            ValueError: Kafka does not know it.
        """
        if self.audit.request is None:
            raise ValueError(f"nothing asked for {self.audit.audit_id}")
        return self.audit.request

    @property
    def steps(self) -> list[str]:
        """The steps in order."""
        return [step.step for step in self.audit.steps]

    @property
    def ended_s(self) -> float:
        """When the last step was taken, Unix seconds."""
        return self.audit.steps[-1].at.timestamp()

    def click_through(self, since_s: float, until_s: float) -> float:
        """Opened of looked at, of the requests of a time; all variants."""
        mine = [v for v in self.visits if since_s <= v.at_s < until_s]
        return sum(v.opened for v in mine) / max(sum(v.viewed for v in mine), 1)


def sped_up(**other: object) -> Settings:
    """Settings of an installation that lives days in minutes.

    Windows and minimums are cut down, and the margins are wide, since minutes prove little. PSI of
    the columns asks for nothing: a city that lives an hour in a minute is drift in itself.
    """
    return Settings(
        _env_file=None,
        log_level="WARNING",
        archive_flush_s=2,
        partitions=4,
        candidates=100,
        train_epochs=6,
        train_sets=6_000,
        train_max_rows=9_000,
        data_mean_shift=0,
        attribution_click_s=15,
        attribution_visit_s=30,
        outcome_hold_s=5,
        outcome_answers=700,
        outcome_min_choices=300,
        target_window_choices=700,
        psi_retrain=1e9,
        retrain_cooldown_s=900,
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


class Life:
    """A stack in whose service a city lives.

    Args:
        stack: not started yet.
        city: whose history it is filled with, and whose people come.
        rate: guests a second.
        console: where to say how far it is.
    """

    def __init__(self, stack: LocalStack, city: City, rate: float, console: Console) -> None:
        self.stack, self.console = stack, console
        self._city, self._rate = city, rate

    def tell(self, cause: Cause) -> Told:
        """Live through it: the first pair, everyday life, the cause, and what comes of it.

        Raises:
            TimeoutError: it did not come to an end.
            subprocess.CalledProcessError: the first training failed.
            StartError, ChildDied: a part did not do its work; says which.
        """
        fill(self.stack, self._city, self.console)
        train(self.stack, train_max_rows=HISTORY_ROWS)
        self.stack.start_role("serve", timeout_s=120)
        self.stack.start_role("retrain")
        self.console.print("the first pair is in service; the city lives with it")
        self.guests = Stream(self.stack.settings, self._rate, seed=1)
        readings = Readings(self.stack.settings)
        try:
            self.guests.welcome(self._city, PACE)
            self._live(BEFORE)
            happened_s = time.time()
            cause(self)
            audit_id = self._asked()
            end = self._wait(audit_id, STORY_S)
            self.console.print(f"it ends: {end.steps[-1].step}")
            self._live(AFTER)
        finally:
            self.guests.close()
            readings.close()
        settings = self.stack.settings
        tried = [one.id for one in reports.read_all(settings) if one.audit_id == audit_id]
        return Told(
            happened_s,
            end,
            reports.read_one(settings, tried[0]) if tried else None,
            len(story.requests(settings)),
            self.guests.visits,
            readings.all,
        )

    def _asked(self) -> str:
        ends_s = time.monotonic() + STORY_S
        while time.monotonic() < ends_s:
            if asked := story.requests(self.stack.settings):
                causes = asked[0].evidence.get("causes") or asked[0].evidence.get("note")
                self.console.print(f"a training is asked for: {asked[0].reason}, {causes}")
                return asked[0].audit_id
            self._sleep(1.0)
        raise TimeoutError(f"nothing asked for a training within {STORY_S:.0f} s")

    def _wait(self, audit_id: str, most_s: float) -> story.Story:
        ends_s = time.monotonic() + most_s
        while time.monotonic() < ends_s:
            told = story.read(self.stack.settings, audit_id)
            if told.steps and told.steps[-1].step in _ENDS:
                return told
            self._sleep(1.0)
        raise TimeoutError(f"{audit_id} came to no end within {most_s:.0f} s")

    def _live(self, guests: int) -> None:
        """Until so many more were answered: a slow machine takes longer, and proves as much."""
        enough, ends_s = len(self.guests.visits) + guests, time.monotonic() + STORY_S
        while len(self.guests.visits) < enough:
            if time.monotonic() > ends_s:
                raise TimeoutError(f"{guests} guests were not answered within {STORY_S:.0f} s")
            self._sleep(1.0)

    def _sleep(self, seconds: float) -> None:
        ends_s = time.monotonic() + seconds
        while (left_s := ends_s - time.monotonic()) > 0:
            self.stack.check()
            time.sleep(min(left_s, 1.0))


def reversal(after: City) -> Cause:
    """From now on the people of this city come: the same ones, who weigh the other way round."""

    def turn(life: Life) -> None:
        life.guests.welcome(after, PACE)
        life.console.print("what people weigh has turned round")

    return turn


def poisoned(life: Life) -> None:
    """Somebody breaks the labels of the archive, and the next training is due."""
    rows = poison(life.stack.settings)
    life.console.print(
        f"the places of {rows} visits and ratings in the archive were dealt out anew"
    )
    request_retrain(life.stack.settings, "the weekly one, on a poisoned archive")


def two_cities(plan: Plan, now_s: float, seed: int) -> tuple[City, City]:
    """A city in whose streets it is afternoon now, and the same one once people weigh otherwise."""
    hours = (14 - int(now_s // 3_600)) % 24
    hours = hours - 24 if hours > 12 else hours
    zone = f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT"  # POSIX: the sign is turned round
    plan = replace(plan, time_zone=zone, lng=15.0 * hours)
    before = City(plan, ending_s=now_s, seed=seed)
    turned = Drift(before.ending_s, strength=0.0, reversal=1.0)
    return before, City(replace(plan, drift=turned), ending_s=now_s, seed=seed)
