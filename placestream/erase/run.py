"""`placestream erase-user`: in which order a person leaves, and that they are gone."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import redis
import structlog

from contracts.ids import BadId, canonical_id
from contracts.settings import Settings
from online_features.erased import Erased
from online_features.erased import erase as put_on_list
from online_features.keys import Keys
from online_features.redis_client import blocking_client_of
from placestream.backfill.one_writer import BeingWritten
from placestream.dlq.letters import TopicName
from placestream.erase.in_archive import InArchive
from placestream.erase.in_letters import Letters, look
from placestream.erase.in_models import InModels
from placestream.erase.in_redis import InRedis
from placestream.erase.in_tables import InTables
from placestream.erase.proof import Left, Proof
from placestream.erase.remains import remains
from placestream.next_step import explained

log = structlog.get_logger(__name__)
REDIS_TIMEOUT_S = 60


class NotErased(RuntimeError):
    """Nothing was removed yet; running it again goes on."""


def run(settings: Settings, user_ids: Sequence[str], clock: Callable[[], float]) -> Proof:
    """Erase people, and look again.

    First they are put on the list of the erased: from then on nobody folds, archives or reads what
    they did until now. Then, if nothing stands in the way, what is there is removed.

    Args:
        settings: of the installation.
        user_ids: as events name them; integers as their digits.
        clock: Unix seconds.

    Returns:
        The proof; of what was done where it broke off in the middle.

    Raises:
        ValueError: an id that can be nobody's.
        NotErased: Redis does not answer, or a backfill writes its tables.
        OSError: the list cannot be written.
    """
    ids = [_checked(user_id) for user_id in dict.fromkeys(user_ids)]
    erased_s = clock()
    listed = put_on_list(settings.archive_dir, ids, erased_s)
    tables = InTables(settings.backfill_dir, ids)
    try:
        with tables.alone(), blocking_client_of(settings, socket_timeout=REDIS_TIMEOUT_S) as client:
            client.ping()
            states = InRedis(client, Keys.of(settings))
            return _erase(settings, ids, erased_s, listed, states, tables)
    except redis.RedisError as error:
        raise NotErased(f"Redis failed ({error}); they are on the list, run this again") from error
    except BeingWritten as error:
        raise NotErased(f"{error}; they are on the list, nothing was removed yet") from error


def _erase(
    settings: Settings,
    ids: Sequence[str],
    erased_s: float,
    listed: Erased,
    states: InRedis,
    tables: InTables,
) -> Proof:
    archive = InArchive(settings.archive_dir, ids, erased_s)
    erased_at = datetime.fromtimestamp(erased_s, UTC)
    left: Left | None = None
    letters: Mapping[TopicName, Letters] = {}
    stays: tuple[tuple[str, str], ...] = ()
    failed = ""
    try:
        states.remove(ids)
        archive.remove()
        tables.remove()
        left = Left(*states.left(ids, erased_s), *archive.left(), tables.left())
        letters = look(settings, ids)
        stays = remains(settings, erased_at, letters, InModels.under(settings.models_dir))
    except (Exception, KeyboardInterrupt) as error:  # whatever it is, what was done must be told
        log.debug("failed", exc_info=True)
        known = explained(error) if isinstance(error, Exception) else None
        failed = known or f"{type(error).__name__}: {error}"
    return Proof(
        erased_at=erased_at,
        people=tuple(listed.digest(user_id) for user_id in ids),
        redis=states.removed,
        archive=archive.removed,
        tables_in=str(settings.backfill_dir),
        tables=tables.removed,
        left=left,
        letters=letters,
        remains=stays,
        failed=failed,
    )


def _checked(user_id: str) -> str:
    try:
        return canonical_id(user_id)
    except BadId as error:
        raise ValueError(f"{user_id!r} is no user id: {error}") from error
