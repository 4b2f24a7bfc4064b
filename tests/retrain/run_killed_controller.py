"""Does one thing to an experiment and dies at a given point, or tells how many points it passed:
`python -m tests.retrain.run_killed_controller PHASE POINT`.

Points are counted over everything that another process can see: records, events, the configuration
file, the model server. Settings come from the environment.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

#: What each phase passes; a test holds that all are met.
POINTS = {"hand_over": 6, "start": 9, "roll_back": 18}
#: As of `tests.retrain.bench`, which would bring TensorFlow with it: a follower goes by that clock.
NOW_S = 1_800_000_000.0


def controller_of(settings: Any, client: Any) -> Any:
    """One that waits for nobody, and whose lease outlives it by a second."""
    from retrain.controller import Controller
    from tests.retrain.run_killed import ToFile

    return Controller(
        settings,
        client,
        ToFile(settings.models_dir / "told"),
        lambda: NOW_S,
        sleep=lambda _: None,
        lease_s=1,
        drain_s=0,
    )


def hand_over(settings: Any, client: Any) -> Any:
    """Train a tiny pair and give it to the controller; the job's record."""
    from tests.retrain.run_killed import worked

    return worked(settings, client, lease_s=1, on_trial=controller_of(settings, client).begin)


PHASES: dict[str, Callable[[Any, Any], Any]] = {
    "hand_over": hand_over,
    "start": lambda settings, client: controller_of(settings, client).step(),
    "roll_back": lambda settings, client: controller_of(settings, client).order(
        "pair-2", "rolling_back", "by hand"
    ),
}


def main(phase: str, point: str) -> None:
    """Do it, and print how many points were passed."""
    import redis

    from contracts.settings import Settings
    from retrain import rollout
    from retrain.experiments import Experiments
    from retrain.jobs import Jobs
    from retrain.model_admin import ModelAdmin
    from tests.retrain.run_killed import ToFile, counted

    passed: list[str] = []
    kill_at = int(point) if point.isdecimal() else None
    places: list[tuple[Any, str]] = [
        (Jobs, "save"),
        (Experiments, "_begin"),
        (Experiments, "save"),
        (ToFile, "send"),
        (rollout, "write"),
        (ModelAdmin, "reload"),
    ]
    for owner, name in places:
        setattr(owner, name, counted(passed, kill_at, name, getattr(owner, name)))
    settings = Settings()
    with redis.Redis.from_url(settings.redis_url.get_secret_value(), socket_timeout=5) as client:
        PHASES[phase](settings, client)
    print(len(passed), *passed)  # noqa: T201


if __name__ == "__main__":
    os.environ["PLACESTREAM_TEST_TRAINER"] = str(os.getpid())
    main(*sys.argv[1:])
