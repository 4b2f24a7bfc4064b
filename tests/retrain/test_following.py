"""Model servers that live, missed a rollout, and are brought to follow the file all the same."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from contracts.experiment import CANARY
from contracts.settings import Settings
from retrain.following import bring_to_follow, next_for
from retrain.lease import LeaseLost
from retrain.model_admin import ModelAdmin, Seen
from retrain.model_config import MODELS, Serving
from retrain.rollout import activate, current, relabel
from tests.retrain.bench import ONLY_1, ONLY_2, Bench
from tests.retrain.test_controller import metric
from tests.retrain.test_several_servers import answers
from tests.retrain.tiny_models import answer, export

STABLE = "stable"


@contextmanager
def silent(*addresses: str) -> Iterator[None]:
    """As if these servers, which live, did not answer in time."""
    present = ModelAdmin.present

    def others(admin: ModelAdmin, *waits_s: Collection[float]) -> list[str]:
        return [address for address in present(admin, *waits_s) if address not in addresses]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelAdmin, "present", others)
        patch.setattr("retrain.rollout._started", lambda *_: False)
        yield


def seen(labels: dict[str, int], **states: str) -> Seen:
    """A server with these labels, and these versions (`v1="AVAILABLE"`) of both models."""
    return Seen(labels, {int(v[1:]): dict.fromkeys(MODELS, state) for v, state in states.items()})


@pytest.mark.parametrize(
    ("its", "then"),
    [
        (seen({STABLE: 1}, v1="AVAILABLE", v2="END"), None),
        (seen({STABLE: 1}, v1="AVAILABLE", v2="AVAILABLE"), Serving({STABLE: 1})),
        (seen({STABLE: 2}, v1="END", v2="AVAILABLE"), Serving({STABLE: 2}, frozenset({1}))),
        (seen({STABLE: 2}, v2="AVAILABLE"), Serving({STABLE: 2}, frozenset({1}))),
        (seen({STABLE: 2}, v1="LOADING", v2="AVAILABLE"), None),
        (
            seen({STABLE: 2}, v1="AVAILABLE", v2="AVAILABLE"),
            Serving({STABLE: 1}, frozenset({2})),
        ),
        (seen({}, v1="START"), None),
        (seen({}), Serving({}, frozenset({1}))),
    ],
)
def test_the_way_to_what_the_file_says(its: Seen, then: Serving | None) -> None:
    """Stable on 1: loaded beside, then labelled, then the rest unloaded; no label on nothing."""
    assert next_for(its, Serving({STABLE: 1})) == then


def test_a_server_that_missed_a_rollback_is_brought_to_it(bench: Bench) -> None:
    """The record says rolled back while the one server answers with the bad pair: not for long."""
    settings, controller = bench.settings, bench.controller()
    bench.in_canary(controller)
    controller.order("pair-2", "promoting", "by hand")
    with silent(settings.model_server):
        ended = controller.order("pair-2", "rolling_back", "bookings fell")
    assert (ended.state, current(settings), bench.by_label) == ("rolled_back", 1, ONLY_2)
    assert ended.note.endswith("is told as soon as it does")
    controller.step()
    assert metric("model_servers", state="differs") == 1
    deadline = time.monotonic() + 30
    while metric("model_servers", state="follows") == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
        controller.step()
    assert bench.by_label == ONLY_1
    assert metric("model_servers", state="differs") == 0


def test_a_rollout_starts_from_what_a_server_has_and_not_from_the_file(bench: Bench) -> None:
    """The file says 1, the server has 2: any label moves all the same, and stable ends where the
    file had it."""
    settings = bench.settings
    export(settings, 2)
    activate(settings, 2, drain_s=0)
    with silent(settings.model_server):
        assert not activate(settings, 1, drain_s=0)
    assert bench.by_label == ONLY_2
    export(settings, 3)
    assert relabel(settings, {CANARY: 3}, drain_s=0)
    assert bench.by_label == "1 3"


def test_of_two_servers_the_one_that_missed_a_rollback_follows(
    rollout: Settings, serving: list[Settings]
) -> None:
    """Stable is 1 on one and 2 on the other until it is looked at, and requests under way go on."""
    for version in (1, 2):
        export(rollout, version)
        activate(rollout, version, drain_s=0)
    with silent(serving[1].model_server):
        assert not activate(rollout, 1, drain_s=0)
    assert answers(serving) == [1, 1, 2, 2]

    def lost() -> NoReturn:
        raise LeaseLost("by a successor")

    with pytest.raises(LeaseLost):
        bring_to_follow(rollout, lost)
    told: list[tuple[str, ...]] = []
    deadline = time.monotonic() + 30
    while told[-1:] != [("follows", "follows")] and time.monotonic() < deadline:
        told.append(tuple(bring_to_follow(rollout, lambda: None).values()))
        assert {answer(serving[1], name, STABLE) for name in MODELS} <= {1, 2}
        time.sleep(0.05)
    assert told[0] == ("follows", "differs")
    assert answers(serving) == [1] * 4
    assert activate(rollout, 2, drain_s=0)
    assert answers(serving) == [2] * 4


def test_a_server_that_is_away_is_told_when_it_is_back(settings: Settings) -> None:
    """Nobody listens; and without a label in the file no server is even asked."""
    assert bring_to_follow(settings, lambda: None) == {}
    export(settings, 1)
    assert not activate(settings, 1, start_s=0)
    assert bring_to_follow(settings, lambda: None) == {settings.model_server: "silent"}
