"""A rollout to several model servers: a label moves when all have what it names."""

import pytest

from contracts.settings import Settings
from inference.model_server.server import ModelServer
from retrain.lease import LeaseLost
from retrain.model_admin import ModelAdmin, ModelServerError, addresses_of
from retrain.model_config import MODELS
from retrain.rollout import RolloutFailed, activate
from tests.retrain.tiny_models import answer, break_model, export

STABLE = "stable"


def answers(servers: list[Settings]) -> list[int | str]:
    return [answer(one, name, STABLE) for one in servers for name in MODELS]


def test_the_addresses_of_a_target() -> None:
    """As gRPC writes several, and one as it is."""
    assert addresses_of("ipv4:10.0.0.1:8500,10.0.0.2:8500") == ["10.0.0.1:8500", "10.0.0.2:8500"]
    assert addresses_of("models:8500") == ["models:8500"]
    assert addresses_of("dns:///models:8500") == ["dns:///models:8500"]


def test_all_servers_follow(rollout: Settings, serving: list[Settings]) -> None:
    """Both answer by the label with the new pair, and their states are told as one."""
    for version in (1, 2):
        export(rollout, version)
        assert activate(rollout, version, drain_s=0)
        assert answers(serving) == [version] * 4
    with ModelAdmin(rollout.model_server, timeout_s=5) as servers:
        servers.wait_available(2, alive=lambda: None)
        assert servers.states(5)[2] == dict.fromkeys(MODELS, "AVAILABLE")


def test_who_lost_the_lease_tells_no_further_server(
    rollout: Settings, serving: list[Settings]
) -> None:
    """Frozen after the first of two was told to load: the second hears nothing of it."""
    for version in (1, 2):
        export(rollout, version)
    activate(rollout, 1, drain_s=0)
    asked = iter(["file", "first server"])

    def guard() -> None:
        if next(asked, None) is None:
            raise LeaseLost("by a successor")

    with pytest.raises(LeaseLost):
        activate(rollout, 2, guard=guard, drain_s=0)
    with ModelAdmin(serving[1].model_server, timeout_s=5) as second:
        assert list(second.states(5)) == [1]
    assert answers(serving) == [1] * 4


def test_what_one_cannot_load_moves_no_label(rollout: Settings, serving: list[Settings]) -> None:
    """Neither server ends up with a label on a version that does not load."""
    export(rollout, 1)
    export(rollout, 2)
    activate(rollout, 1, drain_s=0)
    break_model(rollout, "ranker", 2)
    with pytest.raises(RolloutFailed, match="version 2 of ranker at"):
        activate(rollout, 2, drain_s=0)
    assert answers(serving) == [1] * 4


def test_a_server_that_is_away_is_passed_over_and_follows_when_it_starts(
    rollout: Settings, two: list[Settings]
) -> None:
    """The rollout says that not all confirmed it; the file tells the other."""
    export(rollout, 1)
    with ModelServer(two[0]):
        assert not activate(rollout, 1, drain_s=0)
        assert answers(two[:1]) == [1, 1]
        with ModelServer(two[1]), ModelAdmin(rollout.model_server, timeout_s=30) as servers:
            servers.wait_available(1, alive=lambda: None)
            assert answers(two) == [1] * 4
        with (
            ModelAdmin(rollout.model_server, timeout_s=5) as servers,
            pytest.raises(ModelServerError, match=two[1].model_server),
        ):
            servers.states(1)
