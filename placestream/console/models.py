"""Versions of the models: which there are, which serve, and a person's way to change that."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import redis
import structlog

from contracts.events import RolloutStep
from contracts.settings import Settings
from placestream.console.experiments import records_of
from placestream.console.problem import Problem
from placestream.experiments.orders import Action, carry_out
from retrain.experiments import FINAL, Experiment
from retrain.in_service import NoCard, load_in_service
from retrain.keys import ControllerKeys
from retrain.lease import Lease, LeaseLost
from retrain.model_admin import ModelAdmin, ModelServerError
from retrain.model_config import MODELS
from retrain.orders import NotNow
from retrain.publish import NotPublished, Outbox
from retrain.rollout import RolloutFailed, activate, current, exported

log = structlog.get_logger(__name__)
_ASK_S = 3.0


class Switch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's wish for another version.

    Attributes:
        version: to bring into service.
        instead_of: the version that the page showed as in service; another one by now means that
            the person decided on what is no longer true.
        why: for whoever reads the log of rollouts.
    """

    version: int
    instead_of: int | None
    why: str = ""


class Models:
    """Blocking: call from a thread."""

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        outbox: Outbox,
        clock: Callable[[], float],
        switch: Callable[..., bool] = activate,
        order: Callable[[Settings, Action, str, str], Experiment] = carry_out,
    ) -> None:
        self._settings = settings
        self._redis = client
        self._outbox = outbox
        self._clock = clock
        self._activate = switch
        self._order = order

    def told(self) -> dict[str, Any]:
        """The versions on disk, newest first, with what is known of each.

        Raises:
            Problem: the configuration of the model server is damaged.
        """
        in_service = self._current()
        problem, states = "", {}
        with ModelAdmin(self._settings.model_server, _ASK_S) as server:
            try:
                states = server.states(_ASK_S)
            except ModelServerError as error:
                problem = f"The model server at {self._settings.model_server} says nothing: {error}"
        return {
            "in_service": in_service,
            "label": self._settings.model_label,
            "models": list(MODELS),
            "problem": problem,
            "versions": [
                self._version(version, in_service, states)
                for version in reversed(exported(self._settings))
            ],
        }

    def _version(
        self, version: int, in_service: int | None, states: dict[int, dict[str, str]]
    ) -> dict[str, Any]:
        card: dict[str, Any] = {"metrics": {}, "trained_at_s": None, "card_problem": ""}
        try:
            known = load_in_service(self._settings, version)
            card |= {"metrics": dict(known.metrics), "trained_at_s": known.trained_at_s}
        except NoCard as error:
            card["card_problem"] = str(error)
        return card | {
            "version": version,
            "in_service": version == in_service,
            "states": states.get(version, {}),
        }

    def switch(self, wish: Switch) -> dict[str, Any]:
        """Bring a version into service: as an order to its experiment, or by itself.

        Raises:
            Problem: it is not in service; says why.
        """
        if wish.instead_of != self._current():
            raise Problem(
                409,
                f"Version {self._current()} is in service by now, not {wish.instead_of}.",
                "Look at the versions again, and decide anew.",
            )
        try:
            order = self._order_for(wish)
            if order is None:
                return self._by_itself(wish)
            ended = self._order(self._settings, *order, wish.why)
        except NotNow as error:
            raise Problem(409, f"That does not fit: {error}.", "See the experiments.") from error
        except (RolloutFailed, LeaseLost, redis.RedisError, RuntimeError, OSError) as error:
            raise Problem(
                502,
                f"Version {wish.version} was not brought into service: {error}",
                "What served before still serves. The log of the model server says more.",
            ) from error
        return {"version": wish.version, "live": True, "told": not ended.untold}

    def _order_for(self, wish: Switch) -> tuple[Action, str] | None:
        """The order and the experiment that lead there; None where the version has none."""
        for one in records_of(self._settings, self._redis).all():
            if one.version == wish.version and one.state not in FINAL:
                return "promote", one.id
            back = (one.version, one.baseline) == (wish.instead_of, wish.version)
            if back and one.state == "promoted":
                return "rollback", one.id
            if one.state not in (*FINAL, "waiting"):
                raise NotNow(f"{one.id} is on trial: `placestream experiments stop {one.id}` first")
        return None

    def _by_itself(self, wish: Switch) -> dict[str, Any]:
        lease = Lease(self._redis, ControllerKeys(self._settings.key_prefix))
        if not lease.acquire():
            raise Problem(
                409, "Another rollout is under way.", "Wait some seconds, and decide anew."
            )
        try:
            live = self._activate(self._settings, wish.version, guard=lease.check)
        finally:
            lease.release()
        return {"version": wish.version, "live": live, "told": self._tell(wish)}

    def _tell(self, wish: Switch) -> bool:
        """Write the step where all steps of models are; whether Kafka has it."""
        audit_id = str(uuid.uuid4())
        step = RolloutStep(
            audit_id=audit_id,
            step="promoted" if wish.version > (wish.instead_of or 0) else "rolled_back",
            at=datetime.fromtimestamp(self._clock(), UTC),
            versions=dict.fromkeys(MODELS, wish.version),
            note=f"by hand, from the console, instead of {wish.instead_of}; {wish.why}".rstrip(
                "; "
            ),
        )
        log.info("switched_by_hand", version=wish.version, audit_id=audit_id, why=wish.why)
        try:
            self._outbox.send(self._settings.topics.rollout, audit_id, step)
        except NotPublished as error:
            log.error("step_not_published", audit_id=audit_id, error=str(error))
            return False
        return True

    def _current(self) -> int | None:
        try:
            return current(self._settings)
        except ValueError as error:
            raise Problem(
                500,
                f"The model server's configuration is damaged: {error}",
                "Mend the file by hand; see docs/operations.md.",
            ) from error
