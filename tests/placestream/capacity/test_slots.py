"""Pieces on shards against Redis's own tool and client."""

from redis.crc import key_slot

from online_features.keys import Keys, ShardKind
from placestream.capacity.slots import last_slots, layout, layout_by_hand


def test_slots_are_dealt_out_as_redis_cli_does() -> None:
    """What `redis-cli --cluster create` prints for three masters, and for six."""
    assert last_slots(3).tolist() == [5460, 10922, 16383]
    assert last_slots(6).tolist() == [2730, 5460, 8191, 10922, 13652, 16383]


def test_pieces_lie_where_their_keys_do() -> None:
    """Counted one by one; all keys of a partition lie together."""
    keys, ends, found = Keys("prefix", 16), last_slots(12), layout(16, 12)
    counted = [0] * 12
    kinds: tuple[ShardKind, ...] = ("i", "b")
    for kind in kinds:
        for partition in range(16):
            slot = key_slot(keys.entity(kind, "someone", partition).encode())
            counted[next(n for n, last in enumerate(ends) if slot <= last)] += 1
    assert found.tags.tolist() == counted
    assert (found.tags.max(), found.tags.min(), found.tags.sum()) == (6, 0, 32)


def test_by_hand_no_shard_has_two_pieces_more_than_another() -> None:
    """32 pieces on 12 shards: two or three, of users and of places one or two."""
    found = layout_by_hand(16, 12)
    assert sorted(set(found.tags.tolist())) == [2, 3]
    assert set(found.users.tolist()) == set(found.places.tolist()) == {1, 2}
