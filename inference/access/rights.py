"""What a client may be allowed to do: rights by name, and the methods that each opens."""

from collections.abc import Iterable

from contracts.placestream.v1 import recommendation_pb2 as pb

_SERVICE = pb.DESCRIPTOR.services_by_name["RecommendationService"]
HEALTH_METHODS = frozenset(
    f"/grpc.health.v1.Health/{method}" for method in ("Check", "Watch", "List")
)
_REFLECTION = frozenset(
    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    for version in ("v1", "v1alpha")
)


def paths(*methods: str) -> frozenset[str]:
    """Methods of the service as paths of HTTP/2."""
    return frozenset(f"/{_SERVICE.full_name}/{method}" for method in methods)


#: Right to the methods that it opens, as paths of HTTP/2. A method that stands in none of these
#: can be called by nobody until somebody decides whose it is.
RIGHTS: dict[str, frozenset[str]] = {
    "recommend": paths("Recommend", "BatchRecommend"),
    "feedback": paths("Feedback"),
    # Shows what is known of any person: for those who keep the service up.
    "debug": paths("GetFeatures") | _REFLECTION,
    "health": HEALTH_METHODS,
}


def methods_of(rights: Iterable[str]) -> frozenset[str]:
    """The paths that some rights open; the name of a single method is a right too.

    Raises:
        ValueError: no such right; a typing error must not pass for "none".
    """
    opened: frozenset[str] = frozenset()
    for right in rights:
        if right in RIGHTS:
            opened |= RIGHTS[right]
        elif right in _SERVICE.methods_by_name:
            opened |= paths(right)
        else:
            known = ", ".join([*RIGHTS, *_SERVICE.methods_by_name])
            raise ValueError(f"there is no right {right!r} (there are {known})")
    return opened
