"""A crowd of users at random spots of a city, and the client that asks for them."""

import asyncio
import math
from collections.abc import Sequence
from typing import Protocol

import grpc.aio
import numpy as np
from numpy.typing import NDArray

from contracts.ids import canonical_id
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.placestream.v1 import recommendation_pb2_grpc as pb_grpc
from placestream.simulation.city import City

#: People stand near places, not on them: standard deviation of the way to one, metres.
STROLL_M = 200.0
_M_PER_DEGREE = 111_195.0
#: A client that waits longer than this has gone.
GIVE_UP_S = 5.0
#: Channels of their own, as different callers have.
CHANNELS = 2


class Spots(Protocol):
    """Places, near which people stand: degrees [n]."""

    @property
    def lat(self) -> NDArray[np.float64]:
        """North."""

    @property
    def lng(self) -> NDArray[np.float64]:
        """East."""


def questions(
    city: City, n: int, rng: np.random.Generator, near: Spots | None = None
) -> list[pb.RecommendRequest]:
    """Requests as apps send them: any user, near any place, ten places, no reasons.

    Args:
        city: whose users ask.
        n: how many.
        rng: draws them.
        near: which places; the city's if none are given.
    """
    near = near or city.places
    users = rng.integers(len(city.users), size=n)
    rows = rng.integers(len(near.lat), size=n)
    north_m, east_m = rng.normal(0, STROLL_M, (2, n))
    lat = near.lat[rows] + north_m / _M_PER_DEGREE
    width = math.cos(math.radians(city.plan.lat))
    lng = near.lng[rows] + east_m / (_M_PER_DEGREE * width)
    return [
        pb.RecommendRequest(
            user_id=canonical_id(city.ids.user(int(user))),
            location=pb.LatLng(lat=float(at_lat), lng=float(at_lng)),
            limit=10,
        )
        for user, at_lat, at_lng in zip(users, lat, lng, strict=True)
    ]


class ServiceClient:
    """Asks the service, without a deadline of its own: the service's then holds."""

    def __init__(self, address: str, asked: Sequence[pb.RecommendRequest]) -> None:
        """Open the channels; belongs to the running event loop.

        Args:
            address: host:port.
            asked: what call i asks is `asked[i % len(asked)]`.
        """
        self._asked = asked
        # Else gRPC would give both channels one connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [
            grpc.aio.insecure_channel(address, options=options) for _ in range(CHANNELS)
        ]
        self._stubs = [pb_grpc.RecommendationServiceStub(channel) for channel in self._channels]

    async def ask(self, i: int) -> pb.RecommendResponse:
        """Call Recommend.

        Raises:
            grpc.aio.AioRpcError: the service refused.
            TimeoutError: no answer within `GIVE_UP_S`.
        """
        async with asyncio.timeout(GIVE_UP_S):
            return await self._stubs[i % CHANNELS].Recommend(self._asked[i % len(self._asked)])

    async def close(self) -> None:
        """Close the channels."""
        for channel in self._channels:
            await channel.close()
