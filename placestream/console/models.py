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
from placestream.console.problem import Problem
from retrain.in_service import NoCard, load_in_service
from retrain.keys import Keys
from retrain.lease import Lease, LeaseLost
from retrain.model_admin import ModelAdmin, ModelServerError
from retrain.model_config import MODELS
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
    ) -> None:
        self._settings = settings
        self._redis = client
        self._outbox = outbox
        self._clock = clock
        self._activate = switch

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
        """Bring a version into service, under the trainer's lease, and tell it as a rollout step.

        Raises:
            Problem: it is not in service; says why.
        """
        if wish.instead_of != self._current():
            raise Problem(
                409,
                f"Version {self._current()} is in service by now, not {wish.instead_of}.",
                "Look at the versions again, and decide anew.",
            )
        lease = Lease(self._redis, Keys(self._settings.key_prefix))
        try:
            if not lease.acquire():
                raise Problem(
                    409,
                    "The trainer is at work, and may bring a version into service itself.",
                    "Wait until its training has ended, or stop `placestream retrain` first.",
                )
            try:
                live = self._activate(self._settings, wish.version, guard=lease.check)
            finally:
                lease.release()
        except (RolloutFailed, LeaseLost, redis.RedisError) as error:
            raise Problem(
                502,
                f"Version {wish.version} was not brought into service: {error}",
                "What served before still serves. The log of the model server says more.",
            ) from error
        return {"version": wish.version, "live": live, "told": self._tell(wish)}

    def _tell(self, wish: Switch) -> bool:
        """Write the step where all steps of models are; whether Kafka has it."""
        audit_id = str(uuid.uuid4())
        step = RolloutStep(
            audit_id=audit_id,
            step="promoted",
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
