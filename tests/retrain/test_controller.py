"""A pair's way into service on real Redis and a real model server, with evidence by hand."""

import threading
from typing import NoReturn

import pytest
import redis
from prometheus_client import REGISTRY

from contracts.settings import Settings
from retrain import controller as controller_module
from retrain.controller import Busy, Controller
from retrain.keys import ControllerKeys
from retrain.lease import Lease, LeaseLost
from retrain.model_config import DamagedConfig
from retrain.publish import NotPublished
from retrain.rollout import RolloutFailed, activate, current
from tests.retrain.bench import NOW_S, ONLY_1, ONLY_2, Bench
from tests.retrain.conftest import Remembering
from tests.retrain.tiny_models import break_model, export


def metric(name: str, **labels: str) -> float:
    """A figure of this process's page; 0 where there is none."""
    return REGISTRY.get_sample_value(f"placestream_{name}", labels) or 0


def on_trial(state: str) -> float:
    """Since when version 2 is on trial in this state."""
    return metric("experiment_since_timestamp_seconds", state=state, version="2")


def test_what_is_on_trial_is_told(bench: Bench) -> None:
    """State and since when, users by variant; nothing of it is left when the trial has ended."""
    controller = bench.controller()
    bench.in_canary(controller)
    assert on_trial("canary") == NOW_S
    assert on_trial("shadow") == 0
    bench.now_s += 3_600
    controller.step()
    assert on_trial("canary") == NOW_S
    assert metric("canary_users", variant="stable") == 9_000
    assert metric("canary_users", variant="canary") == 1_000
    assert metric("canary_mismatch_p_ratio") == 1
    assert metric("canary_effect_ratio", metric="success", bound="high") > 0
    controller.order("pair-2", "rolling_back", "by hand")
    controller.step()
    assert on_trial("canary") == 0
    assert metric("canary_users", variant="canary") == 0
    assert metric("canary_effect_ratio", metric="success", bound="high") == 0


def test_looks_are_told_as_long_as_they_succeed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that fails does not count as one: its age is what an alert watches."""
    monkeypatch.setattr(controller_module, "LOOK_S", 0.01)
    controller = bench.controller()
    stop = threading.Event()
    looks = iter(range(3))

    def look() -> None:
        bench.now_s += 60
        match next(looks, None):
            case 1:
                raise redis.ConnectionError("away")
            case None:
                stop.set()
                raise redis.ConnectionError("away")

    monkeypatch.setattr(controller, "step", look)
    controller.run(stop)
    assert metric("rollout_look_timestamp_seconds") == NOW_S + 3 * 60
    assert bench.now_s == NOW_S + 4 * 60


def test_a_damaged_configuration_does_not_end_the_controller(
    settings: Settings,
    client: redis.Redis,
    outbox: Remembering,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It looks again, and a look at a damaged file counts as none: that is what is alerted on."""
    monkeypatch.setattr(controller_module, "LOOK_S", 0.01)
    settings.model_config_file.parent.mkdir(parents=True)
    settings.model_config_file.write_text("model_config_list {")
    now_s = iter(range(100))
    controller = Controller(settings, client, outbox, lambda: float(next(now_s)))
    stop = threading.Event()
    with pytest.raises(DamagedConfig):
        controller.step()
    threading.Timer(0.5, stop.set).start()
    controller.run(stop)
    assert controller.died_of is None
    assert metric("rollout_look_timestamp_seconds") == 0


def test_a_good_pair_goes_all_the_way(bench: Bench) -> None:
    """Shadow, canary, promoted: labels, plan, events under one audit id, and the history."""
    controller = bench.controller()
    export(bench.settings, 2)
    assert controller.begin("audit-1", 2, {"auc": 0.8})
    shadowed = controller.step()
    assert shadowed is not None
    assert (shadowed.state, bench.plan(), bench.by_label) == ("shadow", "shadow", "1 2")
    bench.compared("pair-2", compared=499, overlap=400)
    assert controller.step() == controller.experiments.get("pair-2")
    assert bench.plan() == "shadow"
    bench.compared("pair-2", compared=1)
    controller.step()
    assert (bench.plan(), bench.by_label) == ("canary", "1 2")
    bench.now_s += 3_600
    waiting = controller.step()
    assert waiting is not None
    assert waiting.note == "still needs 23.0 h"
    bench.now_s += 86_400
    ended = controller.step()
    assert ended is not None
    assert ended.state == "promoted"
    assert (bench.plan(), bench.by_label) == (None, ONLY_2)
    assert current(bench.settings) == 2
    assert bench.told == ["shadow", "canary", "promoted"]
    assert {step.audit_id for step in bench.outbox.steps} == {"audit-1"}
    states = [entry.state for entry in controller.experiments.history("pair-2")]
    assert states == ["waiting", "shadow", "canary", "promoting", "promoted"]
    assert ended.report["shadow"]["overlap"] == 0.8


