"""Which orders fit an experiment, and what to do instead."""

from collections.abc import Collection

from retrain.experiments import FINAL, Experiment, State


class NotNow(ValueError):
    """An order does not fit the state of its experiment; says what would."""


def check_order(
    one: Experiment, wanted: State, stable: int | None, others: Collection[Experiment]
) -> None:
    """Return if an experiment can be moved by hand.

    Args:
        one: the experiment.
        wanted: `promoting` or `rolling_back`.
        stable: version in service.
        others: all experiments, the oldest first.

    Raises:
        NotNow: it cannot; says what can be done.
    """
    for other in others:
        if other.id != one.id and other.state not in (*FINAL, "waiting"):
            raise NotNow(
                f"{other.id} is on trial ({other.state}): "
                f"first `placestream experiments stop {other.id}`"
            )
    if wanted == "promoting" and one.state in FINAL:
        raise NotNow(f"{one.id} is {one.state}: only a pair on trial can be promoted")
    if wanted == "rolling_back" and one.state == "promoted":
        _check_way_back(one, stable, others)
    elif wanted == "rolling_back" and one.state in FINAL:
        raise NotNow(f"{one.id} is {one.state} already: version {stable} is in service")


def _check_way_back(one: Experiment, stable: int | None, others: Collection[Experiment]) -> None:
    name = {other.version: other.id for other in others}.get(stable or 0, f"pair-{stable}")
    if stable != one.version:
        raise NotNow(f"{one.id} is no longer in service (version {stable} is): roll back {name}")
    if one.baseline is None:
        raise NotNow(f"{one.id} was the first pair: there is none to go back to")
