"""How Redis keys look. Nothing else builds one.

All that one batch writes shares a hash tag, so that the atomic commit also works in a Redis
Cluster: `{i3}` is the shard of users that partition 3 of the interactions feeds, `{b3}` that of
places, `{d3}` place documents, `{c3}` context, `{s3}` served answers (only how far they are). The
version of the definitions is in the key, so that new definitions start from an empty state beside
the old one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from contracts.ids import partition_of, partitions_of
from contracts.settings import Settings
from online_features.definitions import PLACE, USER

ShardKind = Literal["i", "b", "d", "c", "s"]
_VERSIONS: dict[str, str] = {"i": USER.version, "b": PLACE.version, "d": "1", "c": "1", "s": "1"}

#: Kinds whose entities are people: what `placestream erase-user` removes.
USER_KINDS: tuple[ShardKind, ...] = ("i",)

#: What has a meaning in a pattern of SCAN.
_SPECIAL = re.compile(r"[\\*?\[\]]")


@dataclass(frozen=True)
class Keys:
    """Keys of one installation."""

    prefix: str
    partitions: int

    @classmethod
    def of(cls, settings: Settings) -> "Keys":
        """Keys as the settings ask for."""
        return cls(settings.key_prefix, settings.partitions)

    def shard(self, kind: ShardKind, partition: int) -> str:
        """Hash with the owner's epoch, the next source offset and watermarks of a shard."""
        return f"{self._root(kind, partition)}#shard"

    def entity(self, kind: ShardKind, entity_id: str, partition: int | None = None) -> str:
        """State of a user (`i`) or place (`b`), a place's document (`d`), a context (`c`)."""
        if partition is None:
            partition = partition_of(entity_id, self.partitions)
        return f"{self._root(kind, partition)}:{entity_id}"

    def entities(self, kind: ShardKind, entity_ids: Sequence[str]) -> list[str]:
        """`entity` of many ids at once."""
        roots = [f"{self._root(kind, partition)}:" for partition in range(self.partitions)]
        of = partitions_of(entity_ids, self.partitions).tolist()
        return [roots[i] + entity_id for i, entity_id in zip(of, entity_ids, strict=True)]

    def prefix_of(self, kind: ShardKind) -> str:
        """How all keys of a kind begin."""
        return f"{self.prefix}:{_VERSIONS[kind]}:{{{kind}"

    def ids_of(self, keys: Sequence[bytes]) -> list[bytes]:
        """Ids of keys of entities, as UTF-8; b"" where one is of none."""
        after = len(self.prefix.encode())
        return [key[after:].partition(b"}:")[2] for key in keys]

    def version(self, kind: ShardKind) -> str:
        """Version of the definitions that keys of a kind carry here and now."""
        return _VERSIONS[kind]

    def pattern(self, kind: ShardKind, version: str) -> str:
        """What SCAN matches of one version of a kind; `*` for every version."""
        prefix = _SPECIAL.sub(r"\\\g<0>", self.prefix)
        return f"{prefix}:{version}:{{{kind}*}}*"

    def version_of(self, key: str) -> tuple[str, str, str] | None:
        """(kind, version, `#shard` or `:` and the id) of a key of users or places, else `None`."""
        pattern = rf"{re.escape(self.prefix)}:(\w+):\{{([ib])\d+\}}([:#].+)"
        match = re.fullmatch(pattern, key, re.DOTALL)
        return None if match is None else (match[2], match[1], match[3])

    def patterns_of_user(self, user_id: str) -> list[str]:
        """What SCAN matches of a person, in every kind that holds people and in every version."""
        prefix, escaped = (_SPECIAL.sub(r"\\\g<0>", text) for text in (self.prefix, user_id))
        partition = partition_of(user_id, self.partitions)
        return [f"{prefix}:*:{{{kind}{partition}}}:{escaped}" for kind in USER_KINDS]

    def shard_of(self, key: str) -> str:
        """The shard of a key of an entity, of the same kind, partition and version."""
        return f"{key.partition('}')[0]}}}#shard"

    def replayed(self, topic: str) -> str:
        """Hash of the dead letters of a topic that were replayed: true for every version."""
        return f"{self.prefix}:replayed:{topic}"

    def _root(self, kind: ShardKind, partition: int) -> str:
        return f"{self.prefix}:{_VERSIONS[kind]}:{{{kind}{partition}}}"