def test_a_worse_pair_is_rolled_back_at_once(bench: Bench) -> None:
    """Proven within the first hour: users are back on the pair in service, and it is let go."""
    controller = bench.controller()
    bench.in_canary(controller)
    bench.now_s += 3_600
    bench.rates = (0.2, 0.1)
    before = metric("rollbacks_total", cause="worse")
    ended = controller.step()
    assert ended is not None
    assert metric("rollbacks_total", cause="worse") == before + 1
    assert (ended.state, bench.plan(), current(bench.settings)) == ("rolled_back", None, 1)
    assert ended.note.startswith("worse: success -50.00 %")
    assert bench.by_label == ONLY_1
    assert bench.told == ["shadow", "canary", "rolled_back"]


def test_users_that_are_missing_stop_it(bench: Bench) -> None:
    """A third of the canary's users never shows: nothing else it says is believed."""
    controller = bench.controller()
    bench.in_canary(controller)
    bench.users = 90_000
    evidence_users = Bench.read

    def fewer(self: Bench) -> bool:
        evidence_users(self)
        for i in range(3_000):
            del self.reads[-1].treated.users["degraded"][str(i)]
        return True

    bench.read = fewer.__get__(bench)  # type: ignore[method-assign]
    before = metric("rollbacks_total", cause="mismatch")
    ended = controller.step()
    assert ended is not None
    assert ended.state == "rolled_back"
    assert ended.note.startswith("sample-ratio mismatch")
    assert metric("rollbacks_total", cause="mismatch") == before + 1


def test_what_proves_nothing_is_rolled_back_in_the_end(bench: Bench) -> None:
    """Too few users for the margin until the longest duration is over."""
    controller = bench.controller()
    bench.in_canary(controller)
    bench.users = 900
    bench.now_s += 10 * 86_400
    ended = controller.step()
    assert ended is not None
    assert (ended.state, current(bench.settings)) == ("rolled_back", 1)
    assert "longest duration; still needs 900 users" in ended.note


def test_a_shadow_that_keeps_failing_never_meets_a_user(bench: Bench) -> None:
    """Twenty failures of fifty."""
    controller = bench.controller()
    export(bench.settings, 2)
    controller.begin("audit-1", 2, {})
    controller.step()
    bench.compared("pair-2", compared=30, failed=20)
    controller.step()
    controller.step()
    assert bench.told == ["shadow", "rolled_back"]
    assert current(bench.settings) == 1


def test_a_shadow_that_nobody_sees_ends(bench: Bench) -> None:
    """In a week 499 of 500 answers were compared: the pairs behind it have their turn."""
    controller = bench.controller()
    export(bench.settings, 2)
    controller.begin("audit-1", 2, {})
    controller.step()
    bench.compared("pair-2", compared=499)
    bench.now_s += bench.settings.shadow_max_s - 1
    controller.step()
    assert bench.plan() == "shadow"
    bench.now_s += 1
    controller.step()
    ended = controller.step()
    assert ended is not None
    assert (ended.state, current(bench.settings)) == ("rolled_back", 1)
    assert "only 499 answers" in ended.note


