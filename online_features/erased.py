"""People who were erased: which of their events must not come back.

Kafka still holds events of theirs, and a phone may send one late. So whoever writes the archive,
folds events or reads the archive asks this list first. An event is erased if it happened, or was
received, before its user was: somebody who comes back later is a new person.

Of each person the list keeps SHA-256 of a salt and the id, and 16 bits of the id's 64-bit hash,
which every 65,536th person shares, to sift whole columns by. So no id stands in it, and no two
lists can be compared. But the salt lies beside the hashes: who has the file can try ids, and finds
those that can be guessed, such as integers. It needs the protection that the archive has.
"""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.followed_file import FollowedFile
from contracts.ids import id64

FILE, LOCK = "erased.json", ".erased.lock"
_BUCKETS = 0xFFFF


class _Person(msgspec.Struct, frozen=True):
    digest: str
    bucket: int
    erased_s: float


class _List(msgspec.Struct, frozen=True):
    salt: str
    people: list[_Person] = []


class DamagedList(OSError):
    """The list cannot be understood; whoever would write waits until it can."""


def _read(archive_dir: Path) -> _List:
    path = archive_dir / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=_List)
    except FileNotFoundError:
        return _List("")
    except ValueError as error:
        raise DamagedList(f"{path} is damaged: {error}") from error


@dataclass(frozen=True)
class Erased:
    """Everybody who was erased.

    Attributes:
        salt: of the hashes.
        until_s: Unix seconds at which each was erased (the last time), by hash.
        buckets: uint64, sorted: of all of them.
    """

    salt: str
    until_s: dict[str, float]
    buckets: NDArray[np.uint64]

    @classmethod
    def read(cls, archive_dir: Path) -> Self:
        """The list of an archive; empty where there is none.

        Raises:
            DamagedList: nothing may go on as if nobody had been erased.
        """
        kept = _read(archive_dir)
        buckets = np.unique(np.array([person.bucket for person in kept.people], np.uint64))
        return cls(kept.salt, {p.digest: p.erased_s for p in kept.people}, buckets)

    def __bool__(self) -> bool:
        return bool(self.until_s)

    def digest(self, user_id: str) -> str:
        """What the list keeps of an id."""
        return hashlib.sha256(f"{self.salt}:{user_id}".encode()).hexdigest()

    def has(self, user_id: str, time_s: float) -> bool:
        """Whether what this user did at a moment (Unix seconds) is erased."""
        return time_s <= self.until_s.get(self.digest(user_id), -np.inf) if self else False

    def events(
        self,
        user: NDArray[np.uint64],
        user_id: Sequence[str] | NDArray[np.object_],
        earliest_s: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Which events are erased.

        Args:
            user: [n] hashes of the ids.
            user_id: [n] canonical ids.
            earliest_s: [n] when each happened, or when Kafka received it, Unix seconds; clocks of
                phones run fast or slow.

        Returns:
            bool[n].
        """
        gone = np.zeros(len(user), bool)
        if not self:
            return gone
        # A million users sift in milliseconds; only one in thousands is hashed.
        likely = np.flatnonzero(np.isin(user & np.uint64(_BUCKETS), self.buckets))
        until_s: dict[str, float] = {}
        for i in likely.tolist():
            who = str(user_id[i])
            if who not in until_s:
                until_s[who] = self.until_s.get(self.digest(who), -np.inf)
            gone[i] = earliest_s[i] <= until_s[who]
        return gone


def followed(archive_dir: Path) -> Callable[[], Erased]:
    """The list as it is at each call; costs a look at the file.

    A call raises OSError where the list has changed and cannot be read: by an older one, somebody
    who was erased would be folded again.
    """
    path = archive_dir / FILE
    return FollowedFile([path], lambda: Erased.read(archive_dir), lambda: 0.0).newest


def erase(archive_dir: Path, user_ids: Sequence[str], erased_s: float) -> Erased:
    """Put people on the list, or move the moment of those who are on it; return the list.

    When this returns, no worker that writes the archive goes by an older list.

    Args:
        archive_dir: of the archive; made if there is none.
        user_ids: canonical ids.
        erased_s: Unix seconds; what they did until then is erased.
    """
    archive_dir.mkdir(parents=True, exist_ok=True)
    with _locked(archive_dir, fcntl.LOCK_EX):
        before = _read(archive_dir)
        salt = before.salt or secrets.token_hex(16)
        listed = {person.digest: person for person in before.people}
        salted = Erased(salt, {}, np.zeros(0, np.uint64))
        for user_id in user_ids:
            digest = salted.digest(user_id)
            known = listed.get(digest)
            until_s = max(erased_s, known.erased_s if known else erased_s)
            listed[digest] = _Person(digest, id64(user_id) & _BUCKETS, until_s)
        _write(archive_dir / FILE, _List(salt, list(listed.values())))
    return Erased.read(archive_dir)


@contextmanager
def writing(archive_dir: Path) -> Iterator[Erased]:
    """What is written inside goes by this list: nobody is erased meanwhile."""
    archive_dir.mkdir(parents=True, exist_ok=True)
    with _locked(archive_dir, fcntl.LOCK_SH):
        yield Erased.read(archive_dir)


@contextmanager
def nobody_writes(archive_dir: Path) -> Iterator[None]:
    """Nobody is between looking at the list and naming the file that was written by it."""
    with _locked(archive_dir, fcntl.LOCK_EX):
        yield


def _write(path: Path, listed: _List) -> None:
    """In one step, and on the disk before anybody goes by it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(listed), indent=1) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def _locked(archive_dir: Path, how: int) -> Iterator[None]:
    with (archive_dir / LOCK).open("a") as lock:
        fcntl.flock(lock, how)
        yield
