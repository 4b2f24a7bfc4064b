"""How the trainer's keys look in Redis; no other file spells one."""

from dataclasses import dataclass

from contracts.experiment import key_root


@dataclass(frozen=True)
class Keys:
    """Keys of one installation.

    All share one hash tag: a script or transaction that touches two of them stays on one node
    of a cluster.
    """

    prefix: str

    @property
    def _root(self) -> str:
        return key_root(self.prefix)

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

    @property
    def lease_of_controller(self) -> str:
        """Fencing token of the rollout's controller at work; gone when nobody is."""
        return ControllerKeys(self.prefix).lease

    @property
    def experiments(self) -> str:
        """Ids of all experiments, a list in their order."""
        return f"{self._root}:experiments"

    def experiment(self, experiment_id: str) -> str:
        """The record of an experiment, JSON."""
        return f"{self._root}:experiment:{experiment_id}"

    def history(self, experiment_id: str) -> str:
        """Its history, a list that is only appended to, JSON each."""
        return f"{self._root}:history:{experiment_id}"

    def job(self, audit_id: str) -> str:
        """How far the work on one request has come, JSON."""
        return f"{self._root}:job:{audit_id}"


class ControllerKeys(Keys):
    """The keys of the other lease: who moves labels, beside who trains."""

    @property
    def lease(self) -> str:
        """Fencing token of the controller at work."""
        return f"{self._root}:controller-lease"

    @property
    def fence(self) -> str:
        """Counter behind those tokens."""
        return f"{self._root}:controller-fence"


class MonitorKeys(Keys):
    """The keys of a third lease: who watches drift, and asks."""

    @property
    def lease(self) -> str:
        """Fencing token of the monitor at work."""
        return f"{self._root}:monitor-lease"

    @property
    def fence(self) -> str:
        """Counter behind those tokens."""
        return f"{self._root}:monitor-fence"
