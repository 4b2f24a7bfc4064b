"""Where compiled loops are kept: numba's cache, of which no fault reaches who calls a loop.

They lie in NUMBA_CACHE_DIR, or beside the source (`__pycache__`), in a folder for this very source:
numba looks at the file of a loop, and not at those of the loops and constants that it was compiled
with. What cannot be read is compiled, what cannot be written is not kept.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog
import xxhash
from numba.core import config
from numba.core.caching import FunctionCache
from numba.core.sigutils import normalize_signature

log = structlog.get_logger(__name__)

#: So many folders of other sources stay, the newest: several checkouts, or an upgrade under way.
_OTHERS: Final = 3
_NAME: Final = "loops-"


class LoopCache(FunctionCache):
    """The machine code of one loop on disk.

    Raises:
        RuntimeError: the folder cannot be written to.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What was compiled for some types of arguments; None where nothing usable is kept."""
        try:
            found = super().load_overload(sig, target_context)
        except Exception as error:  # whatever a damaged file brings
            log.warning("loop_not_readable", loop=repr(self), cause=repr(error))
            with suppress(OSError):
                self.flush()
            return None
        # Two processes that kept their first code at once may have mixed it up.
        args, _ = normalize_signature(sig)
        return found if found is not None and found.signature.args == args else None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            log.warning("loop_not_kept", loop=repr(self), cause=repr(error))


def _folder() -> Path:
    source = Path(__file__).parent
    digest = xxhash.xxh3_64()
    for path in sorted(source.glob("*.py")):
        digest.update(path.read_bytes())
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    return Path(chosen or source / "__pycache__") / f"{_NAME}{digest.hexdigest()}"


def _make_room(folder: Path) -> None:
    """Remove what older sources left; a process that still runs them compiles if it must."""
    with suppress(OSError):
        others = sorted(folder.parent.glob(f"{_NAME}*"), key=lambda path: path.stat().st_mtime)
        for other in others[:-_OTHERS]:
            shutil.rmtree(other, ignore_errors=True)


def _settle() -> None:
    folder = _folder()
    if not folder.exists():
        _make_room(folder)
    # numba's own settings, which it otherwise makes from the environment: no other folder.
    vars(config)["CACHE_DIR"] = str(folder)
    vars(config)["CACHE_LOCATOR_CLASSES"] = "UserProvidedCacheLocator"


_settle()
