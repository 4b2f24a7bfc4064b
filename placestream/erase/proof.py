"""The proof of an erasure: what was found, what was removed, that it is gone, and what remains."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.table import Table

from placestream.erase.in_archive import RemovedFromArchive
from placestream.erase.in_redis import RemovedFromRedis
from placestream.erase.remains import Letters


@dataclass(frozen=True)
class Left:
    """What a second look found.

    Attributes:
        redis_states, archive_rows: from before the erasure; there must be none.
        redis_states_since, archive_rows_since: of what they did after it.
    """

    redis_states: int
    redis_states_since: int
    archive_rows: int
    archive_rows_since: int


@dataclass(frozen=True)
class Proof:
    """All of it.

    Attributes:
        erased_at: what they did, or what came, until then is erased.
        people: SHA-256 of the list's salt and each id; the ids themselves are not in here.
        redis, archive: what was done.
        left: what a second look found.
        letters: dead letters that name them.
        remains: where something of them stays: what, why, until when.
    """

    erased_at: datetime
    people: tuple[str, ...]
    redis: RemovedFromRedis
    archive: RemovedFromArchive
    left: Left
    letters: Letters
    remains: tuple[tuple[str, str], ...]

    @property
    def is_clean(self) -> bool:
        """Whether the second look found nothing from before."""
        return not self.left.redis_states and not self.left.archive_rows


def as_json(proof: Proof) -> str:
    """For programs and files."""
    said: dict[str, Any] = asdict(proof) | {
        "erased_at": proof.erased_at.astimezone(UTC),
        "is_clean": proof.is_clean,
        "remains": dict(proof.remains),
    }
    return msgspec.json.format(msgspec.json.encode(said), indent=2).decode()


def as_table(proof: Proof) -> Table:
    """For people."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("erased", f"{len(proof.people)} (until {proof.erased_at:%Y-%m-%d %H:%M:%S}Z)")
    versions = ", ".join(f"{n} of version {v}" for v, n in proof.redis.found.items()) or "none"
    table.add_row("Redis", f"{proof.redis.removed} states removed ({versions})")
    files, rows = proof.archive.rewritten, sum(f.rows_removed for f in proof.archive.rewritten)
    looked_at = sum(proof.archive.files_looked_at.values())
    table.add_row("archive", f"{rows} rows removed, {len(files)} of {looked_at} files rewritten")
    for file in files:
        change = f"{file.sha256_before[:12]} to {file.sha256_after[:12] or 'nothing'}"
        table.add_row("", f"{file.before}: {file.rows_removed} rows; {change}")
    left = proof.left
    table.add_row(
        "second look",
        f"{left.redis_states} states in Redis, {left.archive_rows} rows in the archive"
        + (
            f"; since then {left.redis_states_since} and {left.archive_rows_since} anew"
            if left.redis_states_since or left.archive_rows_since
            else ""
        ),
    )
    for number, (where, what) in enumerate(proof.remains):
        table.add_row("remains" if number == 0 else "", f"{where}: {what}")
    return table
