"""Clients of a real Redis Cluster: keys of many nodes, and its loss and return.

That commits, shards, leases and the stream keep their promises there is shown by their own tests.
"""

from typing import Any

import pytest
import redis
from pydantic import SecretStr
from redis.asyncio import Redis

from contracts.settings import Settings
from online_features.keys import Keys
from online_features.redis_client import blocking_client_of, client_of
from online_features.redis_cluster import Cluster
from online_features.store import OWNED, Commit, Store
from placestream.erase.in_redis import InRedis
from placestream.rebuild.shards import delete, scan
from tests.inference.waiting import eventually
from tests.redis_cluster import ClusterNode, on_cluster


@pytest.fixture
def on_three(settings: Settings, cluster_nodes: list[ClusterNode]) -> Settings:
    """Settings on the cluster."""
    return on_cluster(settings, cluster_nodes)


async def test_tls_users_and_the_packing_in_c_reach_every_node() -> None:
    """Under redis-py's names, as of one server; nothing connects before it is used."""
    url = SecretStr("rediss://ann:swordfish@h:1")
    files: dict[str, Any] = {f"redis_{kind}_file": f"{kind}.pem" for kind in ("ca", "key")}
    client: Any = client_of(Settings(_env_file=None, redis_url=url, redis_cluster=True, **files))
    options = client.get_connection_kwargs()
    assert (options["username"], options["password"]) == ("ann", "swordfish")
    assert (options["ssl_ca_certs"], options["ssl_keyfile"]) == ("ca.pem", "key.pem")
    assert [base.__name__ for base in options["connection_class"].__mro__[:3]] == [
        "_Secure",
        "_Packing",
        "SSLConnection",
    ]


async def _piped(client: Redis) -> list[Any]:
    async with client.pipeline(transaction=False) as pipe:
        pipe.get("a")
        return list(await pipe.execute())


@pytest.mark.slow
async def test_two_hundred_places_are_read_from_all_nodes(
    on_three: Settings, cluster_nodes: list[ClusterNode]
) -> None:
    """In the order of their keys, by both clients; and they are found, and deleted, on all."""
    keys = Keys.of(on_three.model_copy(update={"partitions": 12}))
    named = [keys.entity("b", f"p{n}") for n in range(200)]
    expected = [key.encode() if n % 3 else None for n, key in enumerate(named)]
    with blocking_client_of(on_three) as blocking:
        for key, value in zip(named, expected, strict=True):
            if value is not None:
                blocking.set(key, value)
        assert blocking.mget(named) == expected
    for node in cluster_nodes:
        with node.client() as one:
            assert one.dbsize()
    client = client_of(on_three)
    assert await client.mget(named) == expected
    found = [key async for batch in scan(client, keys.pattern("b", "*")) for key in batch]
    assert sorted(found) == sorted(value for value in expected if value is not None)
    await delete(client, found)
    assert await client.mget(named) == [None] * 200
    await client.aclose()


@pytest.mark.slow
async def test_the_user_that_the_pages_name_may_do_what_is_needed(
    on_three: Settings, cluster_nodes: list[ClusterNode]
) -> None:
    """docs/security.md: all but what is for administrators, and CLUSTER SLOTS."""
    rights = ["+@all", "-@admin", "-@dangerous", "+cluster|slots"]
    for node in cluster_nodes:
        with node.client() as one:
            one.execute_command("ACL SETUSER", "ann", "on", ">swordfish", "~*", *rights)
    url = SecretStr(cluster_nodes[0].url.replace("//", "//ann:swordfish@"))
    of_ann = on_three.model_copy(update={"redis_url": url})
    client, keys = client_of(of_ann), Keys.of(of_ann)
    store = Store(client, keys)
    mine = [await store.acquire("i", partition) for partition in range(4)]
    outcomes = await store.commit([Commit("i", p, mine[p].epoch, 0, 1, {}) for p in range(4)])
    assert [outcome.status for outcome in outcomes] == [OWNED] * 4
    assert await client.mget([keys.entity("i", f"u{n}") for n in range(9)]) == [None] * 9
    await client.aclose()
    with blocking_client_of(of_ann) as blocking:
        assert blocking.ping()
        assert InRedis(blocking, keys).remove(["u1"]).shards_fenced == 1


async def test_a_transaction_is_refused(settings: Settings) -> None:
    """redis-py would run each of its commands in an event loop of its own."""
    client = Cluster.from_url(settings.redis_url.get_secret_value())
    with pytest.raises(ValueError, match="script"):
        client.pipeline(transaction=True)


@pytest.mark.slow
async def test_a_cluster_that_is_away_is_a_redis_that_is_away(
    on_three: Settings, cluster_nodes: list[ClusterNode]
) -> None:
    """The same error as of one server, by which the stream waits and the service steps down; and
    the same clients answer when it is back."""
    client, keys = client_of(on_three), ["{a}", "{b}"]
    assert await client.mget(keys) == [None, None]
    for node in cluster_nodes:
        node.kill()
    for _ in range(2):  # with the nodes as they were known, and when they must be learnt anew
        with pytest.raises(redis.RedisError):
            await client.mget(keys)
        with pytest.raises(redis.RedisError):
            await client.get("a")
        with pytest.raises(redis.RedisError):
            await _piped(client)
    with pytest.raises(redis.RedisError):
        blocking_client_of(on_three)
    for node in cluster_nodes:
        node.start()
    await eventually(lambda: all(node.knows_all() for node in cluster_nodes), timeout_s=60)
    assert await client.mget(keys) == [None, None]
    await client.aclose()
