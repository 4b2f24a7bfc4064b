"""Looks at the canary under way: keeps its evidence up to date, and has it judged."""

from collections.abc import Callable
from typing import Protocol

from contracts.experiment import Plan
from contracts.settings import Settings
from retrain.canary_feed import CanaryFeed
from retrain.evidence import Evidence
from retrain.experiments import Experiment
from retrain.verdict import Verdict, judge

#: Services follow a plan within a second. Of answers until then only those to the canary's users
#: would be strays, and the shares would not be as meant.
FOLLOWED_S = 2.0


class Feed(Protocol):
    """Fills evidence; `retrain.canary_feed.CanaryFeed` is the real one."""

    def read(self) -> bool: ...

    def close(self) -> None: ...


NewFeed = Callable[[Settings, Evidence, float], Feed]


class CanaryWatch:
    """The evidence of one canary at a time; another one begins anew."""

    def __init__(self, settings: Settings, new_feed: NewFeed = CanaryFeed) -> None:
        self._settings = settings
        self._new_feed = new_feed
        self._watched: tuple[str, Evidence, Feed] | None = None

    def look(self, one: Experiment, plan: Plan, now_s: float) -> Verdict:
        """Judge a canary by all that has happened since it began.

        Raises:
            confluent_kafka.KafkaException: Kafka is away.
        """
        began_s = one.since_s if one.canary_s is None else one.canary_s
        evidence, feed = self._follow(one, plan, began_s)
        if not feed.read():
            return Verdict("go on", "reading what has happened since it began", {})
        return judge(evidence, one.share, now_s - began_s, self._settings)

    def _follow(self, one: Experiment, plan: Plan, began_s: float) -> tuple[Evidence, Feed]:
        if self._watched is None or self._watched[0] != one.id:
            self.close()
            if one.baseline is None:
                raise AssertionError("a canary has a pair that it is compared with")
            settings = self._settings
            evidence = Evidence(
                plan,
                one.baseline,
                settings.model_label,
                began_s + FOLLOWED_S,
                settings.serve_objective_ms,
            )
            self._watched = (one.id, evidence, self._new_feed(settings, evidence, began_s))
        return self._watched[1:]

    def close(self) -> None:
        """Part from the evidence."""
        if self._watched is not None:
            self._watched[2].close()
            self._watched = None
