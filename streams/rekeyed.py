"""The record that carries an interaction from the user's shard to the place's."""

import msgspec


class Rekeyed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A counted interaction, keyed by place, with its position in the source topic.

    The place's shard remembers the highest `source_offset` per `source_partition`, so that a
    record which is sent again after a crash counts once. Packed with MessagePack.
    """

    source_partition: int
    source_offset: int
    user: int
    place_id: str
    place: int
    kind: int
    time_s: float
    rating: float
    age_group: int
    dwell_s: float


encode_rekeyed = msgspec.msgpack.Encoder().encode
decode_rekeyed = msgspec.msgpack.Decoder(Rekeyed).decode
