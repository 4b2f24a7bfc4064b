"""`placestream erase-user`: in which order a person leaves, and that they are gone."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
from redis import RedisError

from contracts.ids import BadId, canonical_id
from contracts.settings import Settings
from online_features.erased import erase as put_on_list
from online_features.keys import Keys
from online_features.redis_client import blocking_client_of
from placestream.backfill.one_writer import BeingWritten
from placestream.dlq.letters import Letter, TopicName
from placestream.dlq.reader import DeadLetterReader, Unreadable
from placestream.erase.in_archive import InArchive
from placestream.erase.in_models import InModels
from placestream.erase.in_redis import InRedis
from placestream.erase.in_tables import InTables
from placestream.erase.proof import Left, Proof
from placestream.erase.remains import Letters, remains

REDIS_TIMEOUT_S = 60


class NotErased(RuntimeError):
    """It could not be done to the end; running it again goes on."""


def run(settings: Settings, user_ids: Sequence[str], clock: Callable[[], float]) -> Proof:
    """Erase people, and look again.

    First they are put on the list of the erased: from then on nobody folds, archives or reads what
    they did until now. Then what is there is removed.

    Args:
        settings: of the installation.
        user_ids: as events name them; integers as their digits.
        clock: Unix seconds.

    Raises:
        ValueError: an id that can be nobody's.
        NotErased: Redis does not answer, or a backfill writes its tables.
        OSError: the archive or the tables cannot be written.
    """
    ids = [_checked(user_id) for user_id in dict.fromkeys(user_ids)]
    erased_s = clock()
    listed = put_on_list(settings.archive_dir, ids, erased_s)
    archive = InArchive(settings.archive_dir, ids, erased_s)
    tables = InTables(settings.backfill_dir, ids)
    try:
        with blocking_client_of(settings, socket_timeout=REDIS_TIMEOUT_S) as client:
            states = InRedis(client, Keys.of(settings))
            from_redis, from_archive = states.remove(ids), archive.remove()
            from_tables = tables.remove()
            left = Left(*states.left(ids, erased_s), *archive.left(), tables.left())
    except RedisError as error:
        raise NotErased(f"Redis failed ({error}); they are on the list, run this again") from error
    except BeingWritten as error:
        raise NotErased(f"{error}; till then they are gone from all but its tables") from error
    erased_at, letters = datetime.fromtimestamp(erased_s, UTC), _letters(settings, ids)
    return Proof(
        erased_at=erased_at,
        people=tuple(listed.digest(user_id) for user_id in ids),
        redis=from_redis,
        archive=from_archive,
        tables_in=str(settings.backfill_dir),
        tables=from_tables,
        left=left,
        letters=letters,
        remains=remains(settings, erased_at, letters, InModels.under(settings.models_dir)),
    )


def _checked(user_id: str) -> str:
    try:
        return canonical_id(user_id)
    except BadId as error:
        raise ValueError(f"{user_id!r} is no user id: {error}") from error


def _letters(settings: Settings, user_ids: Sequence[str]) -> Letters:
    """Dead letters whose key or whose event names one of them."""
    try:
        with DeadLetterReader(settings, [TopicName.INTERACTIONS]) as letters:
            return Letters(tuple(str(letter.id) for letter in letters if _names(letter, user_ids)))
    except Unreadable as error:
        return Letters(not_looked=str(error))


def _names(letter: Letter, user_ids: Sequence[str]) -> bool:
    dead = letter.dead
    if (dead.key or b"").decode(errors="replace") in user_ids:
        return True
    try:
        said = msgspec.json.decode(dead.value or b"")
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and str(said.get("user_id")) in user_ids
