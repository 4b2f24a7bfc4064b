"""What the users of both variants did, summed by user as a canary goes on."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts.events import FAILED, Impression
from contracts.experiment import CANARY, Plan
from retrain.outcome_join import Waiting
from retrain.sequential import Arm

SUCCESS, DEGRADED, SLOW, LOAD = "success", "degraded", "slow", "load"
METRICS = (SUCCESS, DEGRADED, SLOW, LOAD)


@dataclass
class Variant:
    """The users of one variant.

    Attributes:
        users: by metric, what each user has: (answers, events).
        arms: by metric, the sums over them.
    """

    users: dict[str, dict[str, tuple[float, float]]] = field(
        default_factory=lambda: {name: {} for name in METRICS}
    )
    arms: dict[str, Arm] = field(default_factory=lambda: {name: Arm() for name in METRICS})

    def add(self, metric: str, user_id: str, events: float) -> None:
        """Count one answer of a user, with so many events."""
        before = self.users[metric].get(user_id, (0.0, 0.0))
        after = (before[0] + 1, before[1] + events)
        self.users[metric][user_id] = after
        self.arms[metric] = self.arms[metric].moved(before, after)


class Evidence:
    """Sums of a canary, from the answers and their outcomes.

    Only answers of who should be answered so, by the pair that should: in the moments in which
    services have not yet followed a plan they may differ. Such strays are counted, not used.

    Args:
        plan: of the canary.
        baseline: version in service.
        stable: label of that.
        since_s: when the canary began, Unix seconds.
        objective_ms: a slower answer is a slow one.
    """

    def __init__(
        self, plan: Plan, baseline: int, stable: str, since_s: float, objective_ms: float
    ) -> None:
        self._plan = plan
        self._versions = {stable: baseline, CANARY: plan.version}
        self._since_s = since_s
        self._objective_ms = objective_ms
        self.variants = {stable: Variant(), CANARY: Variant()}
        self.control, self.treated = self.variants[stable], self.variants[CANARY]
        #: Answers by another variant or version than the plan has for their user.
        self.strays = 0

    def shown(self, answers: Iterable[Impression]) -> list[Impression]:
        """Take in answers: degraded, slow, and how long models took; return those that count."""
        taken = []
        for answer in answers:
            failed = answer.degradation == FAILED
            if answer.timestamp.timestamp() < self._since_s or not (answer.places or failed):
                continue
            version = answer.models.get("ranker")
            if not self._fits(answer.user_id, answer.variant, version):
                self.strays += 1
                continue
            variant = self.variants[answer.variant]
            broken = failed or answer.degradation in ("candidate_order", "popularity")
            variant.add(DEGRADED, answer.user_id, float(broken))
            if failed:
                continue
            if answer.took_ms is not None and answer.models_ms is not None:
                variant.add(SLOW, answer.user_id, float(answer.took_ms > self._objective_ms))
                variant.add(LOAD, answer.user_id, answer.models_ms)
            taken.append(answer)
        return taken

    def came(self, settled: Iterable[Waiting]) -> None:
        """Take in answers of which no click can come any more: a success is any click or visit."""
        for answer in settled:
            success = bool(answer.clicked.any() or answer.chosen.any())
            self.variants[answer.variant].add(SUCCESS, answer.user_id, float(success))

    @property
    def users(self) -> tuple[int, int]:
        """Users of the pair in service and of the new one who had an answer."""
        both = (self.control, self.treated)
        control, treated = (len(variant.users[DEGRADED]) for variant in both)
        return control, treated

    def _fits(self, user_id: str, variant: str, version: int | None) -> bool:
        meant = CANARY if self._plan.takes(user_id) else next(iter(self._versions))
        # A degraded answer may name no version: that is the variant's own failure, and counts.
        return variant == meant and version in (self._versions[meant], None)
