"""Experiments as the page shows them: what is tried against what, and how far it is decided."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Measure(msgspec.Struct, frozen=True):
    """One metric of an experiment.

    Attributes:
        name: of the metric.
        control, treatment: its mean on either side; None before there are data.
        low, high: interval of the difference, treatment less control, in the metric's unit; it
            allows looking at any time. None before there is one.
        harm: a difference that would be a reason to roll back; None where the metric only informs.
    """

    name: str
    control: float | None = None
    treatment: float | None = None
    low: float | None = None
    high: float | None = None
    harm: float | None = None


class Experiment(msgspec.Struct, frozen=True):
    """A pair of models on its way into service.

    Attributes:
        id: of the experiment.
        stage: `shadow`, `canary`, or how it ended.
        versions: (in service, tried).
        share: of users (or answers) that fall to the tried pair, 0 to 1.
        began_s: Unix seconds.
        users: users on (control, treatment) so far.
        measures: what is judged.
        note: where it stands, in a sentence for a person.
    """

    id: str
    stage: str
    versions: tuple[int, int]
    share: float
    began_s: float
    users: tuple[int, int]
    measures: tuple[Measure, ...] = ()
    note: str = ""


class Experiments(Protocol):
    """Where experiments are read from; may block."""

    def __call__(self) -> Sequence[Experiment]:
        """The newest first; none where nothing was ever tried.

        Raises:
            redis.RedisError: what is known lies in Redis, which did not answer.
        """


def no_experiments() -> Sequence[Experiment]:
    """Of an installation that brings every accepted pair into service at once."""
    return ()
