"""Decisions by hand, carried out by the same controller as the automatic ones."""

import time
from collections.abc import Callable
from contextlib import closing
from typing import Literal

from contracts.settings import Settings
from online_features.redis_client import blocking_client_of
from placestream.experiments.reports import told_of_redis
from retrain.controller import Busy, Controller
from retrain.experiments import FINAL, Experiment, State
from retrain.orders import NotNow
from retrain.publish import Publisher

Action = Literal["stop", "promote", "rollback"]
#: The trainer's controller holds its lease while it loads a pair: that may take so long.
PATIENCE_S = 120.0
RETRY_S = 0.5
_WANTED: dict[Action, State] = {
    "stop": "rolling_back",
    "promote": "promoting",
    "rollback": "rolling_back",
}


def carry_out(
    settings: Settings,
    action: Action,
    experiment_id: str,
    reason: str,
    sleep: Callable[[float], object] = time.sleep,
) -> Experiment:
    """Decide an experiment, to the end; return its record.

    Raises:
        NotNow, NoSuchExperiment: it does not fit; says what would.
        RuntimeError: the pair cannot be loaded, or another controller does not give way.
        ConnectionError: Redis is away.
    """
    with (
        told_of_redis(settings),
        blocking_client_of(settings, socket_timeout=5) as client,
        closing(Publisher(settings)) as publisher,
    ):
        controller = Controller(settings, client, publisher, time.time)
        _check(controller.experiments.get(experiment_id), action)
        note = f"{action} by hand" + (f": {reason}" if reason else "")
        for _ in range(int(PATIENCE_S / RETRY_S)):
            try:
                return controller.order(experiment_id, _WANTED[action], note)
            except Busy:
                sleep(RETRY_S)
    raise RuntimeError(
        f"another controller holds its lease since {PATIENCE_S:.0f} s: see the log of `retrain`"
    )


def _check(one: Experiment, action: Action) -> None:
    """Refuse what the words do not mean: the same steps end a trial and undo a promotion."""
    if action == "stop" and one.state == "promoted":
        raise NotNow(
            f"{one.id} is promoted: to go back, `placestream experiments rollback {one.id}`"
        )
    if action == "rollback" and one.state not in FINAL:
        raise NotNow(
            f"{one.id} is on trial ({one.state}): to end that, "
            f"`placestream experiments stop {one.id}`"
        )
