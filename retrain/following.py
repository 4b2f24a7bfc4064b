"""Model servers that do not follow the configuration file are brought to do so.

A rollout passes over a server that does not answer. One that was away reads the file when it
starts; but one that lives, and only missed a call, never does: users would go on meeting the pair
that others have left. So every server is asked, at each look, what it answers by each label, and
one that differs from the file is told the next of three configurations:
1. its own labels, and what the file's labels name loaded beside;
2. once that is loaded, the file's labels, with what its own named still loaded: requests under way
   have resolved their label already;
3. at a later look, the file as it is, which unloads the rest.

None is waited for: a look takes milliseconds, and a server that loads is looked at again.
"""

from collections.abc import Callable
from typing import Literal

import structlog

from contracts.settings import Settings
from retrain.model_admin import PRESENT_S, ModelAdmin, ModelServerError, Seen
from retrain.model_config import Serving, read
from retrain.rollout import labels_asked

_log = structlog.get_logger(__name__)

#: Longest that a look waits for one call.
LOOK_S = 5.0

Standing = Literal["follows", "differs", "silent"]


def bring_to_follow(settings: Settings, guard: Callable[[], None]) -> dict[str, Standing]:
    """Look at every model server once, and tell those that differ from the file what is next.

    Args:
        settings: where the file and the servers are.
        guard: asked before a server is told anything; what it raises ends the look.

    Returns:
        By address, how each stood; empty while the file has no label.

    Raises:
        retrain.model_config.DamagedConfig: the file cannot be read.
    """
    meant = read(settings)
    if not meant.labels:
        return {}  # nothing was ever in service, or the file was lost: nothing is unloaded for that
    with ModelAdmin(settings.model_server, LOOK_S) as server:
        present = server.present((PRESENT_S,))
        found: dict[str, Standing] = dict.fromkeys(server.addresses, "silent")
        for address in present:
            try:
                found[address] = _bring(settings, server, address, meant, guard)
            except ModelServerError as error:
                found[address] = "differs"
                _log.warning("server_does_not_follow", server=address, error=str(error))
    return found


def _bring(
    settings: Settings, server: ModelAdmin, address: str, meant: Serving, guard: Callable[[], None]
) -> Standing:
    seen = server.seen(address, labels_asked(settings, meant))
    then = next_for(seen, meant)
    if then is not None:
        guard()
        _log.warning(
            "server_brought_to_follow",
            server=address,
            has=dict(seen.labels),
            meant=dict(meant.labels),
            told=dict(then.labels),
            loads=then.versions,
        )
        server.reload(address, then.message(settings))
    return "follows" if seen.labels == meant.labels else "differs"


def next_for(seen: Seen, meant: Serving) -> Serving | None:
    """What a server is told next on its way to the file's labels; None: nothing, or it loads yet.

    Args:
        seen: what the server has.
        meant: what the file says.
    """
    loaded = seen.in_state("AVAILABLE")
    if seen.labels == meant.labels:
        return meant if loaded - {*meant.versions} else None
    wanted = {*meant.labels.values()}
    if wanted <= loaded:
        return Serving(meant.labels, meant.beside | {*seen.labels.values()})
    if wanted <= seen.in_state("START", "LOADING", "AVAILABLE"):
        return None
    return Serving(seen.labels, frozenset(meant.versions))
