"""Where users go when a pair is taken from them, even if the version it came after is gone.

A trial lasts weeks, and a pair in service longer: by the time its baseline is wanted, someone may
have deleted it, or lost the disk. It does not come back by being asked for again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.settings import Settings
from retrain.experiments import Experiment
from retrain.retention import history
from retrain.rollout import is_exported


@dataclass(frozen=True)
class WayBack:
    """From one pair to what comes into service instead.

    Attributes:
        version: to go back to; `None`: there is none that could be used.
        gone: the baseline, if it is not on disk; `version` stands in for it.
        note: says so, for the history, and what a person does next; empty if nothing is gone.
    """

    version: int | None
    gone: int | None = None
    note: str = ""

    @property
    def lost(self) -> bool:
        """Whether there was a version to go back to, and nothing is left that could stand in."""
        return self.gone is not None and self.version is None


def way_back_from(settings: Settings, one: Experiment, others: Iterable[Experiment]) -> WayBack:
    """The baseline; if it is gone from disk, what served last before it and is still there.

    A version that only lies on disk has proven nothing to anybody, and one whose trial went badly
    or that was rolled back has proven the opposite: neither stands in.

    Args:
        settings: where the models are.
        one: the pair that is to leave.
        others: all experiments, the oldest first, which tell what went badly.
    """
    if one.baseline is None or is_exported(settings, one.baseline):
        return WayBack(one.baseline)
    # The newest record counts: a number may have been another pair's.
    ended = {other.version: other.state for other in others}
    bad = {v for v, state in ended.items() if state in ("rolled_back", "failed")}
    bad |= {one.version, one.baseline}
    proven = (v for v in reversed(history(settings)) if v not in bad and is_exported(settings, v))
    version = next(proven, None)
    gone = f"version {one.baseline}, to go back to, is gone from {settings.models_dir}"
    if version is None:
        return WayBack(None, one.baseline, f"{gone}, and no other that served is left: {_NEXT}")
    instead = f"{gone}: version {version}, which served before, takes its place"
    return WayBack(version, one.baseline, instead)


_NEXT = (
    "put both of its folders back from a copy, or train a new pair with `placestream retrain --now`"
)
