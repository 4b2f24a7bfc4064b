"""Which right opens which method."""

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.access.rights import HEALTH_METHODS, RIGHTS, methods_of


def paths(*files: object) -> set[str]:
    """Every method of the services of some protos."""
    return {
        f"/{service.full_name}/{method.name}"
        for file in files
        for service in file.DESCRIPTOR.services_by_name.values()  # type: ignore[attr-defined]
        for method in service.methods
    }


def test_every_method_is_opened_by_one_right() -> None:
    """Who adds a method decides who may call it."""
    for path in paths(pb, health_pb2, reflection_pb2):
        assert sum(path in methods for methods in RIGHTS.values()) == 1, path


def test_to_ask_is_not_to_look_behind() -> None:
    """Who may recommend sees nobody's features."""
    service = "/placestream.v1.RecommendationService"
    assert methods_of(["recommend"]) == {f"{service}/Recommend", f"{service}/BatchRecommend"}
    assert "/placestream.v1.RecommendationService/GetFeatures" in methods_of(["debug"])
    assert methods_of([]) == frozenset()


def test_health_is_the_standard_service() -> None:
    """All of it."""
    assert paths(health_pb2) <= HEALTH_METHODS


def test_a_method_alone_is_a_right() -> None:
    """By its name in the protocol."""
    assert methods_of(["GetFeatures"]) < methods_of(["debug"])


def test_a_right_that_there_is_not_is_an_error() -> None:
    """It must not pass for none."""
    with pytest.raises(ValueError, match="no right 'recomend'"):
        methods_of(["recommend", "recomend"])
