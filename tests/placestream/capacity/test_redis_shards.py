"""Shards against numbers worked out by hand."""

import dataclasses

import numpy as np
import pytest

from placestream.capacity.constants import Constants
from placestream.capacity.crowds import reads_per_s, round_s
from placestream.capacity.load import Load
from placestream.capacity.redis_shards import GIB, SHARD_GIB, commands_of, find, sharding
from placestream.capacity.slots import layout, layout_by_hand
from placestream.capacity.spare import BUSY
from tests.placestream.capacity.test_sizing import constants

PARTITIONS = (8, 16, 32, 64)


def test_by_memory_the_fullest_shard_decides() -> None:
    """10^8 users of 1,000 bytes, 1.4 times: 130 GiB, eight pieces of 16.3: one to a shard."""
    load = Load(100_000_000, 1, 0, 0)
    piece_gib = 1.4 * 1e11 / GIB / 8
    by_hand = find(load, constants(), (8,), layout_by_hand)
    assert (by_hand.shards, by_hand.why, by_hand.enough) == (8, "memory", True)
    assert by_hand.gib == pytest.approx(np.full(8, piece_gib), rel=1e-3)
    split = find(load, constants(), (8,))
    assert split.shards > 8
    assert split.where.users.max() == 1, "two would be 33 GiB"
    # Finer pieces fill them better: six are the fewest that could hold all of it, and of 32 pieces
    # (4.1 GiB) one of six would get six; of 64 eleven.
    finer = find(load, constants(), PARTITIONS, layout_by_hand)
    assert (finer.shards, finer.where.partitions) == (6, 64)
    assert finer.gib.max() <= SHARD_GIB


def test_by_commands_the_fewest_that_are_not_too_busy() -> None:
    """One shard fewer, and one has more to do than it may."""
    load, per = Load(1, 1, 0, 10_000), constants(redis_us_per_command=10, redis_us_per_key=1)
    found = find(load, per, PARTITIONS)
    assert (found.why, found.enough) == ("commands", True)
    fewer = layout(found.where.partitions, found.shards - 1)
    assert sharding(load, per, fewer, "").busy.max() > BUSY


def test_a_read_takes_a_command_for_each_partition() -> None:
    """200 places lie in every one of 8, and in 1,024 x (1 - (1 - 1/1,024)^200) = 181.8."""
    assert commands_of(200, layout(8, 3)) == pytest.approx(8, rel=1e-6)
    assert commands_of(200, layout(1_024, 3)) == pytest.approx(181.8, abs=0.1)
    assert commands_of(200, layout(8, 1)) == 1, "one Redis answers one MGET"


def test_work_of_a_shard_by_hand() -> None:
    """Of 10,000 requests: 10 us for the user, 8 x 10 us and 200 x 1 us for places; by eight."""
    load, per = Load(1, 1, 0, 10_000), constants(redis_us_per_command=10, redis_us_per_key=1)
    evenly = sharding(load, per, layout_by_hand(8, 8), "")
    assert evenly.busy == pytest.approx(np.full(8, 10_000 * 290e-6 / 8), rel=1e-3)
    alone = sharding(load, per, layout(8, 1), "")
    assert alone.busy == pytest.approx([10_000 * (10 + 10 + 200) * 1e-6], rel=1e-3)


def test_the_hottest_place_is_on_the_busiest_shard() -> None:
    """Half of an event's work is its place's: 10 % of the events on one shard, the rest shared."""
    per: Constants = dataclasses.replace(constants(), redis_us_per_event=2.0)
    busy = sharding(Load(1, 1, 1e5, 0, 0.1), per, layout_by_hand(8, 8), "").busy
    assert busy.sum() == pytest.approx(0.2, rel=1e-3)
    assert sorted(busy)[:7] == pytest.approx([(0.1 + 0.09) / 8] * 7, rel=1e-3)
    assert busy.max() == pytest.approx((0.1 + 0.09) / 8 + 0.01, rel=1e-3)


def test_every_serve_reads_the_crowd_of_all_places() -> None:
    """2,000 a second, 64 at once; a small city once in five seconds."""
    assert round_s(Load(1, 10_000_000, 0, 0)) == 5_000
    assert reads_per_s(Load(1, 10_000_000, 0, 0)) == pytest.approx(2_000 / 64)
    assert reads_per_s(Load(1, 50, 0, 0)) == pytest.approx(1 / 5)
    # Two of `serve`, one Redis: 31.25 commands of 10 us and 2,000 keys of 1 us each, a second.
    per = constants(redis_us_per_command=10, redis_us_per_key=1, place_bytes=1)
    alone = sharding(Load(1, 10_000_000, 0, 0), per, layout(8, 1), "")
    assert alone.busy == pytest.approx([2 * (31.25 * 10 + 2_000) / 1e6])


def test_what_no_cluster_can_do_is_said() -> None:
    """More than all shards have room for."""
    assert not find(Load(10**11, 1, 0, 0), constants(), (8, 16)).enough