def test_users_leave_a_pair_that_lost_whatever_becomes_of_its_label(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The labels cannot be moved: nobody is sent to it all the same, and it is tried again."""
    controller = bench.controller()
    bench.in_canary(controller)
    bench.rates = (0.2, 0.02)

    def refuses(*_: object, **__: object) -> NoReturn:
        raise RolloutFailed("the model server does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(controller_module, "relabel", refuses)
        with pytest.raises(RolloutFailed):
            controller.step()
    assert bench.plan() is None
    ended = controller.step()
    assert ended is not None
    assert (ended.state, bench.by_label) == ("rolled_back", ONLY_1)


def test_a_pair_that_does_not_load_fails(bench: Bench) -> None:
    """No label moved, no plan; the next pair has its turn."""
    controller = bench.controller()
    export(bench.settings, 2)
    break_model(bench.settings, "ranker", 2)
    controller.begin("audit-1", 2, {})
    before = metric("experiments_total", outcome="failed")
    failed = controller.step()
    assert failed is not None
    assert (failed.state, bench.plan(), current(bench.settings)) == ("failed", None, 1)
    assert "version 2 of ranker" in failed.note
    assert metric("experiments_total", outcome="failed") == before + 1


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", range(8))
def test_a_controller_cut_short_anywhere_is_followed_by_one_that_completes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    """Killed before its n-th use of the lease while promoting: another one ends it the same way."""
    killed = bench.controller()
    bench.in_canary(killed)
    bench.now_s += 2 * 86_400
    steps = iter(range(100))
    check = Lease.check

    def checked(lease: Lease) -> None:
        if next(steps) == stop_at:
            raise KeyboardInterrupt
        check(lease)

    monkeypatch.setattr(Lease, "check", checked)
    monkeypatch.setattr(Lease, "_keep", lambda _: None)  # its thread checks, too
    try:
        killed.step()
    except KeyboardInterrupt:
        assert bench.by_label[0] in "12"
    monkeypatch.undo()
    follower = bench.controller()
    while (one := follower.experiments.get("pair-2")).state != "promoted":
        follower.step()
    assert (bench.by_label, bench.plan(), one.untold) == (ONLY_2, None, [])
    assert bench.told == ["shadow", "canary", "promoted"]


def test_two_controllers_cannot_act_at_once(bench: Bench) -> None:
    """The second is refused; the first, once its lease has passed on, writes nothing more."""
    controller = bench.controller()
    bench.in_canary(controller)
    keys = ControllerKeys(bench.settings.key_prefix)
    other = Lease(bench.client, keys)
    assert other.acquire()
    with pytest.raises(Busy):
        controller.step()
    other.release()

    def stolen(_self: Bench) -> bool:
        bench.client.delete(keys.lease)
        assert other.acquire()
        return True

    bench.read = stolen.__get__(bench)  # type: ignore[method-assign]
    before = controller.experiments.get("pair-2")
    with pytest.raises(LeaseLost):
        controller.step()
    assert controller.experiments.get("pair-2") == before
    assert (bench.plan(), bench.by_label) == ("canary", "1 2")
    other.release()


def test_a_step_that_kafka_did_not_take_is_told_later(bench: Bench) -> None:
    """The record moves on, and the event follows at the next step, once."""
    controller = bench.controller()
    export(bench.settings, 2)
    controller.begin("audit-1", 2, {})
    bench.outbox.refuse = 1
    with pytest.raises(NotPublished):
        controller.step()
    assert (bench.plan(), bench.told) == ("shadow", [])
    controller.step()
    assert (bench.plan(), bench.told) == ("shadow", ["shadow"])


def test_the_newest_of_those_that_wait_has_its_turn(bench: Bench) -> None:
    """Two more are trained during a canary: the older of them is passed over."""
    controller = bench.controller()
    bench.in_canary(controller)
    for version in (3, 4):
        export(bench.settings, version)
        controller.begin(f"audit-{version}", version, {})
    controller.step()
    assert controller.experiments.get("pair-2").state == "canary"
    controller.order("pair-2", "rolling_back", "by hand")
    controller.step()
    states = [controller.experiments.get(f"pair-{v}").state for v in (2, 3, 4)]
    assert states == ["rolled_back", "rolled_back", "shadow"]
    assert controller.experiments.get("pair-3").note == "pair-4 is newer"


@pytest.mark.parametrize("how", ["direct", "first"])
def test_without_anything_to_try_it_against_there_is_no_trial(
    settings: Settings, client: redis.Redis, outbox: Remembering, how: str
) -> None:
    """The first pair ever, or an installation that wants none."""
    if how == "direct":
        export(settings, 1)
        activate(settings, 1, start_s=0)
        settings = settings.model_copy(update={"rollout_direct": True})
    controller = Controller(settings, client, outbox, lambda: NOW_S)
    assert not controller.begin("audit-1", 2, {})
    assert controller.experiments.ids() == []
    assert controller.step() is None
