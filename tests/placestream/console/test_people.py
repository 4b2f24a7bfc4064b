"""What the console says of users, on a real Redis."""

from redis.asyncio import Redis

from contracts.settings import Settings
from online_features.catalogue import Catalogue
from online_features.keys import Keys
from placestream.console.people import People
from placestream.stack.redis import RedisServer
from tests.inference.fakes import NOON_S
from tests.inference.installation import store_events


async def test_a_damaged_user_is_not_suggested_and_hides_no_other(
    redis_server: RedisServer, settings: Settings
) -> None:
    """The others are suggested as ever."""
    with redis_server.client() as client:
        store_events(client, settings, NOON_S, ("u", "p", "visit", 60.0), ("v", "p", "visit", 9.0))
        client.set(Keys.of(settings).entity("i", "u"), b"\x00\x01damaged")
    async with Redis.from_url(redis_server.url) as redis:
        some = await People(settings, redis, Catalogue()).some()
    assert [one["user_id"] for one in some] == ["v"]
