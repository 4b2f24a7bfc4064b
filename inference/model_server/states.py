"""The life of a version, as it is reported (servable_state.h, servable_state_monitor.cc)."""

import enum
from dataclasses import dataclass

from inference.model_server.errors import ServingError


class State(enum.IntEnum):
    """`ModelVersionStatus.State`; a version only ever moves down this list."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """What is known of one version: its state, why it failed if it did, and when it changed.

    `event` numbers all changes of the server in order.
    """

    state: State
    error: ServingError | None
    event: int


class StateLog:
    """The last known status of every version there ever was. Not locked: the manager locks."""

    def __init__(self) -> None:
        self._statuses: dict[str, dict[int, VersionStatus]] = {}
        self.last_event = 0

    def record(self, model: str, version: int, state: State, error: ServingError | None) -> None:
        """Note a change."""
        self.last_event += 1
        versions = self._statuses.setdefault(model, {})
        versions[version] = VersionStatus(state, error, self.last_event)

    def of(self, model: str) -> dict[int, VersionStatus]:
        """Statuses by version, newest version first; empty for an unknown model."""
        return dict(sorted(self._statuses.get(model, {}).items(), reverse=True))

    def is_available(self, model: str, version: int) -> bool:
        """Whether the version can be asked."""
        status = self._statuses.get(model, {}).get(version)
        return status is not None and status.state is State.AVAILABLE

    def is_over(self, model: str, version: int) -> bool:
        """Whether the version's loading is over, well or badly; so it is if it was never seen."""
        status = self._statuses.get(model, {}).get(version)
        return status is None or status.state in (State.AVAILABLE, State.END)

    def reached_since(self, model: str, event: int) -> tuple[int, VersionStatus] | None:
        """The newest version that became available, or ended, after an event; None if none did."""
        for version, status in self.of(model).items():
            if status.event > event and status.state in (State.AVAILABLE, State.END):
                return version, status
        return None
