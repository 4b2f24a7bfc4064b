"""The proof of an erasure: what was found, what was removed, that it is gone, and what remains."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.table import Table

from placestream.dlq.letters import TopicName
from placestream.erase.in_files import RemovedFromFiles
from placestream.erase.in_letters import Letters
from placestream.erase.in_redis import RemovedFromRedis

AGAIN = (
    "They are on the list, so that nothing more of them is written; what is not named here may "
    "still be there. Keep this, and run it again: that proof names only what is removed then."
)


@dataclass(frozen=True)
class Left:
    """What a second look found.

    Attributes:
        redis_states, archive_rows: from before the erasure; there must be none. States are judged
            by the times of the events that they list, and count here too where they had more.
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
    """All of it; of a run that broke off, what was done till then.

    Attributes:
        erased_at: what they did, or what came, until then is erased.
        people: SHA-256 of the list's salt and each id; the ids themselves are not in here.
        redis, archive, tables: what was done; the tables are those of the backfill.
        tables_in: the folder of the tables; those of another machine are not in it.
        left: what a second look found; None: there was none.
        letters: dead letters that name them, by the topics that they are letters of.
        remains: where something of them stays: what, why, until when.
        failed: what the run broke off at; empty: it came to its end.
    """

    erased_at: datetime
    people: tuple[str, ...]
    redis: RemovedFromRedis
    archive: RemovedFromFiles
    tables: RemovedFromFiles
    tables_in: str
    left: Left | None
    letters: Mapping[TopicName, Letters]
    remains: tuple[tuple[str, str], ...]
    failed: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether all was done, and the second look found nothing from before."""
        left = self.left
        if self.failed or left is None:
            return False
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
    if proof.left is not None:
        table.add_row("second look", _second_look(proof.left))
    if proof.failed:
        table.add_row("not done", f"{proof.failed}\n{AGAIN}")
    for number, (where, what) in enumerate(proof.remains):
        table.add_row("remains" if number == 0 else "", f"{where}: {what}")
    return table


def _second_look(left: Left) -> str:
    found = (
        f"{left.redis_states} states in Redis, {left.archive_rows} rows in the archive, "
        f"{left.table_rows} in the backfill's tables"
    )
    if not (left.redis_states_since or left.archive_rows_since):
        return found
    anew = f"{left.redis_states_since} states and {left.archive_rows_since} rows anew"
    return f"{found}; since then {anew}"


def _add_files(table: Table, where: str, removed: RemovedFromFiles, said: str = "") -> None:
    files, rows = removed.rewritten, sum(file.rows_removed for file in removed.rewritten)
    looked_at = sum(removed.files_looked_at.values())
    done = f"{rows} rows removed, {len(files)} of {looked_at} files rewritten{said}"
    table.add_row(where, done)
    for file in files:
        change = f"{file.sha256_before[:12]} to {file.sha256_after[:12] or 'nothing'}"
        table.add_row("", f"{file.before}: {file.rows_removed} rows; {change}")
