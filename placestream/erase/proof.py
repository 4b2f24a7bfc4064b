"""The proof of an erasure: what was found, what was removed, that it is gone, and what remains."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.table import Table

from placestream.erase.in_files import RemovedFromFiles
from placestream.erase.in_redis import RemovedFromRedis
from placestream.erase.remains import Letters


@dataclass(frozen=True)
class Left:
    """What a second look found.

    Attributes:
        redis_states, archive_rows: from before the erasure; there must be none.
        redis_states_since, archive_rows_since: of what they did after it.
        table_rows: of the backfill's tables; there must be none.
    """

    redis_states: int
    redis_states_since: int
    archive_rows: int
    archive_rows_since: int
    table_rows: int


@dataclass(frozen=True)
class Proof:
    """All of it.

    Attributes:
        erased_at: what they did, or what came, until then is erased.
        people: SHA-256 of the list's salt and each id; the ids themselves are not in here.
        redis, archive, tables: what was done; the tables are those of the backfill.
        tables_in: the folder of the tables; those of another machine are not in it.
        left: what a second look found.
        letters: dead letters that name them.
        remains: where something of them stays: what, why, until when.
    """

    erased_at: datetime
    people: tuple[str, ...]
    redis: RemovedFromRedis
    archive: RemovedFromFiles
    tables: RemovedFromFiles
    tables_in: str
    left: Left
    letters: Letters
    remains: tuple[tuple[str, str], ...]

    @property
    def is_clean(self) -> bool:
        """Whether the second look found nothing from before."""
        left = self.left
        return not (left.redis_states or left.archive_rows or left.table_rows)


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
    _add_files(table, "archive", proof.archive)
    _add_files(table, "backfill", proof.tables, f" (in {proof.tables_in})")
    left = proof.left
    table.add_row(
        "second look",
        f"{left.redis_states} states in Redis, {left.archive_rows} rows in the archive, "
        f"{left.table_rows} in the backfill's tables"
        + (
            f"; since then {left.redis_states_since} states and {left.archive_rows_since} rows anew"
            if left.redis_states_since or left.archive_rows_since
            else ""
        ),
    )
    for number, (where, what) in enumerate(proof.remains):
        table.add_row("remains" if number == 0 else "", f"{where}: {what}")
    return table


def _add_files(table: Table, where: str, removed: RemovedFromFiles, said: str = "") -> None:
    files, rows = removed.rewritten, sum(file.rows_removed for file in removed.rewritten)
    looked_at = sum(removed.files_looked_at.values())
    done = f"{rows} rows removed, {len(files)} of {looked_at} files rewritten{said}"
    table.add_row(where, done)
    for file in files:
        change = f"{file.sha256_before[:12]} to {file.sha256_after[:12] or 'nothing'}"
        table.add_row("", f"{file.before}: {file.rows_removed} rows; {change}")
