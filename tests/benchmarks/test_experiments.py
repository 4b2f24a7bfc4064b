"""The rollout's statistics in a small simulation: alarms as seldom as promised, uplifts found."""

import numpy as np

from benchmarks.experiments import (
    JUDGES,
    World,
    always_valid,
    called,
    figures,
    mismatch,
    run,
)

SMALL = World(users=3_000, days=14)


def test_daily_looks_do_not_raise_false_alarms() -> None:
    """At most 5 % of 100 runs without a difference; a daily z-test by answer alarms far oftener."""
    found = called(SMALL, 0.0, JUDGES, 100, seed=3)
    rates = {name: len(runs) / 100 for name, runs in found.items()}
    assert rates["always valid, by user"] <= 0.05
    assert rates["z-test, by answer"] > 0.2


def test_a_large_uplift_is_found_and_so_is_a_large_loss() -> None:
    """Twice as much, and a third as much, in every one of three runs."""
    for lift in (1.0, -0.67):
        found = called(World(days=14), lift, {"": always_valid}, 3, seed=4)[""]
        assert len(found) == 3
        assert all(100 <= arm.users <= 2_200 for arm in found)


def test_lost_users_are_a_mismatch() -> None:
    """Of a third of the canary nothing is logged; with none lost nothing is found."""
    judge = mismatch(SMALL)
    for lost, seen in ((0.0, False), (0.34, True)):
        days = run(SMALL, 0.0, np.random.default_rng(1), lost)
        assert any(judge(day) for day in days) is seen


def test_the_whole_report_is_made() -> None:
    """Every judge and every uplift has its line."""
    names = [figure.name for figure in figures(1, 1, seed=2, world=SMALL, larger=SMALL)]
    assert sum(name.startswith("false alarms") for name in names) == 4
    assert sum(name.endswith("found") for name in names) == 4
