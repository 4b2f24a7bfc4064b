"""How the trainer's keys look in Redis; no other file spells one."""

from dataclasses import dataclass

VERSION = "v1"


@dataclass(frozen=True)
class Keys:
    """Keys of one installation.

    All share one hash tag: a script or transaction that touches two of them stays on one node
    of a cluster.
    """

    prefix: str

    @property
    def _root(self) -> str:
        return f"{{{self.prefix}:retrain:{VERSION}}}"

    @property
    def lease(self) -> str:
        """Fencing token of the trainer at work; gone when nobody is."""
        return f"{self._root}:lease"

    @property
    def fence(self) -> str:
        """Counter behind the fencing tokens; only ever grows."""
        return f"{self._root}:fence"

    @property
    def triggers(self) -> str:
        """What the triggers have answered, JSON."""
        return f"{self._root}:triggers"

    def job(self, audit_id: str) -> str:
        """How far the work on one request has come, JSON."""
        return f"{self._root}:job:{audit_id}"
