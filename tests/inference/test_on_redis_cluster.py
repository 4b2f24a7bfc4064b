"""The service on a Redis Cluster of three masters."""

import time
from typing import Any

import pytest

from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from online_features.keys import Keys
from tests.inference.conftest import PLACES, StartService
from tests.inference.installation import Client, store_context, store_events
from tests.inference.waiting import eventually
from tests.redis_cluster import ClusterNode, client_of_cluster, on_cluster

START_S = 60.0


@pytest.mark.slow
async def test_an_answer_from_three_masters(
    start_service: StartService, installed: Settings, cluster_nodes: list[ClusterNode]
) -> None:
    """User, places and weather, wherever they lie; without the user's master the answer is a step
    down the ladder, and whole again when that is back."""
    settings = on_cluster(installed, cluster_nodes)
    happened = [("u", place.place_id, "view", 9.0) for place in PLACES]
    with client_of_cluster(settings) as client:
        of_user: Any = client.get_node_from_key(Keys.of(settings).entity("i", "u"))
        store_events(client, settings, time.time(), ("u", "p3", "visit", 90_000.0), *happened)
        store_context(client, settings, "uptown", timestamp_s=time.time(), condition="snow")
    server = await start_service(settings)
    await server.wait_serving(START_S)
    asking = Client(server.port)
    answer = await asking.recommend()
    assert answer.degradation == pb.DEGRADATION_NONE
    assert [place.place_id for place in answer.places] == ["p3", "p0", "p1"]
    assert answer.user_known
    told = await asking.features(user_id="u", place_ids=[place.place_id for place in PLACES])
    assert [place.known for place in told.places] == [True] * len(PLACES)
    (master,) = [node for node in cluster_nodes if node.port == of_user.port]
    master.kill()
    assert await asking.level() == "PARTIAL"
    master.start()

    async def whole_again() -> bool:
        return await asking.level() == "NONE"

    await eventually(whole_again, 60)
    assert (await asking.ids())[0] == "p3"
    await asking.channel.close()
