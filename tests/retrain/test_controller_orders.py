"""What the controller is ordered by hand: promotion, the way back, and orders that do not fit."""

import pytest

from retrain.experiments import NoSuchExperiment
from retrain.orders import NotNow
from retrain.rollout import exported
from tests.retrain.bench import ONLY_1, ONLY_2, Bench
from tests.retrain.tiny_models import export


def test_by_hand_promoted_and_back_again(bench: Bench) -> None:
    """Promoted before its time, then rolled back to where it came from."""
    controller = bench.controller()
    bench.in_canary(controller)
    assert controller.order("pair-2", "promoting", "by hand").state == "promoted"
    assert bench.by_label == ONLY_2
    assert controller.order("pair-2", "rolling_back", "by hand").state == "rolled_back"
    assert bench.by_label == ONLY_1


def test_promoted_while_it_waits_and_back_again(bench: Bench) -> None:
    """Between two looks, or while `retrain` is down: it has a way back as any other."""
    controller = bench.controller()
    export(bench.settings, 2)
    controller.begin("audit-2", 2, {})
    assert controller.order("pair-2", "promoting", "by hand").baseline == 1
    assert bench.by_label == ONLY_2
    assert controller.order("pair-2", "rolling_back", "by hand").state == "rolled_back"
    assert bench.by_label == ONLY_1


def test_orders_that_do_not_fit_say_what_would(bench: Bench) -> None:
    """Unknown, ended, or while another is on trial."""
    controller = bench.controller()
    with pytest.raises(NoSuchExperiment, match="none yet"):
        controller.order("pair-9", "promoting", "")
    bench.in_canary(controller)
    export(bench.settings, 3)
    controller.begin("audit-3", 3, {})
    with pytest.raises(NotNow, match="experiments stop pair-2"):
        controller.order("pair-3", "promoting", "")
    controller.order("pair-2", "rolling_back", "by hand")
    with pytest.raises(NotNow, match="rolled_back already"):
        controller.order("pair-2", "rolling_back", "")
    with pytest.raises(NotNow, match="only a pair on trial"):
        controller.order("pair-2", "promoting", "")


def test_the_way_back_stays_on_disk(bench: Bench) -> None:
    """After three pairs that failed their trials, version 1 is still there to go back to."""
    controller = bench.controller()
    for version in (2, 3, 4):
        bench.in_canary(controller, version)
        controller.order(f"pair-{version}", "rolling_back", "by hand")
    bench.in_canary(controller, 5)
    controller.order("pair-5", "promoting", "by hand")
    assert exported(bench.settings) == [1, 3, 4, 5]
    controller.order("pair-5", "rolling_back", "by hand")
    assert bench.by_label[0] == "1"
